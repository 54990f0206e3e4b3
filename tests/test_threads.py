"""The number of threads of a training: the machine's, the user's, and that of a busy machine."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from balancer import threads
from balancer.ablation.executors import Processes


@pytest.fixture(autouse=True)
def unset(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in (*threads.THREAD_SETTINGS, "GOMP_SPINCOUNT", "OMP_WAIT_POLICY", "KMP_BLOCKTIME"):
        monkeypatch.delenv(name, raising=False)
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.fixture
def cores(monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(threads, "available_cores", lambda: 4)
    return 4


def times(monkeypatch: pytest.MonkeyPatch, seconds: dict[int, float]) -> None:
    monkeypatch.setattr(threads, "seconds_of", lambda step, count: seconds[count])


def test_a_quiet_machine_uses_all_cores_without_a_trial(
    monkeypatch: pytest.MonkeyPatch, cores: int
) -> None:
    monkeypatch.setattr(threads, "_are_busy", lambda cores: False)
    times(monkeypatch, {})
    assert threads.choose_threads() == torch.get_num_threads() == cores


@pytest.mark.parametrize(
    ("seconds", "chosen"),
    [
        ({4: 1.0, 2: 0.9, 1: 1.1}, 4),  # not clearly faster
        ({4: 1.0, 2: 0.5, 1: 0.6}, 2),
        ({4: 5.0, 2: 1.2, 1: 0.6}, 1),
    ],
)
def test_a_busy_machine_uses_what_is_clearly_faster(
    monkeypatch: pytest.MonkeyPatch, cores: int, seconds: dict[int, float], chosen: int
) -> None:
    monkeypatch.setattr(threads, "_are_busy", lambda cores: True)
    times(monkeypatch, seconds)
    assert threads.choose_threads() == torch.get_num_threads() == chosen


@pytest.mark.parametrize("name", threads.THREAD_SETTINGS)
def test_the_number_of_the_user_is_kept(
    monkeypatch: pytest.MonkeyPatch, cores: int, name: str
) -> None:
    torch.set_num_threads(3)
    monkeypatch.setenv(name, "3")
    monkeypatch.setattr(threads, "_are_busy", lambda cores: True)
    times(monkeypatch, {})
    assert threads.choose_threads() == torch.get_num_threads() == 3


def test_a_trial_leaves_the_random_state_alone() -> None:
    torch.manual_seed(5)
    wanted = torch.rand(3)
    torch.manual_seed(5)
    assert threads.seconds_of(threads.trial_step(), 1) > 0
    assert torch.equal(torch.rand(3), wanted)


@pytest.mark.parametrize("given", [None, ("GOMP_SPINCOUNT", "7"), ("OMP_WAIT_POLICY", "active")])
def test_waiting_threads_spin_briefly_unless_the_user_says_otherwise(
    given: tuple[str, str] | None,
) -> None:
    environment = {key: os.environ[key] for key in os.environ} | dict([given] if given else [])
    code = (
        "import os, sys; from balancer import cli, command; "
        "command._execute = lambda *a: print(sorted("
        "(k, v) for k, v in os.environ.items() if k in ('GOMP_SPINCOUNT', 'OMP_WAIT_POLICY')), "
        "'torch' in sys.modules) or sys.exit(0); cli.main(['report'])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    wanted = given or ("GOMP_SPINCOUNT", "3000")
    assert done.stdout.strip() == f"{[wanted]} False"


def test_the_affinity_counts() -> None:
    if not hasattr(os, "sched_setaffinity"):
        pytest.skip("this system has no affinity")
    mine = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(mine)})
    try:
        assert threads.available_cores() == 1
    finally:
        os.sched_setaffinity(0, mine)


@pytest.mark.parametrize(
    ("membership", "files", "quota"),
    [
        ("0::/app/job", {"app/cpu.max": "150000 100000"}, 1.5),
        ("0::/app/job", {"app/cpu.max": "max 100000", "app/job/cpu.max": "200000 100000"}, 2.0),
        ("0::/", {"cpu.max": "max 100000"}, None),
        ("0::/app", {}, None),
        (
            "4:cpu,cpuacct:/docker",
            {"cpu/docker/cpu.cfs_quota_us": "50000", "cpu/docker/cpu.cfs_period_us": "100000"},
            0.5,
        ),
        ("4:cpu:/", {"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, None),
    ],
)
def test_the_quota_of_the_group_counts(
    tmp_path: Path, membership: str, files: dict[str, str], quota: float | None
) -> None:
    (tmp_path / "cgroup").write_text(f"12:memory:/x\n{membership}\n")
    for name, text in files.items():
        path = tmp_path / "fs" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{text}\n")
    assert threads._quota(tmp_path / "cgroup", tmp_path / "fs") == quota


@pytest.mark.parametrize(("given", "each"), [("", "2"), ("1", "1"), ("8", "2")])
def test_processes_share_the_cores(monkeypatch: pytest.MonkeyPatch, given: str, each: str) -> None:
    monkeypatch.setattr("balancer.ablation.executors.available_cores", lambda: 4)
    if given:
        monkeypatch.setenv("OMP_NUM_THREADS", given)
    processes = Processes(2)
    try:
        assert os.environ["OMP_NUM_THREADS"] == each
    finally:
        processes.close()
    assert os.environ.get("OMP_NUM_THREADS", "") == given
