"""The DVC pipeline: read as a file, with a stand-in for the command, and as it is."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click
import pytest
import yaml
from tiny_pipeline import TINY, draw_folder, metrics_of

from balancer.cli import main
from balancer.config import BalancerConfig, load_config
from balancer.results import read_result
from balancer.workspace import Workspace

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
    left = set(BalancerConfig.model_fields) - named - {"lungs"}  # `balancer lungs` is no stage here
    assert not left, "add the section to the params of its stage in dvc.yaml, and to params.yaml"
    assert set(RECIPE) == named


@pytest.mark.parametrize("stage", WRITES)
def test_what_a_stage_says_it_depends_on_are_its_parameters(
    stage: str, finished: Workspace
) -> None:
    for folder in WRITES[stage]:
        place = finished.root / folder.relative_to(PLACE.root)
        for result in map(read_result, (place, *place.glob("*/"))):
            if result is not None:
                sections = result.settings.keys() & BalancerConfig.model_fields.keys()
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


_STAND_IN = """#!{python}
import hashlib, os, sys
from pathlib import Path
words, place, name = sys.argv[1:], Path("dvc-workspace"), sys.argv[1]
recipe = hashlib.sha256(Path("params.yaml").read_bytes()).hexdigest()
arm = "real+synthetic" if "--with-synthetic" in words else "real"
with open("calls", "a") as calls:
    print(name if arm == "real" else "classify-with-synthetic", file=calls)
def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
def grow(path):
    write(path, (path.read_text() if path.exists() else "") + "x")
folder = {{"prepare": "index", "gan-train": "gan/COVID", "synthesize": "synthetic",
          "classify": f"classify/{{arm}}", "ablate": "ablation"}}.get(name, name)
if name == "gan-train":
    grow(place / "gan/COVID.unfinished/images")
if name == "ablate":
    grow(place / "runs/units/images")
    grow(place / "runs/folds/images")
    write(place / "runs/ledger" / str(os.getpid()), "read")
if os.environ.get("STOPS_AT") == name:
    sys.exit(130)
write(place / folder / "result.json", name + recipe)
write(place / "index/cache/64.npy", "pixels")
if name == "report":
    write(place / "report/metrics/real.json", '{{"auroc": 0.75}}')
