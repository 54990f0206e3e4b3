"""A result that is up to date is whole: what was deleted or damaged since is refused by name."""

import json
from collections.abc import Mapping
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from balancer.cli import main
from balancer.manifest import fingerprint
from balancer.workspace import Workspace
from support.radiograph_folders import class_folders
from support.tiny_pipeline import arguments, tree

COMMANDS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "classify": ("classify/real", ("classifier.safetensors", "classifier.json", "predictions.csv")),
    "gan-train": ("gan/COVID", ("generator.safetensors", "generator.json")),
    "synthesize": ("synthetic", ("manifest.csv",)),
    "report": ("report", ("report.html",)),
    "lr-find": ("lr-find", ("lr-find.png",)),
    "explain": ("explain", ("where-it-looks.png",)),
    "audit": ("audit", ("audit.json", "audit.html", "copies.csv", "same-film.csv")),
}
"""Command to its folder, and to files without which its result is not whole."""


def command(words: str, data: Path, workspace: Path, *options: str) -> Result:
    return CliRunner().invoke(main, [*words.split(), *arguments(data, workspace), *options])


def without_locks(workspace: Path) -> dict[str, bytes]:
    return {name: one for name, one in tree(workspace).items() if Path(name).name != ".lock"}


@pytest.mark.parametrize("words", COMMANDS)
def test_a_missing_file_is_refused_by_name(words: str, copied: Workspace, data: Path) -> None:
    folder, names = COMMANDS[words]
    assert command(words, data, copied.root).exit_code == 0
    for name in names:
        path = copied.root / folder / name
        kept = path.read_bytes()
        path.unlink()
        before = without_locks(copied.root)
        done = command(words, data, copied.root)
        assert done.exit_code == 4, (name, done.stderr)
        assert name in done.stderr.splitlines()[-1]
        assert "--force" in done.stderr.splitlines()[-1]
        assert without_locks(copied.root) == before
        path.write_bytes(kept)
    assert command(words, data, copied.root).exit_code == 0


def test_damaged_weights_of_a_classifier_are_refused(copied: Workspace, data: Path) -> None:
    path = copied.classify_dir("real") / "classifier.safetensors"
    path.write_bytes(path.read_bytes()[:-1])
    done = command("classify", data, copied.root)
    assert done.exit_code == 4, done.stderr
    assert "classifier.safetensors" in done.stderr.splitlines()[-1]
    assert command("classify", data, copied.root, "--force").exit_code == 0


@pytest.fixture
def elsewhere(data: Path, tmp_path: Path) -> Path:
    return class_folders(tmp_path / "elsewhere", {"COVID": 6, "Normal": 6})


def with_other_time(path: Path) -> None:
    result = json.loads(path.read_text())
    path.write_text(json.dumps(result | {"seconds": result["seconds"] + 1}, indent=2) + "\n")


def test_the_time_of_a_training_is_no_input_of_its_evaluation(
    copied: Workspace, data: Path, elsewhere: Path
) -> None:
    words = f"evaluate {elsewhere}"
    assert command(words, data, copied.root).exit_code == 0
    before = without_locks(copied.root / "evaluate")
    with_other_time(copied.classify_dir("real") / "result.json")
    done = command(words, data, copied.root)
    assert (done.exit_code, "up to date" in done.stderr) == (0, True), done.stderr
    assert without_locks(copied.root / "evaluate") == before


def test_an_evaluation_of_an_earlier_version_stands(
    copied: Workspace, data: Path, elsewhere: Path
) -> None:
    """Its fingerprint of the classifier is of all bytes of the record, the time among them."""
    words = f"evaluate {elsewhere}"
    assert command(words, data, copied.root).exit_code == 0
    (path,) = copied.root.glob("evaluate/*/real/result.json")
    result = json.loads(path.read_text())
    trained = (copied.classify_dir("real") / "result.json").read_bytes()
    result["inputs"]["classifier"] = fingerprint(trained)
    path.write_text(json.dumps(result, indent=2) + "\n")
    done = command(words, data, copied.root)
    assert (done.exit_code, "up to date" in done.stderr) == (0, True), done.stderr
    assert command("report", data, copied.root, "--force").exit_code == 0
    assert path.parent.parent.name in (copied.report_dir / "report.json").read_text()
