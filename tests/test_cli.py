"""The commands as typed: exit codes, streams, chaining, signals."""

import json
import os
import shutil
import signal
import time
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner, Result

from balancer.cli import main
from balancer.resources import has_bf16
from balancer.stages import report
from balancer.workspace import Workspace
from support.forked_commands import ForkedCommands
from support.tiny_pipeline import TINY, arguments, metrics_of, tree

pytestmark = pytest.mark.blank_pictures

SETTINGS = [word for change in TINY for word in ("--set", change)]
LONG = ("gan.images_shown=2400", "gan.checkpoint_every=160")


def invoke(*words: object) -> Result:
    return CliRunner().invoke(main, [str(word) for word in words])


@pytest.fixture
def empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_three_commands_work_in_an_empty_folder(empty: Path) -> None:
    first = invoke("gan-train", *SETTINGS)
    assert first.exit_code == 0, first.stderr
    assert "bundled samples" in first.stderr
    assert "Running `balancer prepare` first" in first.stderr
    second = invoke("synthesize", "--ratio", "2:1", *SETTINGS)
    assert second.exit_code == 0, second.stderr
    third = invoke("classify", "--with-synthetic", *SETTINGS)
    assert third.exit_code == 0, third.stderr
    workspace = empty / "balancer-workspace"
    assert metrics_of(workspace / "classify" / "real+synthetic")["training_images"]["synthetic"]
    assert [path.name for path in empty.iterdir()] == ["balancer-workspace"]


def test_a_dry_run_of_the_gan_tells_minutes_and_trains_nothing(
    empty: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    able = {"avx512_bf16": True}
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: able, raising=False)
    done = invoke("gan-train", "--dry-run", "--json", *SETTINGS)
    assert done.exit_code == 0, done.stderr
    found = json.loads(done.stdout)["metrics"]
    assert found["classes"] == {}
    assert list(found["planned_minutes"]) == ["COVID"]
    assert 0 < found["planned_minutes"]["COVID"] < 10
    assert not (empty / "balancer-workspace" / "gan").exists()
    assert "bf16-mixed" in done.stderr
    able.clear()
    assert not has_bf16()


def test_an_expensive_stage_is_named_not_run(empty: Path) -> None:
    for command, wanted in (
        (("synthesize", "--ratio", "2:1"), "`balancer gan-train --"),
        (("classify", "--with-synthetic"), "`balancer gan-train --"),
        (("quality",), "`balancer gan-train --"),
        (("report",), "`balancer classify --"),
    ):
        done = invoke(*command, *SETTINGS)
        assert done.exit_code == 2
        assert wanted in done.stderr.splitlines()[-1], command
        assert "Traceback" not in done.stderr


@pytest.mark.fault(33)
@pytest.mark.parametrize("ratio", ["1:2", "0:1", "-1:1", "1:0", "a:b", "2:1:3", "", "2\uff1a1"])
def test_other_ratios_are_wrong_usage_with_an_example(empty: Path, ratio: str) -> None:
    done = invoke("synthesize", "--ratio", ratio)
    assert done.exit_code == 2
    assert "such as 2:1" in " ".join(done.stderr.split())
    assert not list(empty.iterdir())


@pytest.mark.fault(52, 53)
def test_each_kind_of_fault_has_its_exit_code(copied: Workspace, data: Path) -> None:
    before = tree(copied.root)
    again = arguments(data, copied.root)
    wrong = invoke("gan-train", *again, "--set", "gan.batchsize=3")
    assert (wrong.exit_code, "did you mean gan.batch_size" in wrong.stderr) == (2, True)
    absent = invoke("prepare", "--data", data / "nowhere", "-w", copied.root)
    assert (absent.exit_code, "nowhere" in absent.stderr) == (3, True)
    nested = invoke("prepare", "--data", data, "-w", data / "work")
    assert (nested.exit_code, "lie apart" in nested.stderr) == (2, True)
    itself = invoke("prepare", "--data", data, "-w", data)
    assert itself.exit_code == 2
    with copied.lock():
        locked = invoke("report", *again)
    assert (locked.exit_code, "Another balancer" in locked.stderr) == (5, True)
    assert tree(copied.root) == before
    index = copied.index_dir / "index.csv"
    index.write_text(index.read_text().replace(",test,", ",train,", 1))
    leak = invoke("classify", "-w", copied.root, *SETTINGS, "--force")
    assert (leak.exit_code, "index.csv" in leak.stderr) == (4, True)
    assert not [path.name for path in data.iterdir() if path.name in (".lock", "work")]
    for done in (wrong, absent, nested, itself, locked, leak):
        assert done.stdout == ""
        assert len([line for line in done.stderr.splitlines() if line.startswith("Error: ")]) == 1
        assert "Traceback" not in done.stderr


