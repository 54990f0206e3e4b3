"""Options that several commands share, and the types of their values."""

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import click

from balancer.ratio import TargetRatio


class RatioParam(click.ParamType):  # type: ignore[type-arg]  # generic from click 8.5 on
    """A ratio such as `2:1`, `2.5:1` or `2`, in its normal form."""

    name = "A:B"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the ratio in its normal form; fail with an example for anything else."""
        try:
            return str(TargetRatio.parse(str(value)))
        except ValueError as error:
            self.fail(f"{error}.", param, ctx)


ratio_option = click.option(
    "--ratio", type=RatioParam(), help="Largest class : every other. [default: 2:1]"
)


@dataclass(kw_only=True)
class Request:
    """Values of the options that all commands share.

    Attributes:
        workspace: Path to the workspace.
        source: A YAML file or the name of a bundled recipe.
        assignments: Settings as `key=value`.
        force: Replace existing results.
        as_json: Print the result as JSON.
        verbosity: -1 for warnings only, 0, or 1 for more messages and tracebacks.
        options: Dotted setting to value, for the options that set one; None where not given.
    """

    workspace: Path
    source: str | None
    assignments: tuple[str, ...]
    force: bool
    as_json: bool
    verbosity: int
    options: dict[str, object] = field(default_factory=dict)


Command = Callable[..., None]

_WORKSPACE = click.option(
    "-w",
    "--workspace",
    type=click.Path(path_type=Path),
    default=Path("balancer-workspace"),
    show_default=True,
    help="Folder that every stage writes to.",
)

_PRINTING = [
    click.option("--json", "as_json", is_flag=True, help="Print the result as JSON on stdout."),
    click.option("-v", "verbose", is_flag=True, help="Show more messages, and tracebacks."),
    click.option("-q", "quiet", is_flag=True, help="Show warnings only."),
]

_PLACES = [
    _WORKSPACE,
    click.option(
        "--data",
        multiple=True,
        type=click.Path(path_type=Path),
        help="Images, such as a folder per class; repeat to merge several archives. "
        "[default: the workspace's index, else the samples]",
    ),
]
_SHARED = [
    click.option(
        "-c",
        "--config",
        "source",
        metavar="FILE|NAME",
        help="A YAML file, or a bundled recipe such as `smoke`.",
    ),
    click.option(
        "--set",
        "assignments",
        multiple=True,
        metavar="KEY=VALUE",
        help="Any setting, such as gan.batch_size=16; repeatable.",
    ),
    click.option("--seed", type=click.IntRange(0, 2**32 - 1), help="Seed for everything random."),
    click.option("--force", is_flag=True, help="Replace existing results."),
    *_PRINTING,
]

_JUDGE = [
    click.option(
        "--holdout",
        type=click.Path(path_type=Path),
        metavar="DIR",
        help="Real images that the generator did not see.",
    ),
    click.option(
        "--class",
        "classes",
        multiple=True,
        metavar="NAME",
        help="Judge this class only, or the class of a plain folder; repeatable.",
    ),
    click.option("--strict", is_flag=True, help="Exit with 4 unless every check passes."),
    click.option(
        "--strict-release", is_flag=True, help="Exit with 4 unless the images are fit to share."
    ),
    click.option(
        "--skip-bad", is_flag=True, default=None, help="Leave unusable files out and count them."
    ),
    click.option(
        "--out",
        type=click.Path(path_type=Path),
        default=Path("balancer-judge"),
        show_default=True,
        metavar="DIR",
        help="Folder to write to; the page is in judge/ inside it.",
    ),
]

_TRAINER = [
    click.option("--accelerator", help="cpu, gpu, auto, ... [default: auto]"),
    click.option("--devices", help="Number of devices, or a list of them. [default: 1]"),
    click.option("--precision", help="32-true, bf16-mixed, ... [default: 32-true]"),
    click.option("--strategy", help="auto, ddp, ... [default: auto]"),
    click.option(
        "--num-nodes", type=click.IntRange(min=1), help="Number of machines. [default: 1]"
    ),
]

_EXPLAIN = [
    click.option(
        "--model",
        "models",
        multiple=True,
        type=click.Path(path_type=Path),
        metavar="DIR",
        help="Folder of a trained classifier; repeatable. [default: those of the workspace]",
    ),
    click.option(
        "--class",
        "target",
        metavar="NAME",
        help="Class whose evidence the maps show. [default: positive class]",
    ),
    click.option(
        "--image", "images", multiple=True, metavar="ID|FILE", help="Show this image; repeatable."
    ),
    click.option(
        "--per-class",
        type=click.IntRange(0, 50),
        help="Number of right cases, and of wrong ones, per class. [default: 2]",
    ),
    click.option(
        "--layer", metavar="NAME", help="Layer of the activations. [default: last convolution]"
    ),
    click.option(
        "--masks",
        type=click.Path(path_type=Path),
        help="Folder of lung masks (setting ablation.masks).",
    ),
]

_PREPARE = [
    click.option(
        "--skip-bad", is_flag=True, default=None, help="Set unusable files aside and count them."
    ),
    click.option(
        "--engine",
        type=click.Choice(["local", "spark"]),
        default="local",
        show_default=True,
        help="Engine that reads the files.",
    ),
    click.option(
        "--master",
        metavar="URL",
        help="Address of the Spark master. [default: all cores of this machine]",
    ),
    click.option(
        "--layout",
        "layouts",
        multiple=True,
        metavar="NAME",
        help="Layout of the archive; repeat for each of several. [default: auto]",
    ),
]

_SERVE = [
    click.option(
        "--model",
        "models",
        multiple=True,
        type=click.Path(path_type=Path),
        metavar="DIR",
        help="Folder of another trained classifier; repeatable.",
    ),
    click.option(
        "--port",
        type=click.IntRange(0, 65535),
        default=7860,
        show_default=True,
        help="Port to listen on; 0 for any free port.",
    ),
    click.option(
        "--upload-limit",
        type=click.IntRange(min=1),
        default=500,
        show_default=True,
        metavar="MB",
        help="Size of all uploads together; beyond it the oldest are removed.",
    ),
    click.option(
        "--studies",
        type=click.Path(path_type=Path),
        metavar="DIR",
        help="Folder of workspaces whose studies are listed.",
    ),
    click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on."),
    click.option("--no-browser", is_flag=True, help="Do not open the page in a browser."),
]


def shared_options(command: Command) -> Command:
    """Add the options of every command, which receives them as one `Request`."""
    return _decorate(_with_request(command), [*_PLACES, *_SHARED])


def _with_request(command: Command) -> Command:
    @functools.wraps(command)
    def wrapper(
        source: str | None,
        assignments: tuple[str, ...],
        seed: int | None,
        force: bool,
        as_json: bool,
        verbose: bool,
        quiet: bool,
        workspace: Path = Path(),
        data: tuple[Path, ...] = (),
        **own: Any,
    ) -> None:
        command(
            Request(
                workspace=workspace,
                source=source,
                assignments=assignments,
                force=force,
                as_json=as_json,
                verbosity=int(verbose) - int(quiet),
                options={"data.root": data[0] if len(data) == 1 else data or None, "seed": seed},
            ),
            **own,
        )

    return wrapper


def plain_options(command: Command) -> Command:
    """Add the options of a command without settings, which receives them as one `Request`."""

    @functools.wraps(command)
    def wrapper(workspace: Path, as_json: bool, verbose: bool, quiet: bool, **own: Any) -> None:
        verbosity = int(verbose) - int(quiet)
        request = Request(
            workspace=workspace,
            source=None,
            assignments=(),
            force=False,
            as_json=as_json,
            verbosity=verbosity,
        )
        command(request, **own)

    return _decorate(wrapper, [_WORKSPACE, *_PRINTING])


def trainer_options(command: Command) -> Command:
    """Add the options of the Lightning Trainer, kept in `request.options`."""

    @functools.wraps(command)
    def wrapper(
        request: Request,
        accelerator: str | None,
        devices: str | None,
        precision: str | None,
        strategy: str | None,
        num_nodes: int | None,
        **own: Any,
    ) -> None:
        request.options |= {
            "hardware.accelerator": accelerator,
            "hardware.devices": devices,
            "hardware.precision": precision,
            "hardware.strategy": strategy,
            "hardware.num_nodes": num_nodes,
        }
        command(request, **own)

    return _decorate(wrapper, _TRAINER)


def prepare_options(command: Command) -> Command:
    """Add the options for reading archives, kept in `request.options`."""

    @functools.wraps(command)
    def wrapper(
        request: Request, skip_bad: bool | None, layouts: tuple[str, ...], **own: Any
    ) -> None:
        request.options |= {
            "data.skip_bad": skip_bad,
            "data.layout": layouts[0] if len(layouts) == 1 else layouts or None,
        }
        command(request, **own)

    return _decorate(wrapper, _PREPARE)


def judge_options(command: Command) -> Command:
    """Add the options of `judge`, which has a folder to write to in place of a workspace."""

    @functools.wraps(command)
    def wrapper(request: Request, out: Path, skip_bad: bool | None, **own: Any) -> None:
        request.options["data.skip_bad"] = skip_bad
        command(replace(request, workspace=out), **own)

    return _decorate(_with_request(wrapper), [*_JUDGE, *_SHARED])


_STUDY = (
    click.option(
        "--external",
        multiple=True,
        type=click.Path(path_type=Path),
        help="Also test on these images, an archive such as a folder per class; repeatable.",
    ),
    click.option(
        "-j", "--jobs", type=click.IntRange(min=1), default=1, help="Number of trainings at a time."
    ),
)
_TRAVEL = (
    click.option(
        "--view",
        "views",
        multiple=True,
        metavar="LINE",
        help="A view, such as 'view lungs=lungs-only' or no-lungs; repeatable.",
    ),
    click.option("--trained", is_flag=True, help="Train the network, for hours, not minutes."),
)


def study_options(command: Command) -> Command:
    """Add the options that `ablate` and `travel` share."""
    return _decorate(command, _STUDY)


def travel_options(command: Command) -> Command:
    """Add the options of `travel`."""
    return _decorate(command, [*_TRAVEL, *_STUDY])


def explain_options(command: Command) -> Command:
    """Add the options of `explain`."""
    return _decorate(command, _EXPLAIN)


def serve_options(command: Command) -> Command:
    """Add the options of `serve`."""
    return _decorate(command, _SERVE)


def _decorate(command: Command, options: Sequence[Callable[[Command], Command]]) -> Command:
    """Add options after those that the command already has, so that its own are listed first."""
    n_own = len(getattr(command, "__click_params__", []))
    for option in reversed(options):
        command = option(command)
    parameters: list[click.Parameter] = getattr(command, "__click_params__", [])
    parameters[:] = parameters[n_own:] + parameters[:n_own]  # click lists them in reverse
    return command
