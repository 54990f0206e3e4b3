"""The `balancer` command: each subcommand fills the configuration and calls one stage.

Nothing heavy is imported before a command runs, so that `--help` is immediate.
"""

import click

from balancer.cli import classifiers, images, preparation, studies
from balancer.cli.group import InOrder


@click.group(
    cls=InOrder,
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


for command in (
    studies.run,
    preparation.prepare,
    preparation.audit,
    preparation.lungs,
    images.gan_train,
    images.export_split,
    images.import_synthetic,
    images.synthesize,
    images.quality,
    images.judge,
    classifiers.classify,
    classifiers.evaluate,
    classifiers.explain,
    studies.ablate,
    studies.travel,
    classifiers.report,
    classifiers.export,
    classifiers.serve,
    classifiers.lr_find,
    preparation.init,
    preparation.doctor,
):
    main.add_command(command)
