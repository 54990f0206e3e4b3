"""The `balancer` command: each subcommand fills the configuration and calls one stage.

Nothing heavy is imported before a command runs, so that `--help` answers at once.
"""

from pathlib import Path
from typing import Any

import click

from balancer.command import call_stage, list_layouts
from balancer.options import (
    RatioParam,
    Request,
    explain_options,
    prepare_options,
    serve_options,
    shared_options,
    trainer_options,
)


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
@prepare_options
@click.option("--strict", is_flag=True, help="Exit 4 where the audit finds something.")
@click.option(
    "--list-layouts",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=lambda context, _, wanted: list_layouts(context) if wanted else None,
    help="Show the archives that can be read, and exit.",
)
def prepare(request: Request, **asked: Any) -> None:
    """Check the images and split them so that nothing leaks."""
    call_stage("prepare", request, **asked)


@main.command()
@shared_options
@click.option("--strict", is_flag=True, help="Exit 4 where the audit finds something.")
def audit(request: Request, strict: bool) -> None:
    """Look longer at the prepared images, and show every finding with pictures."""
    call_stage("audit", request, strict=strict)


@main.command()
@shared_options
@trainer_options
@click.option("--ratio", type=RatioParam(), help="Largest class : every other. [default: 2:1]")
@click.option("--class", "classes", multiple=True, metavar="NAME", help="Train this class only.")
def gan_train(request: Request, ratio: str | None, classes: tuple[str, ...]) -> None:
    """Train a DCGAN for each class that has to grow; goes on where it was stopped."""
    request.options["synthesis.ratio"] = ratio
    call_stage("gan-train", request, classes=classes)


@main.command()
@shared_options
@click.option("--ratio", type=RatioParam(), help="Largest class : every other. [default: 2:1]")
@click.option("--dry-run", is_flag=True, help="Print the plan and make nothing.")
def synthesize(request: Request, ratio: str | None, dry_run: bool) -> None:
    """Make exactly the images that are missing."""
    request.options["synthesis.ratio"] = ratio
    call_stage("synthesize", request, dry_run=dry_run)


@main.command()
@shared_options
@click.option("--strict", is_flag=True, help="Exit 4 where a class fails the gate.")
def quality(request: Request, strict: bool) -> None:
    """Measure the generated images beside real ones, and hold them against the gate."""
    call_stage("quality", request, strict=strict)


@main.command()
@shared_options
@trainer_options
@click.option("--with-synthetic", is_flag=True, help="Train on real and synthetic images.")
def classify(request: Request, with_synthetic: bool) -> None:
    """Train a classifier and test it once, on real images."""
    call_stage("classify", request, with_synthetic=with_synthetic)


@main.command()
@click.argument("images", type=click.Path(path_type=Path), metavar="ARCHIVE")
@shared_options
@click.option("--with-synthetic", is_flag=True, help="Test the one trained with synthetic images.")
def evaluate(request: Request, images: Path, with_synthetic: bool) -> None:
    """Test a trained classifier, as it is, on images of another ARCHIVE."""
    call_stage("evaluate", request, images=images, with_synthetic=with_synthetic)


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
    help="Also test on these images, an archive such as a folder per class; repeatable.",
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
    call_stage("ablate", request, dry_run=dry_run, jobs=jobs, ray=ray, external=external)


@main.command()
@shared_options
@trainer_options
def lr_find(request: Request) -> None:
    """Show how the classifier's loss depends on the learning rate, and suggest one."""
    call_stage("lr-find", request)


@main.command()
@shared_options
@explain_options
def explain(request: Request, masks: Path | None, **asked: Any) -> None:
    """Show where trained classifiers find their evidence: Grad-CAM and activations."""
    request.options["ablation.masks"] = masks
    call_stage("explain", request, **asked)


@main.command()
@shared_options
def report(request: Request) -> None:
    """Compare the two classifiers and write report/report.html."""
    call_stage("report", request)


@main.group()
def lungs() -> None:
    """Find the lungs of every film; a U-Net can learn it from masks."""


@lungs.command("train")
@shared_options
@trainer_options
@click.option(
    "--masks",
    type=click.Path(path_type=Path),
    help="Folder of lung masks. [default: those of the archive]",
)
def lungs_train(request: Request, masks: Path | None) -> None:
    """Train a small U-Net on lung masks; films held back judge it."""
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
    """Write a lung mask, with its quality, for every image of the index."""
    request.options |= {"lungs.masks": masks, "lungs.method": method}
    call_stage("lungs", request, action="apply")


@main.command()
@shared_options
@serve_options
def serve(request: Request, no_browser: bool, **asked: Any) -> None:
    """Show classifiers, generators and the ablation in a page of this machine alone."""
    call_stage("serve", request, browser=not no_browser, **asked)


@main.command()
@shared_options
@trainer_options
@click.option("--ratio", type=RatioParam(), help="Largest class : every other. [default: 2:1]")
def run(request: Request, ratio: str | None) -> None:
    """Do everything that is not up to date, and end in one table."""
    request.options["synthesis.ratio"] = ratio
    call_stage("run", request)
