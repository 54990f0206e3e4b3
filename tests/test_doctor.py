"""`balancer doctor`: what is wrong with a machine exits with 5 and says what mends it."""

import importlib.metadata
import json
import shutil
from collections import namedtuple
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner, Result

from balancer import threads
from balancer.cli import main
from balancer.doctor import examine, trial
from balancer.doctor.machine import shared_memory_finding
from balancer.doctor.records import Condition, Health

VERSION = importlib.metadata.version
Usage = namedtuple("Usage", "total used free")


def _trial_prints(*names: str, then: str = "") -> tuple[str, ...]:
    """Arguments of a Python that stands in for the trial of torch, which takes seconds."""
    conditions = [Condition(name=name, health=Health.OK, found="CPU") for name in names]
    lines = [one.model_dump_json() for one in conditions]
    prints = "\n".join(f"print({line!r}, flush=True)" for line in lines)
    return ("-c", f"import os, signal\n{prints}\n{then}")


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(examine, "_TRIAL", _trial_prints(*trial.STEPS))


def doctor(tmp_path: Path, *words: str) -> Result:
    return CliRunner().invoke(main, ["doctor", "-w", str(tmp_path / "w"), *words])


def findings(done: Result) -> dict[str, dict[str, Any]]:
    return {one["name"]: one for one in json.loads(done.stdout)["findings"]}


def without(monkeypatch: pytest.MonkeyPatch, library: str, found: str | None) -> None:
    def version(name: str) -> str:
        if name != library:
            return VERSION(name)
        if found is None:
            raise importlib.metadata.PackageNotFoundError(name)
        return found

    monkeypatch.setattr("importlib.metadata.version", version)


def test_a_sound_machine_is_said_to_be_sound_and_nothing_is_written(tmp_path: Path) -> None:
    done = doctor(tmp_path, "--json")
    assert done.exit_code == 0, done.stderr
    assert list(tmp_path.iterdir()) == []
    found = findings(done)
    assert {"libraries", "disk", "shared memory", "extra app", *trial.STEPS} <= found.keys()
    assert json.loads(done.stdout)["versions"]["torch"] == VERSION("torch")
    page = doctor(tmp_path)
    assert page.exit_code == 0
    assert all(name in page.stdout for name in found)


@pytest.mark.parametrize(("library", "version"), [("torch", "2.9.0"), ("scipy", None)])
def test_a_wrong_library_is_a_fault_with_its_cure(
    library: str, version: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without(monkeypatch, library, version)
    done = doctor(tmp_path, "--json")
    assert done.exit_code == 5
    assert findings(done)["libraries"]["health"] == "fault"
    (line,) = done.stderr.splitlines()
    assert f"pip install '{library}" in line


def test_another_package_of_the_same_name_is_a_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`pip install gan` would overwrite half of ours."""
    claims = {"gan": ["balancer", "other-gan"], "samples": ["balancer"]}
    monkeypatch.setattr("importlib.metadata.packages_distributions", lambda: claims)
    done = doctor(tmp_path, "--json")
    assert done.exit_code == 5
    assert "other-gan" in findings(done)["names"]["found"]


def test_a_missing_extra_is_a_note(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    without(monkeypatch, "pydicom", None)
    done = doctor(tmp_path, "--json")
    assert done.exit_code == 0
    note = findings(done)["extra dicom"]
    assert (note["health"], "balancer[dicom]" in note["cure"]) == ("note", True)


@pytest.mark.parametrize(
    ("arguments", "at"),
    [
        (_trial_prints("torch", then="os.kill(os.getpid(), signal.SIGILL)"), "device"),
        (_trial_prints(then="raise ImportError('no such symbol')"), "torch"),
    ],
)
def test_a_torch_that_ends_the_process_is_named(
    arguments: tuple[str, ...], at: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(examine, "_TRIAL", arguments)
    done = doctor(tmp_path, "--json")
    assert done.exit_code == 5
    assert findings(done)[at]["health"] == "fault"


def test_a_trial_that_never_ends_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(examine, "_TRIAL", ("-c", "import time; time.sleep(60)"))
    monkeypatch.setattr(examine, "_TRIAL_SECONDS", 0.2)
    assert doctor(tmp_path).exit_code == 5


@pytest.mark.parametrize(
    ("free", "code", "health"), [(2**20, 5, "fault"), (2**30, 0, "note"), (2**40, 0, "ok")]
)
def test_a_full_disk(
    free: int, code: int, health: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda place: Usage(2**40, 0, free))
    done = doctor(tmp_path, "--json")
    assert (done.exit_code, findings(done)["disk"]["health"]) == (code, health)


def test_the_shared_memory_of_docker_is_noted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda place: Usage(64 * 2**20, 0, 64 * 2**20))
    found = shared_memory_finding(tmp_path)
    assert (found.health, "--shm-size" in found.cure) == (Health.NOTE, True)


@pytest.fixture
def brief(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trial, "_SPEED_SECONDS", 0.0)
    monkeypatch.setattr(threads, "_TRIAL_SECONDS", 0.0)
    monkeypatch.setattr(trial, "available_cores", lambda: 1)


@pytest.mark.usefixtures("brief")
def test_the_trial_itself_runs_here() -> None:
    found = list(trial.findings())
    assert [one.name for one in found] == list(trial.STEPS)
    assert all(one.health is not Health.FAULT for one in found), found


def _wrong(convolve: Callable[..., torch.Tensor]) -> Callable[..., torch.Tensor]:
    def convolution(images: torch.Tensor, kernel: torch.Tensor, **_: Any) -> torch.Tensor:
        result = convolve(images, kernel)
        return result + 1 if result.dtype == torch.float32 else result

    return convolution


@pytest.mark.usefixtures("brief")
def test_a_device_that_computes_wrongly_is_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    functional = torch.nn.functional
    monkeypatch.setattr(functional, "conv2d", _wrong(functional.conv2d))
    last = list(trial.findings())[-1]
    assert (last.name, last.health) == ("device", Health.FAULT)