"""


class Dvc:
    """A project in a folder of its own, and the executable."""

    def __init__(self, executable: str, folder: Path, front: Path) -> None:
        self.executable, self.folder = executable, folder
        own = {"DVC_NO_ANALYTICS": "1", "PATH": f"{front}{os.pathsep}{os.environ['PATH']}"}
        for kind in ("SITE_CACHE", "GLOBAL_CONFIG", "SYSTEM_CONFIG"):
            own[f"DVC_{kind}_DIR"] = str(folder.parent / kind.lower())
        self.environment = os.environ | own | {"OMP_NUM_THREADS": "1"}
        for name in ("dvc.yaml", "params.yaml", ".dvcignore"):
            shutil.copy(ROOT / name, folder / name)
        self("init", "--no-scm", "--quiet")

    def __call__(self, *words: str, ok: bool = True, **environment: str) -> str:
        done = subprocess.run(
            [self.executable, *words],
            cwd=self.folder,
            env=self.environment | environment,
            capture_output=True,
            text=True,
        )
        assert (done.returncode == 0) == ok, done.stdout + done.stderr
        return done.stdout

    def repro(self, *, ok: bool = True, **environment: str) -> list[str]:
        """The stages that ran."""
        calls = self.folder / "calls"
        calls.write_text("")
        self("repro", ok=ok, **environment)
        return calls.read_text().split()

    def change(self, **sections: Mapping[str, Any]) -> None:
        path = self.folder / "params.yaml"
        recipe = yaml.safe_load(path.read_text())
        for name, changes in sections.items():
            recipe[name] |= changes
        path.write_text(yaml.safe_dump(recipe))

    def read(self, path: str) -> str:
        return (self.folder / PLACE.root / path).read_text()


@pytest.fixture
def dvc(tmp_path: Path, request: pytest.FixtureRequest) -> Dvc:
    executable = os.environ.get("BALANCER_DVC") or shutil.which("dvc")
    if executable is None:
        pytest.skip("no dvc: install it apart and name the executable in BALANCER_DVC")
    folder = tmp_path / "project"
    folder.mkdir()
    return Dvc(executable, folder, request.param(tmp_path))


def stand_in(tmp_path: Path) -> Path:
    path = tmp_path / "bin" / "balancer"
    path.parent.mkdir()
    path.write_text(_STAND_IN.format(python=sys.executable))
    path.chmod(0o755)
    draw_folder(tmp_path / "project" / "samples", n_covid=1, n_normal=1)
    return path.parent


def as_installed(tmp_path: Path) -> Path:
    draw_folder(tmp_path / "project" / "samples")
    return Path(sys.executable).parent


@pytest.mark.parametrize("dvc", [stand_in], indirect=True)
def test_a_change_reruns_what_depends_on_it_and_no_more(dvc: Dvc) -> None:
    everything = dvc.repro()
    assert sorted(everything) == sorted(WRITES)
    for early, late in (("gan-train", "classify"), ("classify", "quality"), ("quality", "ablate")):
        assert everything.index(early) < everything.index(late)
    assert everything[-1] == "report"
    assert dvc.repro() == []
    stored = {path.read_text() for path in (dvc.folder / ".dvc/cache/files").rglob("*/*/*")}
    assert "pixels" not in stored
    assert dvc.read("index/cache/64.npy") == "pixels"

    dvc.change(gan={"images_shown": 7000})
    assert set(dvc.repro()) == set(everything) - {"prepare", "classify"}
    assert dvc.read("gan/COVID.unfinished/images") == "x"  # begun again
    assert dvc.read("runs/units/images") == "x"

    dvc.change(synthesis={"ratio": "1:1"})
    assert set(dvc.repro()) == set(everything) - {"prepare", "classify"}
    assert dvc.read("gan/COVID.unfinished/images") == "xx"  # the generator could stay
    dvc.change(ablation={"repeats": 3})
    assert dvc.repro() == ["ablate", "report"]
    assert dvc.read("runs/units/images") == "xx"

    dvc.change(classifier={"epochs": 3})
    changed = {"classify", "quality", "classify-with-synthetic", "ablate", "report"}
    assert set(dvc.repro()) == changed
    assert len(list((dvc.folder / PLACE.ledger_dir).iterdir())) == 5
    dvc.change(classifier={"epochs": 2})  # stored, but for the ablation
    assert dvc.repro()[0] == "ablate"
    draw_folder(dvc.folder / "samples", n_covid=2, n_normal=1)
    assert set(dvc.repro()) == set(everything)


@pytest.mark.parametrize("dvc", [stand_in], indirect=True)
def test_what_was_stopped_goes_on(dvc: Dvc) -> None:
    assert dvc.repro(ok=False, STOPS_AT="gan-train") == ["prepare", "gan-train"]
    assert dvc.repro(ok=False, STOPS_AT="ablate")[-1] == "ablate"
    assert dvc.read("gan/COVID.unfinished/images") == "xx"
    assert set(dvc.repro()) == {"ablate", "report"}
    assert dvc.read("runs/units/images") == "xx"


@pytest.mark.timeout(900)  # eight commands, each of which imports everything anew
@pytest.mark.parametrize("dvc", [as_installed], indirect=True)
def test_the_whole_pipeline(dvc: Dvc) -> None:
    for change in (*TINY, "ablation.arms=[real, oversample]"):
        key, _, text = change.partition("=")
        section, name = key.split(".")
        dvc.change(**{section: {name: yaml.safe_load(text)}})
    dvc("repro")
    assert "up to date" in dvc("repro")
    shown = {Path(name).stem for name in json.loads(dvc("metrics", "show", "--json"))[""]["data"]}
    assert shown >= {"real", "real+synthetic", "difference", "ablation-real", "images-COVID"}
    assert "Data and pipelines are up to date." in dvc("status")
