"""Streams that end early, are full or are no terminal: the exit code is right, no traceback."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from balancer.workspace import Workspace

CODE = "from balancer.cli import main; main()"
PREPARE = ("prepare", "-w", "{work}")
NOWHERE = ("prepare", "-w", "{work}", "--data", "nowhere")

pytestmark = pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has /dev/full")


def run(
    words: tuple[str, ...],
    work: Path,
    *,
    stdout: str | int = subprocess.PIPE,
    stderr: str | int = subprocess.PIPE,
    **variables: str,
) -> subprocess.CompletedProcess[str]:
    """Run a command; a stream that is named by a path is opened for writing."""
    # Without a buffer nothing is left to flush at the exit, where exit codes are replaced.
    environment = {name: text for name, text in os.environ.items() if name != "PYTHONUNBUFFERED"}
    streams = [
        os.open(one, os.O_WRONLY) if isinstance(one, str) else one for one in (stdout, stderr)
    ]
    try:
        return subprocess.run(
            [sys.executable, "-c", CODE, *(word.format(work=work) for word in words)],
            stdout=streams[0],
            stderr=streams[1],
            text=True,
            timeout=120,
            env=environment | variables,
        )
    finally:
        for stream, given in zip(streams, (stdout, stderr), strict=True):
            if isinstance(given, str):
                os.close(stream)


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with the index of the bundled drawings; all runs leave it as it is."""
    folder = tmp_path_factory.mktemp("streams") / "work"
    assert run(PREPARE, folder).returncode == 0
    return folder


@pytest.mark.fault(66)
@pytest.mark.parametrize(
    ("words", "code"),
    [(PREPARE, 5), (("--help",), 5), (("prepare", "--list-layouts"), 5)],
)
def test_a_full_stdout_is_a_fault_of_the_machine(
    work: Path, words: tuple[str, ...], code: int
) -> None:
    done = run(words, work, stdout="/dev/full")
    assert done.returncode == code
    assert done.stderr.splitlines()[-1].startswith("Error: ")
    assert "stdout" in done.stderr
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr


@pytest.mark.fault(66)
@pytest.mark.parametrize(
    ("words", "code"),
    [(PREPARE, 0), ((*NOWHERE, "-v"), 3), (("nonsense",), 2)],
)
def test_a_full_stderr_changes_no_exit_code(work: Path, words: tuple[str, ...], code: int) -> None:
    done = run(words, work, stderr="/dev/full")
    assert done.returncode == code
    assert bool(done.stdout) == (code == 0)


@pytest.mark.fault(66)
@pytest.mark.parametrize("words", [PREPARE, (*PREPARE, "--json"), ("--help",)])
def test_a_reader_that_leaves_is_no_fault(work: Path, words: tuple[str, ...]) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = run(words, work, stdout=writer)
    finally:
        os.close(writer)
    assert done.returncode == 0
    for word in ("Traceback", "Exception ignored", "Error"):
        assert word not in done.stderr
    assert Workspace(work).index_dir.is_dir()


@pytest.mark.fault(66)
@pytest.mark.parametrize("variables", [{}, {"TERM": "dumb", "NO_COLOR": "1"}])
def test_without_a_terminal_there_are_no_control_codes(
    work: Path, variables: dict[str, str]
) -> None:
    done = run(PREPARE, work, **variables)
    assert done.returncode == 0
    assert "COVID" in done.stdout
    assert "\x1b" not in done.stdout + done.stderr