def test_a_command_that_wrote_nothing_leaves_no_workspace(empty: Path) -> None:
    assert invoke("prepare", "--data", "nowhere").exit_code == 3
    assert not list(empty.iterdir())


def test_a_traceback_comes_with_v_alone(copied: Workspace, data: Path) -> None:
    words = ("prepare", "--data", data / "nowhere", "-w", copied.root)
    assert "Traceback" not in invoke(*words).stderr
    assert "Traceback" in invoke(*words, "-v").stderr


def test_an_unforeseen_fault_is_one_sentence(
    copied: Workspace, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("two\nlines")

    monkeypatch.setattr("balancer.stages.report.run", fail)
    done = invoke("report", *arguments(data, copied.root))
    assert done.exit_code == 1
    assert done.stderr.splitlines()[-1] == (
        "Error: Unforeseen RuntimeError: two lines (-v shows where)."
    )


def test_json_is_all_there_is_on_stdout(copied: Workspace, data: Path) -> None:
    for command in ("prepare", "gan-train", "synthesize", "quality", "classify", "report", "run"):
        done = invoke(command, *arguments(data, copied.root), "--json")
        assert done.exit_code == 0, done.stderr
        assert {"stage", "config_hash", "inputs", "versions", "seconds", "metrics"} <= (
            json.loads(done.stdout).keys()
        )


def test_quiet_says_nothing_but_the_table(copied: Workspace, data: Path) -> None:
    done = invoke("run", *arguments(data, copied.root), "-q")
    assert (done.exit_code, done.stderr) == (0, "")
    assert "real + synthetic" in done.stdout


def test_brackets_in_names_are_shown(
    copied: Workspace, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sentence = "fails (coverage[lite0], nearest class [red])"
    monkeypatch.setattr(report, "summary", lambda result: [sentence])
    assert sentence in invoke("report", *arguments(data, copied.root)).stdout


def test_a_dry_run_prints_the_plan(copied: Workspace, data: Path) -> None:
    shutil.rmtree(copied.synthetic_dir)
    done = invoke("synthesize", "--dry-run", *arguments(data, copied.root))
    assert done.exit_code == 0
    assert "COVID" in done.stdout
    assert not copied.synthetic_dir.exists()


@pytest.mark.fault(39)
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_signal_while_a_classifier_trains(
    commands: ForkedCommands, copied: Workspace, number: signal.Signals, code: int
) -> None:
    before = tree(copied.root)
    words = ["-w", str(copied.root), "--force", *SETTINGS, "--set", "classifier.epochs=20000"]
    command = commands.start("classify", *words)
    deadline = time.monotonic() + 120
    while "Training bam-cnn" not in command.said and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(1)
    os.kill(command.pid, number)
    os.kill(command.pid, number)  # as a terminal that closes does; the removal goes on
    assert command.wait(60) == code
    assert command.said.endswith("Error: Stopped; no half-written result is left.\n")
    assert tree(copied.root) == before


def test_settings_of_data_are_not_ignored(copied: Workspace) -> None:
    done = invoke("report", "-w", copied.root, *SETTINGS, "--set", "data.split=[0.5, 0.25, 0.25]")
    assert (done.exit_code, "data.split" in done.stderr or "split=" in done.stderr) == (2, True)


@pytest.fixture(scope="module")
def uninterrupted(data: Path, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    root = tmp_path_factory.mktemp("whole") / "work"
    done = invoke("gan-train", *arguments(data, root, *LONG))
    assert done.exit_code == 0, done.stderr
    return (root / "gan" / "COVID" / "generator.safetensors").read_bytes()


@pytest.mark.fault(39)
@pytest.mark.parametrize(
    ("number", "code"),
    [
        (signal.SIGINT, 130),
        (signal.SIGTERM, 143),
    ],
)
def test_a_stopped_training_goes_on_to_the_same_weights(
    tmp_path: Path,
    data: Path,
    commands: ForkedCommands,
    uninterrupted: bytes,
    number: signal.Signals,
    code: int,
) -> None:
    words = arguments(data, tmp_path / "work", *LONG)
    command = commands.start("gan-train", *words)
    state = tmp_path / "work" / "gan" / "COVID.unfinished" / "last.ckpt"
    deadline = time.monotonic() + 120
    while not state.exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    os.kill(command.pid, number)
    assert command.wait(60) == code, command.said
    assert "Traceback" not in command.said
    assert state.exists()
    assert not (tmp_path / "work" / "gan" / "COVID").exists()
    done = invoke("gan-train", *words)
    assert done.exit_code == 0, done.stderr
    assert "resuming after" in done.stderr
    final = tmp_path / "work" / "gan" / "COVID" / "generator.safetensors"
    assert final.read_bytes() == uninterrupted
    assert not state.parent.exists()
