"""The run of a command: configuration, lock, missing stages first, one sentence for an error.

Nothing heavy is imported before a stage is called.
"""

import logging
import os
import shutil
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, NoReturn, Self, TextIO

import click

from balancer.allocator import keep_freed_memory
from balancer.drawing.wording import printable
from balancer.errors import (
    BalancerError,
    EnvironmentFault,
    Interrupted,
    machine_fault,
    sentence_of,
)
from balancer.hints import with_options
from balancer.options import Request
from balancer.threads import choose_threads, spin_briefly

if TYPE_CHECKING:
    from pydantic import BaseModel
    from rich.console import RenderableType

    from balancer.results import StageResult

log = logging.getLogger("balancer")

_ECHO_SECONDS = 5.0
"""Time within which further signals are the same stop: a terminal that closes tells a process more
than once, which must not end the removal of unfinished files."""

_TRAINING = ("ablate", "classify", "gan-train", "lr-find", "lungs", "run", "travel")
"""Commands whose time is that of a network on all threads."""


def call_stage(command: str, request: Request, **extra: Any) -> None:
    """Run one stage, show its result, and exit with the code of the error if there is one.

    Args:
        command: Name of the command and of the stage.
        request: Values of the options that all commands share.
        extra: Further arguments of the `run` of the stage.
    """
    with one_sentence(request):
        _print(_execute(command, request, extra), as_json=request.as_json)
        if command == "serve":
            from balancer.execution import stage_of

            stage_of(command).wait()  # outside the lock, so that other commands can write


def write_recipe(request: Request, images: Path, ratio: str, path: Path, *, force: bool) -> None:
    """Look at images, write a first recipe, and show what was found."""
    with one_sentence(request):
        from balancer.requirements import check_libraries

        check_libraries("dicom", "excel", "parquet")
        from balancer.first_recipe import page, write_first_recipe

        made = write_first_recipe(images, ratio, path, force=force)
        print_result(made, page(made), as_json=request.as_json)


def examine_machine(request: Request) -> None:
    """Examine this machine, show what was found, and exit with 5 if a command would fail."""
    with one_sentence(request):
        try:
            from balancer.doctor.examine import examine, page, refuse_faults
        except ImportError:
            from balancer.requirements import check_libraries

            check_libraries()  # names the library, and what mends it
            raise
        examination = examine(request.workspace)
        print_result(examination, page(examination), as_json=request.as_json)
        refuse_faults(examination)


@contextmanager
def one_sentence(request: Request) -> Iterator[None]:
    """Context of the work of a command: an error ends it with one sentence and its exit code.

    Args:
        request: Values of the options that all commands share.
    """
    _start_logging(request.verbosity)
    keep_freed_memory()
    spin_briefly()
    with _StopSignals() as stop:
        try:
            yield
        except (Exception, KeyboardInterrupt) as error:
            _end(error, stop.number, request)


def _end(error: BaseException, stopped_by: int | None, request: Request) -> NoReturn:
    """Exit with one sentence and the code of an error."""
    verbosity = request.verbosity
    if isinstance(error, Interrupted):
        _fail(error, error.exit_code, verbosity)
    if stopped_by is not None or isinstance(error, KeyboardInterrupt):
        # After a signal any error counts as the stop: a terminal that is gone refuses what is
        # printed, and worker processes that got the signal too are missed.
        _fail(error, 128 + (stopped_by or signal.SIGINT), verbosity, _stopped(request))
    if isinstance(error, BalancerError):
        _fail(error, error.exit_code, verbosity)
    if fault := machine_fault(error, request.workspace):
        _fail(error, fault.exit_code, verbosity, sentence_of(fault))
    # An unforeseen error must still be one sentence.
    kind = type(error).__name__
    _fail(error, 1, verbosity, f"Unforeseen {kind}: {sentence_of(error)} (-v shows where).")


def _stopped(request: Request) -> str:
    from balancer.workspace import Workspace

    sentence = "Stopped; no half-written result is left"
    unfinished = Workspace(request.workspace).unfinished_index_dir
    if unfinished.is_dir():
        from balancer.data.ingest.journal import JOURNAL_NAME

        if (unfinished / JOURNAL_NAME).is_file():  # without it nothing can be resumed
            sentence += "; the images read so far are kept, re-run to resume"
    return f"{sentence}."


def list_layouts(context: click.Context) -> None:
    """Print the layouts of archives that `prepare` can read, and exit."""
    from balancer.data.layouts.recognition import layout_page

    click.echo(layout_page())
    context.exit()


class _Stopped(KeyboardInterrupt):
    """A signal to stop, handled like Ctrl-C: unfinished files are removed."""


