"""Commands that train, test and look into a classifier, and that report, share and show."""

from pathlib import Path
from typing import Any

import click

from balancer.command import call_stage
from balancer.options import (
    Request,
    explain_options,
    serve_options,
    shared_options,
    trainer_options,
)


@click.command()
@shared_options
@trainer_options
@click.option("--with-synthetic", is_flag=True, help="Train on real and synthetic images.")
def classify(request: Request, with_synthetic: bool) -> None:
    """Train a classifier and test it once on real images."""
    call_stage("classify", request, with_synthetic=with_synthetic)


@click.command()
@click.argument("images", type=click.Path(path_type=Path), metavar="ARCHIVE")
@shared_options
@click.option("--with-synthetic", is_flag=True, help="Test the one trained with synthetic images.")
def evaluate(request: Request, images: Path, with_synthetic: bool) -> None:
    """Test a trained classifier on images of another archive."""
    call_stage("evaluate", request, images=images, with_synthetic=with_synthetic)


@click.command()
@shared_options
@explain_options
def explain(request: Request, masks: Path | None, **asked: Any) -> None:
    """Show where a classifier finds its evidence (Grad-CAM)."""
    request.options["ablation.masks"] = masks
    call_stage("explain", request, **asked)


@click.command()
@shared_options
@trainer_options
def lr_find(request: Request) -> None:
    """Plot the loss against the learning rate; suggest a rate."""
    call_stage("lr-find", request)


@click.command()
@shared_options
@click.option("--pdf", is_flag=True, help="Also print the page as a PDF, by a browser.")
def report(request: Request, pdf: bool) -> None:
    """Write the report: a page, Markdown and JSON."""
    call_stage("report", request, pdf=pdf)


@click.command()
@shared_options
@click.option("--with-synthetic", is_flag=True, help="The classifier trained with them.")
@click.option("--generator", metavar="CLASS", help="The generator of this class, no classifier.")
@click.option("--licence", metavar="NAME", help="Licence of the model for its card, such as mit.")
def export(request: Request, with_synthetic: bool, generator: str | None, **asked: Any) -> None:
    """Write a model as ONNX with its card, for other programs."""
    if with_synthetic and generator is not None:
        raise click.UsageError("--with-synthetic exports a classifier; leave out --generator.")
    call_stage("export", request, with_synthetic=with_synthetic, generator=generator, **asked)


@click.command()
@shared_options
@serve_options
def serve(request: Request, no_browser: bool, **asked: Any) -> None:
    """Serve a local page to try classifiers and generators."""
    call_stage("serve", request, browser=not no_browser, **asked)
