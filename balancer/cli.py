"""The `balancer` command: each subcommand fills the configuration and calls one stage.

Nothing heavy is imported before a command runs, so that `--help` answers at once.
"""

import importlib
import logging
import shutil
import signal
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, NoReturn

import click

from balancer.cli_types import RatioParam, Request, shared_options, trainer_options
from balancer.errors import DISK_FAULTS, BalancerError, EnvironmentFault, sentence_of

if TYPE_CHECKING:
    from balancer.config import BalancerConfig
    from balancer.results import StageResult
    from balancer.workspace import Workspace

log = logging.getLogger("balancer")


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="balancer")
def main() -> None:
    """Would GAN images help my classifier, or would something cheaper do as well?

    \b
    balancer gan-train                     trains a DCGAN on the rare class
    balancer synthesize --ratio 2:1        makes the images that are missing
    balancer classify --with-synthetic     trains and tests a classifier with them

    `balancer run` does all of it, and compares the classifier with one trained without them. Every
    command works in an empty folder, on bundled drawings of chests, until you pass --data.
    """  # noqa: D301


@main.command()
@shared_options
@click.option("--skip-bad", is_flag=True, default=None, help="Set unusable files aside.")
def prepare(request: Request, skip_bad: bool | None) -> None:
    """Check the images and split them so that nothing leaks."""
    request.options["data.skip_bad"] = skip_bad
    _call("prepare", request)


@main.command()
@shared_options
@trainer_options
@click.option("--ratio", type=RatioParam(), help="Largest class : every other. [default: 2:1]")
@click.option("--class", "classes", multiple=True, metavar="NAME", help="Train this class only.")
def gan_train(request: Request, ratio: str | None, classes: tuple[str, ...]) -> None:
    """Train a DCGAN for each class that has to grow; goes on where it was stopped."""
    request.options["synthesis.ratio"] = ratio
    _call("gan-train", request, classes=classes)


@main.command()
@shared_options
@click.option("--ratio", type=RatioParam(), help="Largest class : every other. [default: 2:1]")
@click.option("--dry-run", is_flag=True, help="Print the plan and make nothing.")
def synthesize(request: Request, ratio: str | None, dry_run: bool) -> None:
    """Make exactly the images that are missing."""
    request.options["synthesis.ratio"] = ratio
    _call("synthesize", request, dry_run=dry_run)


@main.command()
@shared_options
@click.option("--strict", is_flag=True, help="Exit 4 where a class fails the gate.")
def quality(request: Request, strict: bool) -> None:
    """Measure the generated images beside real ones, and hold them against the gate."""
    _call("quality", request, strict=strict)


@main.command()
@shared_options
@trainer_options
@click.option("--with-synthetic", is_flag=True, help="Train on real and synthetic images.")
def classify(request: Request, with_synthetic: bool) -> None:
    """Train a classifier and test it once, on real images."""
    _call("classify", request, with_synthetic=with_synthetic)


@main.command()
@shared_options
@trainer_options
@click.option("--ratio", type=RatioParam(), help="Of arms that do not say. [default: 2:1]")
@click.option("--arm", "arms", multiple=True, metavar="LINE", help="Such as 'gan ratio=1:1'.")
@click.option("--dry-run", is_flag=True, help="Print the plan with an estimate and train nothing.")
@click.option("-j", "--jobs", type=click.IntRange(min=1), default=1, help="Trainings at a time.")
@click.option("--ray", metavar="ADDRESS", help="Train on a Ray cluster instead, such as auto.")
@click.option(
    "--external",
    multiple=True,
    type=click.Path(path_type=Path),
    help="Also test on these images, a folder per class; repeatable.",
)
def ablate(
    request: Request,
    ratio: str | None,
    arms: tuple[str, ...],
    dry_run: bool,
    jobs: int,
    ray: str | None,
    external: tuple[Path, ...],
) -> None:
    """Would something cheaper do as well? Many arms, splits and seeds, compared in pairs."""
    request.options |= {"synthesis.ratio": ratio, "ablation.arms": arms or None}
    _call("ablate", request, dry_run=dry_run, jobs=jobs, ray=ray, external=external)


@main.command()
@shared_options
def report(request: Request) -> None:
    """Compare the two classifiers and write report/report.html."""
    _call("report", request)


@main.command()
@shared_options
@trainer_options
@click.option("--ratio", type=RatioParam(), help="Largest class : every other. [default: 2:1]")
def run(request: Request, ratio: str | None) -> None:
    """Do everything that is not up to date, and end in one table."""
    request.options["synthesis.ratio"] = ratio
    _call("run", request)


def _call(command: str, request: Request, **extra: object) -> None:
    _start_logging(request.verbosity)
    _stop_cleanly_on_sigterm()
    try:
        _show(_execute(command, request, extra), as_json=request.as_json)
    except BalancerError as error:
        _fail(error, error.exit_code, request.verbosity)
    except KeyboardInterrupt as error:
        code = 128 + (signal.SIGTERM if isinstance(error, _Terminated) else signal.SIGINT)
        _fail(error, code, request.verbosity, "Stopped; nothing half-written was left.")
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


class _Terminated(KeyboardInterrupt):
    """SIGTERM, which is taken like Ctrl-C: whatever is being written is taken back."""


def _stop_cleanly_on_sigterm() -> None:
    def stop(number: int, frame: FrameType | None) -> None:
        raise _Terminated

    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, stop)


def _execute(command: str, request: Request, extra: Mapping[str, object]) -> "StageResult":
    from balancer.config import load_config
    from balancer.workspace import Workspace

    config = load_config(request.source, assignments=request.assignments, options=request.options)
    workspace = Workspace(request.workspace)
    if config.data.root is not None:
        workspace.refuse_overlap(config.data.root)
    with workspace.lock():
        if command not in ("prepare", "run"):
            if config.data.root is not None:
                _stage("prepare").run(config, workspace)
            else:
                _stage("prepare").refuse_other_settings(config, workspace)
        return _with_missing(command, config, workspace, request.force, extra)


def _with_missing(
    command: str,
    config: "BalancerConfig",
    workspace: "Workspace",
    force: bool,
    extra: Mapping[str, object],
) -> "StageResult":
    from balancer.results import MissingStage

    ran: set[str] = set()
    while True:
        try:
            result: StageResult = _stage(command).run(config, workspace, force=force, **extra)
            return result
        except MissingStage as missing:
            if not missing.cheap or missing.stage in ran:
                raise
            log.info("%s Running `balancer %s` first.", sentence_of(missing), missing.stage)
            _with_missing(missing.stage, config, workspace, False, {})
            ran.add(missing.stage)


def _stage(command: str) -> Any:
    return importlib.import_module(f"balancer.stages.{command.replace('-', '_')}")


def _show(result: "StageResult", *, as_json: bool) -> None:
    if as_json:
        click.echo(result.model_dump_json(indent=2))
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
