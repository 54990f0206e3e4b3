"""Commands that make synthetic images, take them from elsewhere, or judge them."""

from pathlib import Path
from typing import Any

import click

from balancer.command import call_stage
from balancer.options import (
    Request,
    judge_options,
    ratio_option,
    shared_options,
    trainer_options,
)


@click.command()
@shared_options
@trainer_options
@ratio_option
@click.option(
    "--class", "classes", multiple=True, metavar="NAME", help="Train this class only; repeatable."
)
@click.option("--dry-run", is_flag=True, help="Estimate the minutes and train nothing.")
def gan_train(request: Request, ratio: str | None, classes: tuple[str, ...], dry_run: bool) -> None:
    """Train a DCGAN for each rare class; re-run to resume."""
    request.options["synthesis.ratio"] = ratio
    call_stage("gan-train", request, classes=classes, dry_run=dry_run)


@click.command()
@click.argument("label", metavar="CLASS")
@click.argument("folder", type=click.Path(path_type=Path), metavar="DIR")
@shared_options
@click.option(
    "--size",
    type=click.IntRange(8, 4096),
    help="Preprocessed squares of this side. [default: the files as they are]",
)
def export_split(request: Request, label: str, folder: Path, size: int | None) -> None:
    """Copy the training images, for a generator of your own."""
    call_stage("export-split", request, label=label, folder=folder, size=size)


@click.command()
@click.argument("images", type=click.Path(path_type=Path), metavar="DIR")
@shared_options
@click.option("--class", "label", required=True, metavar="NAME", help="Class of the images.")
@click.option("--name", help="Name of their generator. [default: that of the folder]")
@click.option("--licence", metavar="TEXT", help="Licence of the images.")
@click.option(
    "--trained-on",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="List of the images that the generator was trained on, such as ids.csv of export-split.",
)
@click.option("--declared", is_flag=True, help="I declare that it saw no validation or test image.")
@ratio_option
def import_synthetic(
    request: Request, images: Path, label: str, ratio: str | None, **origin: Any
) -> None:
    """Take images of any generator in the place of ours."""
    if origin["trained_on"] is not None and origin["declared"]:
        raise click.UsageError("--trained-on lists what --declared only says; give one of them.")
    request.options["synthesis.ratio"] = ratio
    call_stage("import-synthetic", request, images=images, label=label, **origin)


@click.command()
@shared_options
@ratio_option
@click.option("--dry-run", is_flag=True, help="Print the plan and make no image.")
def synthesize(request: Request, ratio: str | None, dry_run: bool) -> None:
    """Make the images that the target ratio needs."""
    request.options["synthesis.ratio"] = ratio
    call_stage("synthesize", request, dry_run=dry_run)


@click.command()
@shared_options
@click.option("--strict", is_flag=True, help="Exit with 4 if a class fails the gate.")
@click.option(
    "--strict-release", is_flag=True, help="Exit with 4 unless the images are fit to share."
)
def quality(request: Request, **asked: Any) -> None:
    """Compare synthetic images with real ones; apply the gate."""
    call_stage("quality", request, **asked)


@click.command()
@click.argument("real", type=click.Path(path_type=Path))
@click.argument("synthetic", type=click.Path(path_type=Path))
@judge_options
def judge(request: Request, **asked: Any) -> None:
    """Judge the images of any generator; no workspace is needed.

    REAL and SYNTHETIC are folders of images, folders with a folder per class, tables of paths and
    labels, or workspaces.
    """
    call_stage("judge", request, **asked)
