"""The tiny run that several test files look at or damage."""

import logging
import os
import shutil
import signal
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import BinaryIO, TypeGuard

import pytest
import torch
from matplotlib.figure import Figure
from PIL import Image

from balancer.config import BalancerConfig
from balancer.stages import run as everything
from balancer.workspace import Workspace
from support.forked_commands import ForkedCommands
from support.tiny_pipeline import config_for, draw_folder

pytest_plugins = ["support.registered_study"]

_DRAWN = Figure.savefig


def pytest_configure() -> None:
    """Tests must not depend on how they were started: `nohup` and `&` pass on ignored signals.

    A process started from here gets the default again, and a training in this process sees a
    handler; this process itself still lets such a signal pass.
    """
    for name in ("SIGINT", "SIGHUP"):
        number = getattr(signal, name, None)
        if number and signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, lambda *_: None)


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw_folder(tmp_path_factory.mktemp("films") / "films")


@pytest.fixture(scope="session")
def config(data: Path) -> BalancerConfig:
    return config_for(data)


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory, config: BalancerConfig) -> Workspace:
    workspace = Workspace(tmp_path_factory.mktemp("run") / "work")
    with workspace.lock(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(Figure, "savefig", _DRAWN)  # whole, also where a blank module asks first
        everything.run(config, workspace)
    return workspace


@pytest.fixture(scope="session")
def commands(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ForkedCommands]:
    """Commands as processes: the libraries are imported once for all of them."""
    if not hasattr(os, "fork"):
        pytest.skip("only POSIX forks")
    with ForkedCommands(tmp_path_factory.mktemp("commands")) as server:
        yield server


@pytest.fixture
def copied(tmp_path: Path, finished: Workspace) -> Workspace:
    """A copy of the finished run, to be damaged."""
    shutil.copytree(finished.root, tmp_path / "work")
    return Workspace(tmp_path / "work")


@pytest.fixture(autouse=True)
def loggers_of_a_library() -> Iterator[None]:
    """A command that runs in this process, in a fixture too, takes the loggers for itself."""
    _release_loggers()
    yield
    _release_loggers()


def _release_loggers() -> None:
    for name in ("balancer", "gan", "classifier"):
        logger = logging.getLogger(name)
        logger.handlers = [one for one in logger.handlers if isinstance(one, logging.NullHandler)]
        logger.propagate = True
        logger.setLevel(logging.NOTSET)


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Two threads for arrays this small wait for each other longer than they work."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module", autouse=True)
def _pictures(request: pytest.FixtureRequest) -> Iterator[None]:
    """In a module marked `blank_pictures` plots have no content: half of a small study is drawing.

    What is drawn in other processes, and in `finished`, which all modules share, is whole.
    """

    def save(figure: Figure, target: Path | BinaryIO, **words: object) -> None:
        Image.new("L", (8, 8)).save(target, format="png")

    with pytest.MonkeyPatch.context() as patch:
        if request.node.get_closest_marker("blank_pictures"):
            patch.setattr(Figure, "savefig", save)
        yield


def _failed_if_skipped(report: pytest.TestReport | pytest.CollectReport) -> None:
    """Under CI everything that a test needs is installed, so a skipped test is one that is lost."""
    if os.environ.get("CI") == "true" and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped under CI: {report.longrepr}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if item.get_closest_marker("gpu") is None:
        _failed_if_skipped(report)
    return report


def pytest_assertrepr_compare(op: str, left: object, right: object) -> list[str] | None:
    """Name the files that differ: under CI, pytest prints the bytes of both folders, whole."""
    if op != "==" or not (_is_folder(left) and _is_folder(right)):
        return None
    names = sorted(left.keys() | right.keys())
    return ["files differ:", *(name for name in names if left.get(name) != right.get(name))]


def _is_folder(value: object) -> TypeGuard[dict[str, object]]:
    return isinstance(value, dict) and any(isinstance(one, bytes) for one in value.values())


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> Generator[None]:
    """End with the names of what failed: the reasons before may be thousands of lines."""
    yield
    for outcome in ("failed", "error"):
        for report in terminalreporter.getreports(outcome):
            terminalreporter.write_line(f"{outcome}: {report.nodeid}")


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    _failed_if_skipped(report)
    return report
