"""A workspace that an earlier commit wrote is read, or refused by name; never misread.

`support/earlier_workspace` was written on 2026-11-27 from drawn phantoms; its weights and pages are
left out and its plots are empty.
"""

import json
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from balancer.cli import main
from support.tiny_pipeline import TINY, tree

EARLIER = Path(__file__).parent / "support" / "earlier_workspace"


@pytest.fixture
def earlier(tmp_path: Path) -> Path:
    shutil.copytree(EARLIER, tmp_path / "work")
    return tmp_path / "work"


def command(workspace: Path, *words: str) -> Result:
    settings = [word for change in TINY for word in ("--set", change)]
    return CliRunner().invoke(main, [*words, "-w", str(workspace), *settings])


@pytest.mark.fault(69)
def test_results_of_an_earlier_version_are_reported_as_they_were(earlier: Path) -> None:
    """Read."""
    before = tree(earlier)
    done = command(earlier, "report")
    assert done.exit_code == 0, done.stderr
    table = (earlier / "report" / "comparison.csv").read_text()
    for arm in ("real", "real+synthetic"):
        result = json.loads(before[f"classify/{arm}/result.json"])["metrics"]["test"]
        assert f"{result['auroc']['value']:.6g}"[:5] in table
    after = tree(earlier)
    assert {name: after[name] for name in before} == before


def test_a_classifier_of_an_earlier_version_is_known_and_its_weights_are_missed(
    earlier: Path,
) -> None:
    """It is not trained again, since its settings and inputs are today's."""
    before = tree(earlier)
    done = command(earlier, "classify")
    assert done.exit_code == 4, done.stderr
    assert "classifier.safetensors" in done.stderr.splitlines()[-1]
    assert {**tree(earlier), ".lock": b""} == {**before, ".lock": b""}


@pytest.mark.fault(69)
@pytest.mark.parametrize(
    ("name", "old", "new", "words"),
    [
        ("index/index.csv", "image_id,", "id,", ["report"]),
        ("synthetic/manifest.csv", "accepted", "taken", ["quality"]),
        ("classify/real/result.json", '"auroc"', '"auc"', ["report"]),
        ("index/result.json", '"metrics"', '"measures"', ["report"]),
    ],
)
def test_files_of_another_form_are_refused_by_name(
    earlier: Path, name: str, old: str, new: str, words: list[str]
) -> None:
    """Refused, with every file as it was."""
    path = earlier / name
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    before = tree(earlier)
    done = command(earlier, *words)
    assert done.exit_code == 4, done.stderr
    assert path.name in done.stderr.splitlines()[-1]
    assert {**tree(earlier), ".lock": b""} == {**before, ".lock": b""}
