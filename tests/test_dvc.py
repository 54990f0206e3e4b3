"""The DVC pipeline: read as a file, with a stand-in for the command, and as it is."""

import json
import re
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from balancer.cli import main
from balancer.config import BalancerConfig, load_config
from balancer.workspace import Workspace
from support.tiny_pipeline import metrics_of

ROOT = Path(__file__).parent.parent
PIPELINE: dict[str, Any] = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))
RECIPE: dict[str, Any] = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
STAGES: dict[str, Any] = PIPELINE["stages"]
PLACE = Workspace(Path("dvc-workspace"))
WRITES = {
    "prepare": [PLACE.index_dir],
    "gan-train": [PLACE.root / "gan"],
    "synthesize": [PLACE.synthetic_dir],
    "quality": [PLACE.quality_dir],
    "classify": [PLACE.classify_dir("real")],
    "classify-with-synthetic": [PLACE.classify_dir("real+synthetic")],
    "ablate": [PLACE.ablation_dir, PLACE.root / "runs/folds", PLACE.root / "runs/units"],
    "report": [PLACE.report_dir],
}
AFRESH = {name for name in STAGES if name.endswith("-afresh")}


def value(key: str, values: Mapping[str, Any]) -> Any:
    for part in key.split("."):
        values = values[part]
    return values


def resolved(text: str) -> str:
    """DVC's templates, filled in as DVC does."""
    known = RECIPE | {key: text for one in PIPELINE["vars"] for key, text in one.items()}
    return re.sub(r"\$\{([^}]*)\}", lambda found: str(value(found[1], known)), text)


def commands(stage: str) -> list[list[str]]:
    """Each command of a stage as words, without what is set for it in front."""
    lines = STAGES[stage]["cmd"]
    lines = [lines] if isinstance(lines, str) else lines
    words = [shlex.split(resolved(line)) for line in lines]
    return [[word for word in line if not re.match(r"[A-Z]+=", word)] for line in words]


def balancer_words(stage: str) -> Iterator[list[str]]:
    return (words[1:] for words in commands(stage) if words[0] == "balancer")


def paths(stage: str, kind: str) -> dict[Path, Mapping[str, Any]]:
    """Path to what DVC is told of it."""
    entries = [{one: {}} if isinstance(one, str) else one for one in STAGES[stage][kind]]
    return {Path(resolved(path)): told for entry in entries for path, told in entry.items()}


def test_the_stages_are_those_of_the_whole_question() -> None:
    order = ["prepare", "gan-train", "synthesize", "quality", "classify", "ablate", "report"]
    called = {words[0] for stage in STAGES for words in balancer_words(stage)}
    assert called == set(order)
    assert set(STAGES) == WRITES.keys() | AFRESH
    assert load_config(ROOT / "params.yaml", assignments=["data.root=null"]).data.root is None


@pytest.mark.parametrize("stage", sorted(STAGES.keys() - AFRESH))
def test_every_command_is_one_of_the_tool_with_options_that_it_has(stage: str) -> None:
    [(name, *words)] = balancer_words(stage)
    command = main.commands[name]
    context = command.make_context(name, words)  # refuses what it does not know
    assert context.params["source"] == "params.yaml"
    assert context.params["workspace"] == PLACE.root
    assert not context.params["force"]
    after_prepare = context.params["assignments"] == ("data.root=null",)
    assert after_prepare == (name != "prepare")
    assert not isinstance(command, click.Group)


@pytest.mark.parametrize("stage", STAGES)
def test_every_parameter_exists_and_stands_in_the_recipe(stage: str) -> None:
    known = BalancerConfig().model_dump(mode="json")
    for key in STAGES[stage]["params"]:
        value(key, known)
        value(key, RECIPE)  # DVC stops at a parameter that it does not find


def test_the_recipe_stands_without_the_lines_that_make_it_quick(tmp_path: Path) -> None:
    lines = (ROOT / "params.yaml").read_text(encoding="utf-8").splitlines(keepends=True)
    slow = tmp_path / "params.yaml"
    slow.write_text("".join(line for line in lines if "# quick" not in line), encoding="utf-8")
    assert load_config(slow).gan.images_shown == BalancerConfig().gan.images_shown
    recipe = yaml.safe_load(slow.read_text(encoding="utf-8"))
    for stage in STAGES:
        for key in STAGES[stage]["params"]:
            value(key, recipe)


def test_every_section_decides_something() -> None:
    named = {key.partition(".")[0] for stage in WRITES for key in STAGES[stage]["params"]}
    others = {
        "lungs",
        "travel",
        "tracking",
    }  # the first two have no stages, the last decides nothing
    left = set(BalancerConfig.model_fields) - named - others
    assert not left, "add the section to the params of its stage in dvc.yaml, and to params.yaml"
    assert set(RECIPE) == named


@pytest.mark.parametrize("stage", WRITES)
def test_what_a_stage_says_it_depends_on_are_its_parameters(
    stage: str, finished: Workspace
) -> None:
    for folder in WRITES[stage]:
        place = finished.root / folder.relative_to(PLACE.root)
        for record in (place / "result.json", *place.glob("*/result.json")):
            if record.is_file():
                settings = json.loads(record.read_text())["settings"]
                sections = settings.keys() & BalancerConfig.model_fields.keys()
                assert sections <= set(STAGES[stage]["params"])


def test_outputs_are_the_folders_that_the_stages_write() -> None:
    for stage, folders in WRITES.items():
        outs = paths(stage, "outs")
        assert [path for path in outs if path.suffix == ""] == folders
        assert not any(told.get("cache") is False for told in outs.values())
    made = [path for stage in STAGES for path in paths(stage, "outs")]
    read = {path for stage in STAGES for path in paths(stage, "deps")}
    assert read - set(made) == {Path(RECIPE["data"]["root"])}
    assert set(made) - read == {PLACE.report_dir}
    assert all(PLACE.report_dir in Path(path).parents for path in PIPELINE["metrics"])


def test_nothing_removes_the_ledger_or_what_a_stopped_training_left() -> None:
    removed = {Path(w) for s in AFRESH for words in commands(s) for w in words if words[0] == "rm"}
    lost = removed | {
        path
        for stage in STAGES
        for path, told in paths(stage, "outs").items()
        if not told.get("persist")
    }
    assert not {PLACE.ledger_dir, *PLACE.ledger_dir.parents} & lost
    for stage in ("gan-train", "ablate"):
        kept = {path for path, told in paths(stage, "outs").items() if told.get("persist")}
        assert kept
        assert kept <= removed


def test_the_metrics_are_those_of_the_stages(finished: Workspace) -> None:
    folder = finished.report_dir / "metrics"
    shown = {path.stem: json.loads(path.read_text()) for path in folder.iterdir()}
    assert shown.keys() == {"real", "real+synthetic", "difference", "images-COVID"}
    tests = [metrics_of(finished.classify_dir(arm))["test"] for arm in ("real", "real+synthetic")]
    assert shown["real"]["auroc"] == tests[0]["auroc"]["value"]
    gained = tests[1]["auroc"]["value"] - tests[0]["auroc"]["value"]
    assert shown["difference"]["auroc"] == pytest.approx(gained, abs=1e-5)
    quality = metrics_of(finished.quality_dir)["classes"]["COVID"]
    against = quality["against"]["validation"]
    assert shown["images-COVID"]["kid[lite0]"] == against["kid[lite0]"]["value"]
    assert shown["images-COVID"]["gate"] != "passes" or quality["gate"]["passed"] is True