class _StopSignals:
    """Context that turns SIGINT, SIGTERM and SIGHUP into `KeyboardInterrupt`.

    A signal that is ignored from the start stays ignored: `nohup` ignores SIGHUP, and a shell
    ignores SIGINT for what it runs in the background. Outside the main thread, where Python allows
    no handlers, it catches nothing.

    Attributes:
        number: Number of the first signal received; None: none.
    """

    def __init__(self) -> None:
        self.number: int | None = None
        self._received = 0.0
        self._previous: dict[int, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            for name in ("SIGINT", "SIGTERM", "SIGHUP"):
                number = getattr(signal, name, None)  # Windows has no SIGHUP
                # None: a handler that was not installed from Python and cannot be put back.
                if number and signal.getsignal(number) not in (signal.SIG_IGN, None):
                    self._previous[number] = signal.signal(number, self._stop)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _stop(self, number: int, frame: FrameType | None) -> None:
        now = time.monotonic()
        is_echo = self.number is not None and now - self._received < _ECHO_SECONDS
        if is_echo and number != signal.SIGINT:
            return
        self.number = self.number or number
        self._received = now
        raise _Stopped


def _execute(command: str, request: Request, extra: Mapping[str, Any]) -> "StageResult[Any]":
    from balancer.requirements import check_libraries

    check_libraries(*_extras(command, extra))  # before what follows imports one of them
    from balancer.config import load_config
    from balancer.execution import execute, stage_of

    config = load_config(request.source, assignments=request.assignments, options=request.options)
    if command in _TRAINING and extra.get("jobs", 1) == 1:
        choose_threads()
    run: Callable[..., StageResult[Any]] = stage_of(command).run
    return execute(command, run, config, request.workspace, force=request.force, **extra)


def _extras(command: str, extra: Mapping[str, Any]) -> list[str]:
    """Return the extras of `pyproject.toml` that a command uses for certain."""
    asked = {
        "app": command == "serve",
        "explain": command in ("explain", "serve"),
        "export": command == "export",
        "cluster": extra.get("ray") is not None,
        "spark": extra.get("engine") == "spark",
        # The files decide whether these are used.
        "dicom": True,
        "excel": True,
        "parquet": True,
        "tensorboard": command in ("ablate", "gan-train", "run"),
    }
    return [name for name, is_used in asked.items() if is_used]


def _print(result: "StageResult[Any]", *, as_json: bool) -> None:
    from balancer.execution import stage_of

    parts = () if as_json else stage_of(result.stage).summary(result)
    print_result(result, parts, as_json=as_json)


def print_result(result: "BaseModel", parts: Iterable["RenderableType"], *, as_json: bool) -> None:
    """Print a result on stdout, which may be closed or full.

    Args:
        result: What `--json` prints.
        parts: What a terminal shows in its place.
        as_json: Print the JSON.

    Raises:
        EnvironmentFault: Stdout takes nothing.
    """
    try:
        _show(result, parts, as_json=as_json)
    except BrokenPipeError:
        _abandon(sys.stdout)  # the reader has what it wanted, as `head` does
    except OSError as error:
        raise EnvironmentFault(
            f"The result should be printed, but stdout takes nothing: {error.strerror}; it is "
            "complete in the workspace, and the same command prints it again."
        ) from error


def _show(result: "BaseModel", parts: Iterable["RenderableType"], *, as_json: bool) -> None:
    if as_json:
        click.echo(result.model_dump_json(indent=2, exclude_unset=True))
        return
    from rich.console import Console

    from balancer.drawing.terminal import Shown

    # 100 columns if there is no terminal. No markup: fid[lite0], or a class in brackets, is text.
    console = Console(width=shutil.get_terminal_size((100, 24)).columns, markup=False, emoji=False)
    with console.capture() as captured:  # rich itself would exit with 1 when a reader leaves
        for part in parts:
            console.print(Shown(part))
    click.echo(captured.get(), nl=False)


class _PrintableFormatter(logging.Formatter):
    """Formats messages of the log so that no name in them can command the terminal."""

    def format(self, record: logging.LogRecord) -> str:
        return printable(super().format(record), keep="\n\t")


def _start_logging(verbosity: int) -> None:
    level = {-1: logging.WARNING, 0: logging.INFO, 1: logging.DEBUG}[verbosity]
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_PrintableFormatter("%(message)s"))
    for name in ("balancer", "gan", "classifier"):
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [handler], False
        logger.setLevel(level)


def _fail(
    error: BaseException, exit_code: int, verbosity: int, sentence: str | None = None
) -> NoReturn:
    sentence = with_options(sentence or sentence_of(error), click.get_current_context(silent=True))
    try:
        if verbosity > 0:
            import traceback

            trace = "".join(traceback.format_exception(error))
            click.echo(printable(trace, keep="\n\t"), err=True, nl=False)
        click.echo(f"Error: {printable(sentence)}", err=True)
    except OSError:
        _abandon(sys.stderr)  # nothing can be said there; the exit code still tells
    sys.exit(exit_code)


@contextmanager
def own_exit_codes() -> Iterator[None]:
    """Context of click's own texts: a stream that takes none of them changes no exit code."""
    try:
        yield
    except click.ClickException as error:
        try:
            error.show()
        except OSError:
            _abandon(sys.stderr)
        sys.exit(error.exit_code)
    except BrokenPipeError:
        _abandon(sys.stdout)  # the reader has what it wanted, as `head` does
        sys.exit(0)
    except OSError as error:
        sentence = f"The text should be printed, but stdout takes nothing: {error.strerror}; choose"
        _fail(error, EnvironmentFault.exit_code, 0, f"{sentence} another place for it.")


def settle_streams() -> None:
    """Flush stdout and stderr, and give up what they do not take.

    The interpreter would try again when it exits, complain, and replace the exit code by 120.
    """
    for stream in (sys.stdout, sys.stderr):
        if stream is not None and not stream.closed:  # None: closed before the start
            try:
                stream.flush()
            except OSError:
                _abandon(stream)


def _abandon(stream: TextIO) -> None:
    """Send what a stream still holds, and what follows, to the null device."""
    with Path(os.devnull).open("w", encoding="utf-8") as null:
        os.dup2(null.fileno(), stream.fileno())
