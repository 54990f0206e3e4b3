"""The pipeline run by DVC itself: with a stand-in for the command, and as it is."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from balancer.workspace import Workspace
from support.forked_commands import ForkedCommands
from support.tiny_pipeline import TINY, draw_folder

ROOT = Path(__file__).parent.parent
PLACE = Workspace(Path("dvc-workspace"))
STAGES = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
USUAL = [name for name in STAGES if not name.endswith("-afresh")]
"""The others are run by name only."""

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
def dvc(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Dvc]:
    executable = os.environ.get("BALANCER_DVC") or shutil.which("dvc")
    if executable is None:
        pytest.skip("no dvc: install it apart and name the executable in BALANCER_DVC")
    folder = tmp_path / "project"
    folder.mkdir()
    front = tmp_path / "bin" / "balancer"
    front.parent.mkdir()
    with request.param(request, front, folder):
        yield Dvc(executable, folder, front.parent)


@contextmanager
def stand_in(_: pytest.FixtureRequest, path: Path, folder: Path) -> Iterator[None]:
    path.write_text(_STAND_IN.format(python=sys.executable))
    path.chmod(0o755)
    draw_folder(folder / "samples", n_covid=1, n_normal=1)
    yield


@contextmanager
def itself(request: pytest.FixtureRequest, path: Path, folder: Path) -> Iterator[None]:
    """The command, in processes that start at once."""
    draw_folder(folder / "samples")
    commands: ForkedCommands = request.getfixturevalue("commands")
    with commands.executable(path):
        yield


@pytest.mark.parametrize("dvc", [stand_in], indirect=True)
def test_a_change_reruns_what_depends_on_it_and_no_more(dvc: Dvc) -> None:
    everything = dvc.repro()
    assert sorted(everything) == sorted(USUAL)
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


@pytest.mark.skipif(not hasattr(os, "fork"), reason="only POSIX forks")
@pytest.mark.parametrize("dvc", [itself], indirect=True)
def test_the_whole_pipeline(dvc: Dvc) -> None:
    for change in (*TINY, "ablation.repeats=1", "ablation.arms=[real, oversample]"):
        key, _, text = change.partition("=")
        section, name = key.split(".")
        dvc.change(**{section: {name: yaml.safe_load(text)}})
    dvc("repro")
    assert "up to date" in dvc("repro")
    shown = {Path(name).stem for name in json.loads(dvc("metrics", "show", "--json"))[""]["data"]}
    assert shown >= {"real", "real+synthetic", "difference", "ablation-real", "images-COVID"}
