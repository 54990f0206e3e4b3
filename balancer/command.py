"""How every command runs: configuration, lock, missing stages first, and one sentence for a fault.

Nothing heavy is imported before a stage is called.
"""

import importlib
import logging
import shutil
import signal
import sys
import threading
from collections.abc import Mapping
from types import FrameType
from typing import TYPE_CHECKING, Any, NoReturn

import click

from balancer.allocator import keep_freed_memory
from balancer.errors import DISK_FAULTS, BalancerError, EnvironmentFault, sentence_of
from balancer.options import Request

if TYPE_CHECKING:
    from balancer.config import BalancerConfig
    from balancer.results import UntypedResult
    from balancer.workspace import Workspace

log = logging.getLogger("balancer")


def call_stage(command: str, request: Request, **extra: object) -> None:
    """Run one stage as the user asked, show its result, and end with the exit code of a fault.

    Args:
        command: Name of the command, which is that of the stage.
        request: What all commands share.
        extra: Arguments of the stage's `run`.
    """
    _start_logging(request.verbosity)
    _stop_cleanly_on_sigterm()
    keep_freed_memory()
    try:
        _show(_execute(command, request, extra), as_json=request.as_json)
        if command == "serve":
            _stage(command).wait()  # out of the lock, so that other commands may write meanwhile
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
        sentence += " space, mend the rights, or choose another --workspace."
        _fail(error, EnvironmentFault.exit_code, request.verbosity, sentence)
    except Exception as error:  # the last door: an unforeseen fault must still be one sentence
        _fail_unforeseen(error, request.verbosity)


def _stopped(request: Request) -> str:
    from balancer.workspace import Workspace

    said = "Stopped; nothing half-written was left"
    unfinished = Workspace(request.workspace).unfinished_index_dir
    if unfinished.is_dir():
        from balancer.data.ingest.journal import JOURNAL_NAME

        if (unfinished / JOURNAL_NAME).is_file():  # without it there is nothing to go on from
            said += " but what was read of the images, so that the same command goes on there"
    return f"{said}."


def list_layouts(context: click.Context) -> None:
    """Print the archives that `prepare` can read, and leave."""
    from balancer.data.layouts.recognition import layout_page

    click.echo(layout_page())
    context.exit()


class _Terminated(KeyboardInterrupt):
    """SIGTERM, which is taken like Ctrl-C: whatever is being written is taken back."""


def _stop_cleanly_on_sigterm() -> None:
    def stop(number: int, frame: FrameType | None) -> None:
        raise _Terminated

    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, stop)


def _execute(command: str, request: Request, extra: Mapping[str, object]) -> "UntypedResult":
    from balancer.config import load_config
    from balancer.data.index_settings import as_standing, refuse_other_settings
    from balancer.data.ingest.urls import url_of
    from balancer.workspace import Workspace

    config = load_config(request.source, assignments=request.assignments, options=request.options)
    workspace = Workspace(request.workspace)
    for place in config.data.places:
        if not url_of(place):
            workspace.refuse_overlap(place)
    with workspace.lock():
        if command not in ("prepare", "run"):
            if config.data.root is not None:
                _stage("prepare").run(as_standing(config, workspace), workspace)
            else:
                refuse_other_settings(config, workspace)
        return _with_missing(command, config, workspace, request.force, extra)


def _with_missing(
    command: str,
    config: "BalancerConfig",
    workspace: "Workspace",
    force: bool,
    extra: Mapping[str, object],
) -> "UntypedResult":
    from balancer.results import MissingStage

    ran: set[str] = set()
    while True:
        try:
            result: UntypedResult = _stage(command).run(config, workspace, force=force, **extra)
            return result
        except MissingStage as missing:
            if not missing.cheap or missing.stage in ran:
                raise
            log.info("%s Running `balancer %s` first.", sentence_of(missing), missing.stage)
            _with_missing(missing.stage, config, workspace, False, {})
            ran.add(missing.stage)


def _stage(command: str) -> Any:
    stage = command.partition(" ")[0]  # `lungs train` and `lungs apply` are of one stage
    return importlib.import_module(f"balancer.stages.{stage.replace('-', '_')}")


def _show(result: "UntypedResult", *, as_json: bool) -> None:
    if as_json:
        click.echo(result.model_dump_json(indent=2, exclude_unset=True))
        return
    from rich.console import Console

    # Wide enough for the tables where there is no terminal whose width could be asked.
    # No markup: names such as fid[lite0], or a class in brackets, are text.
    console = Console(width=shutil.get_terminal_size((100, 24)).columns, markup=False, emoji=False)
    for part in _stage(result.stage).summary(result):
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
    click.echo(f"Error: {sentence or sentence_of(error)}", err=True)
    sys.exit(exit_code)
