"""The run of a command: configuration, lock, missing stages first, one sentence for an error.

Nothing heavy is imported before a stage is called.
"""

import logging
import shutil
import signal
import sys
import threading
from collections.abc import Callable, Mapping
from types import FrameType
from typing import TYPE_CHECKING, Any, NoReturn

import click

from balancer.allocator import keep_freed_memory
from balancer.errors import DISK_FAULTS, BalancerError, EnvironmentFault, sentence_of
from balancer.hints import with_options
from balancer.options import Request

if TYPE_CHECKING:
    from balancer.results import StageResult

log = logging.getLogger("balancer")


def call_stage(command: str, request: Request, **extra: Any) -> None:
    """Run one stage, show its result, and exit with the code of the error if there is one.

    Args:
        command: Name of the command and of the stage.
        request: Values of the options that all commands share.
        extra: Further arguments of the `run` of the stage.
    """
    _start_logging(request.verbosity)
    _stop_cleanly_on_sigterm()
    keep_freed_memory()
    try:
        _show(_execute(command, request, extra), as_json=request.as_json)
        if command == "serve":
            from balancer.execution import stage_of

            stage_of(command).wait()  # outside the lock, so that other commands can write
    except BalancerError as error:
        _fail(error, error.exit_code, request.verbosity)
    except KeyboardInterrupt as error:
        code = 128 + (signal.SIGTERM if isinstance(error, _Terminated) else signal.SIGINT)
        _fail(error, code, request.verbosity, _stopped(request))
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(0)
    except OSError as error:
        if error.errno not in DISK_FAULTS:
            _fail_unforeseen(error, request.verbosity)
        where = f" of {error.filename}" if error.filename else ""
        sentence = f"The files{where} could not be written or read: {error.strerror}; free some"
        sentence += " space, change the permissions, or choose another --workspace."
        _fail(error, EnvironmentFault.exit_code, request.verbosity, sentence)
    except Exception as error:  # an unforeseen error must still be one sentence
        _fail_unforeseen(error, request.verbosity)


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


class _Terminated(KeyboardInterrupt):
    """SIGTERM, handled like Ctrl-C: unfinished files are removed."""


def _stop_cleanly_on_sigterm() -> None:
    def stop(number: int, frame: FrameType | None) -> None:
        raise _Terminated

    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, stop)


def _execute(command: str, request: Request, extra: Mapping[str, Any]) -> "StageResult[Any]":
    from balancer.config import load_config
    from balancer.execution import execute, stage_of

    config = load_config(request.source, assignments=request.assignments, options=request.options)
    run: Callable[..., StageResult[Any]] = stage_of(command).run
    return execute(command, run, config, request.workspace, force=request.force, **extra)


def _show(result: "StageResult[Any]", *, as_json: bool) -> None:
    if as_json:
        click.echo(result.model_dump_json(indent=2, exclude_unset=True))
        return
    from rich.console import Console

    from balancer.execution import stage_of

    # 100 columns if there is no terminal. No markup: fid[lite0], or a class in brackets, is text.
    console = Console(width=shutil.get_terminal_size((100, 24)).columns, markup=False, emoji=False)
    for part in stage_of(result.stage).summary(result):
        console.print(part)


def _start_logging(verbosity: int) -> None:
    level = {-1: logging.WARNING, 0: logging.INFO, 1: logging.DEBUG}[verbosity]
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(message)s"))
    for name in ("balancer", "gan", "classifier"):
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [handler], False
        logger.setLevel(level)


def _fail_unforeseen(error: Exception, verbosity: int) -> NoReturn:
    kind = type(error).__name__
    _fail(error, 1, verbosity, f"Unforeseen {kind}: {sentence_of(error)} (-v shows where).")


def _fail(
    error: BaseException, exit_code: int, verbosity: int, sentence: str | None = None
) -> NoReturn:
    if verbosity > 0:
        import traceback

        traceback.print_exception(error)
    sentence = with_options(sentence or sentence_of(error), click.get_current_context(silent=True))
    click.echo(f"Error: {sentence}", err=True)
    sys.exit(exit_code)
