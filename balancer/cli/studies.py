"""Commands that compare: the whole run, the ablation of remedies, views at other hospitals."""

from pathlib import Path
from typing import Any

import click

from balancer.command import call_stage
from balancer.options import (
    RatioParam,
    Request,
    ratio_option,
    shared_options,
    study_options,
    trainer_options,
    travel_options,
)

_WORTH = [0.125, 0.25, 0.5]
"""Shares of the real images of the positive class that `--worth` also trains on."""


@click.command()
@shared_options
@trainer_options
@ratio_option
def run(request: Request, ratio: str | None) -> None:
    """Run every stage that is not up to date; compare two arms."""
    request.options["synthesis.ratio"] = ratio
    call_stage("run", request)


@click.command()
@shared_options
@trainer_options
@click.option("--ratio", type=RatioParam(), help="Ratio for arms that name none. [default: 2:1]")
@click.option(
    "--arm",
    "arms",
    multiple=True,
    metavar="LINE",
    help="An arm, such as 'gan ratio=1:1'; repeatable.",
)
@click.option("--register", is_flag=True, help="Write the protocol, print its hash; train nothing.")
@click.option(
    "--dry-run",
    is_flag=True,
    help="Print the plan, its duration, and by a pilot what it can decide; train nothing.",
)
@click.option("--no-pilot", is_flag=True, help="With --dry-run: the plan and its duration alone.")
@click.option(
    "--quick",
    is_flag=True,
    help="A study in minutes, on frozen features: of the arms that need no generator.",
)
@click.option(
    "--ray", metavar="ADDRESS", help="Train on the Ray cluster at this address, such as auto."
)
@click.option(
    "--slurm",
    type=click.Path(path_type=Path),
    metavar="SCRIPT",
    help="Train on a Slurm cluster, by this batch script; -j: jobs at a time. [default: 100]",
)
@click.option(
    "--worth",
    is_flag=True,
    help="Also train on fewer real images, for every arm's worth in real ones.",
)
@study_options
def ablate(
    request: Request,
    ratio: str | None,
    arms: tuple[str, ...],
    dry_run: bool,
    register: bool,
    no_pilot: bool,
    quick: bool,
    jobs: int,
    ray: str | None,
    slurm: Path | None,
    external: tuple[Path, ...],
    worth: bool,
) -> None:
    """Compare GAN images with cheaper remedies on many splits."""
    if dry_run and quick:
        raise click.UsageError("--dry-run plans a study and --quick runs one; give one of them.")
    if quick and (ray or slurm):
        raise click.UsageError("--quick trains no network; leave out --ray and --slurm.")
    if ray and slurm:
        raise click.UsageError("--ray and --slurm name two clusters; give one of them.")
    request.options |= {"synthesis.ratio": ratio, "ablation.arms": arms or None}
    request.options["ablation.worth"] = _WORTH if worth else None
    asked: dict[str, Any] = {"dry_run": dry_run, "pilot": not no_pilot, "quick": quick}
    asked["register"] = register
    asked |= {"ray": ray, "slurm": slurm}
    call_stage("ablate", request, jobs=jobs, external=external, **asked)


@click.command()
@shared_options
@trainer_options
@travel_options
def travel(request: Request, views: tuple[str, ...], **asked: Any) -> None:
    """Ask which view of the films works at another hospital."""
    request.options["travel.views"] = views or None
    call_stage("travel", request, **asked)
