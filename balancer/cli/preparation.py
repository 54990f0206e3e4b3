"""Commands before any training: a first recipe, this machine, the images and their lungs."""

from pathlib import Path
from typing import Any

import click

from balancer.cli.group import InOrder
from balancer.command import call_stage, examine_machine, list_layouts, write_recipe
from balancer.options import (
    RatioParam,
    Request,
    plain_options,
    prepare_options,
    shared_options,
    trainer_options,
)


@click.command()
@plain_options
@click.option(
    "--data",
    type=click.Path(path_type=Path),
    help="Images, such as a folder per class. [default: asks]",
)
@click.option(
    "--ratio",
    type=RatioParam(),
    default="2:1",
    show_default=True,
    help="Largest class : every other.",
)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    default=Path("balancer.yaml"),
    show_default=True,
    help="File to write.",
)
@click.option("--force", is_flag=True, help="Replace an existing file.")
def init(request: Request, data: Path | None, ratio: str, output: Path, force: bool) -> None:
    """Look at your images; write a first recipe with comments."""
    try:
        data = data or Path(click.prompt("Folder of the images, one folder per class", err=True))
    except click.Abort:
        raise click.UsageError("--data should name the images; nobody answered.") from None
    write_recipe(request, data, ratio, output, force=force)


@click.command()
@plain_options
def doctor(request: Request) -> None:
    """Check this machine: libraries, device, disk, speed."""
    examine_machine(request)


@click.command()
@shared_options
@prepare_options
@click.option("--strict", is_flag=True, help="Exit with 4 if the audit finds something.")
@click.option(
    "--list-layouts",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=lambda context, _, wanted: list_layouts(context) if wanted else None,
    help="List the layouts of archives that can be read, and exit.",
)
def prepare(request: Request, **asked: Any) -> None:
    """Read the images, audit them and split them without leaks."""
    call_stage("prepare", request, **asked)


@click.command()
@shared_options
@click.option("--strict", is_flag=True, help="Exit with 4 if the audit finds something.")
def audit(request: Request, strict: bool) -> None:
    """Search for copies and suspicious images; show them in a page."""
    call_stage("audit", request, strict=strict)


@click.group(cls=InOrder)
def lungs() -> None:
    """Find the lungs of every image; train a U-Net from masks."""


@lungs.command("train")
@shared_options
@trainer_options
@click.option(
    "--masks",
    type=click.Path(path_type=Path),
    help="Folder of lung masks. [default: those of the archive]",
)
def lungs_train(request: Request, masks: Path | None) -> None:
    """Train a small U-Net on lung masks and test it on held-out ones."""
    request.options["lungs.masks"] = masks
    call_stage("lungs", request, action="train")


@lungs.command("apply")
@shared_options
@click.option(
    "--masks",
    type=click.Path(path_type=Path),
    help="Folder of masks to compare with. [default: those of the archive]",
)
@click.option(
    "--method",
    type=click.Choice(["auto", "classical", "unet"]),
    help="auto: the U-Net trained in this workspace, else classical. [default: auto]",
)
def lungs_apply(request: Request, masks: Path | None, method: str | None) -> None:
    """Write a lung mask and its quality for every image."""
    request.options |= {"lungs.masks": masks, "lungs.method": method}
    call_stage("lungs", request, action="apply")
