import errno
import json
import multiprocessing
from pathlib import Path

import pytest

from balancer.errors import ConfigurationError, EnvironmentFault, IntegrityError
from balancer.results import (
    Record,
    perform,
    read_result,
    standing_result,
)
from balancer.workspace import Workspace


class Measured(Record):
    m: float


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path / "work")


def _hold(root: Path, held: object, release: object) -> None:
    with Workspace(root).lock():
        held.set()  # type: ignore[attr-defined]
        release.wait(30)  # type: ignore[attr-defined]


def test_a_second_writer_is_refused_while_the_first_holds_the_lock(workspace: Workspace) -> None:
    context = multiprocessing.get_context("spawn")
    held, release = context.Event(), context.Event()
    other = context.Process(target=_hold, args=(workspace.root, held, release))
    other.start()
    assert held.wait(60)
    try:
        with pytest.raises(EnvironmentFault, match="Another balancer"), workspace.lock():
            pass
    finally:
        release.set()
        other.join()
    with workspace.lock():
        pass


def test_a_file_is_no_workspace(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with (
        pytest.raises(ConfigurationError),
        Workspace(tmp_path / "file").lock(),
    ):
        pass


def test_a_failed_stage_leaves_what_stood_there(workspace: Workspace) -> None:
    def publish(text: str, fault: Exception | None = None) -> None:
        with workspace.publish(workspace.quality_dir) as folder:
            (folder / "x").write_text(text)
            if fault:
                raise fault

    publish("old")
    with pytest.raises(ValueError, match="boom"):
        publish("new", ValueError("boom"))
    with pytest.raises(EnvironmentFault, match="--workspace"):
        publish("new", OSError(errno.ENOSPC, "No space left on device"))
    assert (workspace.quality_dir / "x").read_text() == "old"
    assert [path.name for path in workspace.root.iterdir()] == ["quality"]
    publish("new")
    assert (workspace.quality_dir / "x").read_text() == "new"


def test_the_next_command_sweeps_what_a_killed_one_left(workspace: Workspace) -> None:
    (workspace.root / "quality.partial").mkdir(parents=True)
    (workspace.root / "classify" / "real.partial").mkdir(parents=True)
    (workspace.root / "synthetic.old.partial").mkdir()
    (workspace.root / "synthetic.old.partial" / "x").touch()
    with workspace.lock():
        pass
    left = sorted(path.name for path in workspace.root.rglob("*") if path.name != ".lock")
    assert left == ["classify", "synthetic", "x"]


def test_a_result_stands_until_settings_or_inputs_change(workspace: Workspace) -> None:
    directory = workspace.quality_dir

    def standing(settings: object, inputs: object, **options: bool) -> bool:
        wishes = {"force": False} | options
        found = standing_result(
            directory, Measured, settings={"a": settings}, inputs={"i": inputs}, **wishes
        )
        return found is not None

    assert not standing(1, 1)
    perform(
        "quality", workspace, directory, settings={"a": 1}, inputs={"i": 1},
        work=lambda _: Measured(m=2),
    )  # fmt: skip
    result = read_result(directory, Measured)
    assert result is not None
    assert result.metrics == Measured(m=2)
    assert standing(1, 1)
    assert not standing(1, 1, force=True)
    assert not standing(1, 2)
    with pytest.raises(ConfigurationError, match=r"--force"):
        standing(2, 1)
    with pytest.raises(ConfigurationError, match="other inputs"):
        standing(1, 2, keep_on_new_inputs=True)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"stage": "quality"}'])
def test_a_damaged_result_is_named(workspace: Workspace, text: str) -> None:
    workspace.quality_dir.mkdir(parents=True)
    (workspace.quality_dir / "result.json").write_text(text)
    with pytest.raises(IntegrityError, match=r"result\.json"):
        read_result(workspace.quality_dir, Measured)


def test_results_are_json_without_nan(workspace: Workspace) -> None:
    def work(folder: Path) -> Measured:
        return Measured(m=float("nan"))

    with pytest.raises(ValueError, match="not JSON compliant"):
        perform("quality", workspace, workspace.quality_dir, settings={}, inputs={}, work=work)
    assert not workspace.quality_dir.exists()


def test_a_result_names_versions(workspace: Workspace) -> None:
    perform(
        "x", workspace, workspace.quality_dir, settings={}, inputs={}, work=lambda _: Measured(m=0)
    )
    record = json.loads((workspace.quality_dir / "result.json").read_text())
    assert {"python", "torch", "balancer"} <= record["versions"].keys()
