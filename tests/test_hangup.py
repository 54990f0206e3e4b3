"""A terminal that closes: what it started saves its work, unless it runs under `nohup`."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest

from balancer.ablation.executors import Processes
from balancer.ablation.schedule import Task
from support.tiny_pipeline import arguments

pty = pytest.importorskip("pty", reason="only POSIX has terminals of this kind")
CODE = "from balancer.cli import main; main()"
LONG = ("gan.images_shown=640000", "gan.checkpoint_every=160")


def wait_for(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def in_a_terminal(words: list[str], before: str = "") -> tuple[int, int]:
    """Start a command whose standard streams are a terminal; return its pid and the terminal."""
    pid, terminal = pty.fork()
    if pid == 0:  # the only thing a process may do after such a fork is to become another one
        os.execv(sys.executable, [sys.executable, "-c", before + CODE, *words])
    return pid, terminal


def read_until(terminal: int, path: Path) -> None:
    """Read what is shown, as a terminal does, until a file exists."""
    os.set_blocking(terminal, False)

    def exists() -> bool:
        with suppress(BlockingIOError):  # nothing new is shown
            os.read(terminal, 1 << 16)
        return path.exists()

    wait_for(exists)


def is_newer(path: Path, last: os.stat_result) -> bool:
    return path.stat().st_mtime_ns > last.st_mtime_ns


def exit_code(pid: int) -> int:
    status = 0

    def ended() -> bool:
        nonlocal status
        found, status = os.waitpid(pid, os.WNOHANG)
        return found == pid

    wait_for(ended)
    return os.waitstatus_to_exitcode(status)


@pytest.mark.fault(39)
def test_a_training_whose_terminal_closes_saves_its_work(data: Path, tmp_path: Path) -> None:
    state = tmp_path / "work" / "gan" / "COVID.unfinished" / "last.ckpt"
    words = ["gan-train", *arguments(data, tmp_path / "work", *LONG)]
    pid, terminal = in_a_terminal(words)
    read_until(terminal, state)
    first = state.stat().st_mtime_ns
    generator = state.with_name("generator.safetensors")
    assert not generator.exists()  # it is written at the end, planned or not
    os.close(terminal)
    assert exit_code(pid) == 129
    assert state.stat().st_mtime_ns > first
    assert generator.exists()


def test_a_training_under_nohup_goes_on(data: Path, tmp_path: Path) -> None:
    state = tmp_path / "work" / "gan" / "COVID.unfinished" / "last.ckpt"
    words = ["gan-train", *arguments(data, tmp_path / "work", *LONG)]
    ignoring = "import signal; signal.signal(signal.SIGHUP, signal.SIG_IGN)\n"
    pid, terminal = in_a_terminal(words, ignoring)
    read_until(terminal, state)
    os.close(terminal)
    os.kill(pid, signal.SIGHUP)
    for _ in range(2):  # the second one was begun after the signal
        last = state.stat()
        wait_for(partial(is_newer, state, last))
    os.kill(pid, signal.SIGTERM)
    assert exit_code(pid) == 143


DRIVER = """
import functools, os, pathlib, sys, time
from balancer.ablation.executors import Processes
from balancer.ablation.schedule import Task
from test_hangup import unit
if __name__ == "__main__":
    pool = Processes(1)
    for number in range(3):
        pool.submit(Task(str(number), functools.partial(unit, sys.argv[1], number)))
    time.sleep(1000)
"""


def unit(folder: str, number: int) -> None:
    """Note that a unit of work began, and work for long."""
    path = Path(folder) / f"unit-{number}"
    path.write_text(str(os.getpid()))
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline:
        time.sleep(0.05)


def is_running(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="reads /proc")
def test_a_worker_ends_with_its_driver_and_takes_no_further_unit(tmp_path: Path) -> None:
    (tmp_path / "driver.py").write_text(DRIVER)
    paths = os.pathsep.join([str(Path(__file__).parent), *sys.path])
    driver = subprocess.Popen(
        [sys.executable, str(tmp_path / "driver.py"), str(tmp_path)],
        env=os.environ | {"PYTHONPATH": paths},
    )
    try:
        wait_for(lambda: (tmp_path / "unit-0").exists() and (tmp_path / "unit-0").read_text())
        worker = int((tmp_path / "unit-0").read_text())
    finally:
        driver.kill()
        driver.wait()
    wait_for(lambda: not is_running(worker))
    assert not (tmp_path / "unit-1").exists()


def test_a_closing_terminal_leaves_workers_to_their_driver() -> None:
    pool = Processes(1)
    try:
        assert pool.submit(Task("handler", _handler_of_sighup)).result(120) is signal.SIG_IGN
    finally:
        pool.close()


def _handler_of_sighup() -> object:
    return signal.getsignal(signal.SIGHUP)
