"""The `balancer` command: each subcommand fills the configuration and calls one stage.

Nothing heavy is imported before a command runs, so that `--help` is immediate.
"""

from pathlib import Path
from typing import Any

import click

from balancer.command import (
    call_stage,
    examine_machine,
    list_layouts,
    own_exit_codes,
    settle_streams,
    write_recipe,
)
from balancer.options import (
    RatioParam,
    Request,
    explain_options,
    judge_options,
    plain_options,
    prepare_options,
    serve_options,
    shared_options,
    study_options,
    trainer_options,
    travel_options,
)

_WORTH = [0.125, 0.25, 0.5]
"""Shares of the real images of the positive class that `--worth` also trains on."""


class _InOrder(click.Group):
    """A group that lists its commands in the order of the work, not of the alphabet."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)

    def make_context(self, *args: Any, **kwargs: Any) -> click.Context:
        """Read the words of the command line."""
        with own_exit_codes():
            return super().make_context(*args, **kwargs)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        with own_exit_codes():
            return super().invoke(ctx)

    def main(self, *args: Any, **kwargs: Any) -> Any:
        """Run the command line and exit."""
        try:
            return super().main(*args, **kwargs)
        finally:
            settle_streams()


@click.group(
    cls=_InOrder,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(package_name="balancer")
def main() -> None:
    """Would GAN images help my classifier, or would something cheaper do as well?

    \b
    balancer gan-train                     train a DCGAN on the rare class
    balancer synthesize --ratio 2:1        make the images that are missing
    balancer classify --with-synthetic     train and test a classifier with them

    `balancer run` does all of this and compares the classifier with one trained without synthetic
    images; `balancer ablate` compares it with cheaper remedies. Without --data every command uses
    bundled drawings of chests.
    """  # noqa: D301


@main.command()
@shared_options
@trainer_options
@click.option("--ratio", type=RatioParam(), help="Largest class : every other. [default: 2:1]")
def run(request: Request, ratio: str | None) -> None:
    """Run every stage that is not up to date; compare two arms."""
    request.options["synthesis.ratio"] = ratio
    call_stage("run", request)


@main.command()
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


@main.command()
@shared_options
@click.option("--strict", is_flag=True, help="Exit with 4 if the audit finds something.")
def audit(request: Request, strict: bool) -> None:
    """Search for copies and suspicious images; show them in a page."""
    call_stage("audit", request, strict=strict)


@main.group(cls=_InOrder)
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


@main.command()
@shared_options
@trainer_options
@click.option("--ratio", type=RatioParam(), help="Largest class : every other. [default: 2:1]")
@click.option(
    "--class", "classes", multiple=True, metavar="NAME", help="Train this class only; repeatable."
)
def gan_train(request: Request, ratio: str | None, classes: tuple[str, ...]) -> None:
    """Train a DCGAN for each rare class; re-run to resume."""
    request.options["synthesis.ratio"] = ratio
    call_stage("gan-train", request, classes=classes)


@main.command()
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


@main.command()
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
@click.option("--ratio", type=RatioParam(), help="Largest class : every other. [default: 2:1]")
def import_synthetic(
    request: Request, images: Path, label: str, ratio: str | None, **origin: Any
) -> None:
    """Take images of any generator in the place of ours."""
    if origin["trained_on"] is not None and origin["declared"]:
        raise click.UsageError("--trained-on lists what --declared only says; give one of them.")
    request.options["synthesis.ratio"] = ratio
    call_stage("import-synthetic", request, images=images, label=label, **origin)


@main.command()
@shared_options
@click.option("--ratio", type=RatioParam(), help="Largest class : every other. [default: 2:1]")
@click.option("--dry-run", is_flag=True, help="Print the plan and make no image.")
def synthesize(request: Request, ratio: str | None, dry_run: bool) -> None:
    """Make the images that the target ratio needs."""
    request.options["synthesis.ratio"] = ratio
    call_stage("synthesize", request, dry_run=dry_run)


@main.command()
@shared_options
@click.option("--strict", is_flag=True, help="Exit with 4 if a class fails the gate.")
@click.option(
    "--strict-release", is_flag=True, help="Exit with 4 unless the images are fit to share."
)
def quality(request: Request, **asked: Any) -> None:
    """Compare synthetic images with real ones; apply the gate."""
    call_stage("quality", request, **asked)


@main.command()
@click.argument("real", type=click.Path(path_type=Path))
@click.argument("synthetic", type=click.Path(path_type=Path))
@judge_options
def judge(request: Request, **asked: Any) -> None:
    """Judge the images of any generator; no workspace is needed.

    REAL and SYNTHETIC are folders of images, folders with a folder per class, tables of paths and
    labels, or workspaces.
    """
    call_stage("judge", request, **asked)


@main.command()
@shared_options
@trainer_options
@click.option("--with-synthetic", is_flag=True, help="Train on real and synthetic images.")
def classify(request: Request, with_synthetic: bool) -> None:
    """Train a classifier and test it once on real images."""
    call_stage("classify", request, with_synthetic=with_synthetic)


@main.command()
@click.argument("images", type=click.Path(path_type=Path), metavar="ARCHIVE")
@shared_options
@click.option("--with-synthetic", is_flag=True, help="Test the one trained with synthetic images.")
def evaluate(request: Request, images: Path, with_synthetic: bool) -> None:
    """Test a trained classifier on images of another archive."""
    call_stage("evaluate", request, images=images, with_synthetic=with_synthetic)


@main.command()
@shared_options
@explain_options
def explain(request: Request, masks: Path | None, **asked: Any) -> None:
    """Show where a classifier finds its evidence (Grad-CAM)."""
    request.options["ablation.masks"] = masks
    call_stage("explain", request, **asked)


@main.command()
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


@main.command()
@shared_options
@trainer_options
@travel_options
def travel(request: Request, views: tuple[str, ...], **asked: Any) -> None:
    """Ask which view of the films works at another hospital."""
    request.options["travel.views"] = views or None
    call_stage("travel", request, **asked)


@main.command()
@shared_options
def report(request: Request) -> None:
    """Write the report: a page, Markdown and JSON."""
    call_stage("report", request)


@main.command()
@shared_options
@serve_options
def serve(request: Request, no_browser: bool, **asked: Any) -> None:
    """Serve a local page to try classifiers and generators."""
    call_stage("serve", request, browser=not no_browser, **asked)


@main.command()
@shared_options
@trainer_options
def lr_find(request: Request) -> None:
    """Plot the loss against the learning rate; suggest a rate."""
    call_stage("lr-find", request)


@main.command()
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


@main.command()
@plain_options
def doctor(request: Request) -> None:
    """Check this machine: libraries, device, disk, speed."""
    examine_machine(request)
