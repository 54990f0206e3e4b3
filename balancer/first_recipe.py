"""`balancer init`: look at a folder of images, and write a first recipe with comments."""

import json
from collections.abc import Sequence
from pathlib import Path

from rich.console import RenderableType

import classifier
from balancer.ablation.estimate import measure_rates
from balancer.ablation.progress import duration
from balancer.config import BalancerConfig, load_config
from balancer.data.layouts.archives import read_archives
from balancer.data.roots import Roots
from balancer.errors import ConfigurationError, EnvironmentFault
from balancer.evaluation.classifier_recipe import complete_recipe
from balancer.files import replacing
from balancer.ratio import TargetRatio, plan_synthesis
from balancer.results import Record


class FirstRecipe(Record):
    """Findings of `balancer init`, and the recipe that it wrote.

    Attributes:
        path: File of the recipe.
        layout: Layout of the archive.
        classes: Number of images per class.
        to_make: Number of images per class that the ratio needs, by the share of training images.
        has_patients: True if patients of all images are known.
        seconds: Estimated duration of `balancer run` on this machine.
    """

    path: str
    layout: str
    classes: dict[str, int]
    to_make: dict[str, int]
    has_patients: bool
    seconds: float


def write_first_recipe(images: Path, ratio: str, path: Path, *, force: bool) -> FirstRecipe:
    """Look at images, estimate the time of a run, and write the recipe.

    Args:
        images: Archive, such as a folder per class.
        ratio: Target ratio, such as 2:1.
        path: File to write.
        force: Replace an existing file.

    Raises:
        ConfigurationError: The file exists.
        DataError: The images cannot be recognised or read.
        EnvironmentFault: The file cannot be written.
    """
    if path.exists() and not force:
        raise ConfigurationError(
            f"The recipe should be a new file, but {path} exists; choose another --output, or give "
            "--force."
        )
    root = images.expanduser().absolute()
    config = load_config(options={"data.root": root, "synthesis.ratio": ratio})
    scan = read_archives(Roots.of([root]), config.data)
    classes = dict.fromkeys(scan.labels, 0)
    for image in scan.images:
        classes[image.label] += 1
    share = config.data.split[0]
    plans = plan_synthesis(
        {label: max(1, round(share * n)) for label, n in classes.items()}, TargetRatio.parse(ratio)
    )
    made = FirstRecipe(
        path=str(path),
        layout=scan.layout,
        classes=classes,
        to_make={plan.label: plan.to_make for plan in plans if plan.to_make},
        has_patients=all(
            (facts := scan.metadata.get(image.path)) is not None and bool(facts.patient_id)
            for image in scan.images
        ),
        seconds=_seconds(config, [plan.real for plan in plans], [plan.to_make for plan in plans]),
    )
    try:
        with replacing(path) as file:
            file.write_text(_text(made, root, ratio), encoding="utf-8")
    except OSError as error:
        raise EnvironmentFault(
            f"The recipe should be written to {path}, but: {error.strerror}; choose another "
            "--output."
        ) from None
    return made


def page(made: FirstRecipe) -> Sequence[RenderableType]:
    """Return what a terminal shows."""
    return [f"{line}." for line in _facts(made)] + [
        f"{made.path} is the recipe; start with: balancer run -c {made.path}"
    ]


def _seconds(config: BalancerConfig, real: list[int], to_make: list[int]) -> float:
    """Estimate a run: a GAN for each class that lacks images, and two classifiers."""
    config = complete_recipe(config, beside_generated=True)
    rates = measure_rates(config)
    n_gans = sum(1 for number in to_make if number)
    steps = classifier.plan_steps(config.classifier, sum(real)).n_steps
    return n_gans * config.gan.images_shown * rates.gan_image + 2 * steps * rates.step


def _facts(made: FirstRecipe) -> list[str]:
    """Return what was found, a phrase a line."""
    counts = ", ".join(f"{label} {number}" for label, number in made.classes.items())
    facts = [f"Found by the layout {made.layout}: {counts}"]
    missing = ", ".join(f"{number} of {label}" for label, number in made.to_make.items())
    facts.append(f"Synthetic images that the ratio needs: {missing or 'none'}")
    if not made.has_patients:
        facts.append("Patients are not known: near copies alone are kept in one split")
    facts.append(f"A run takes about {duration(made.seconds)} on this machine, as busy as it is")
    return facts


def _text(made: FirstRecipe, root: Path, ratio: str) -> str:
    comments = "\n".join(f"# {line}." for line in _facts(made))
    return f"""# Recipe of `balancer init`; `docs/settings.md` has every setting.
{comments}
#
#   balancer run -c {made.path}                 GAN, classifiers with and without its images
#   balancer ablate -c {made.path} --dry-run    what a study of many splits could decide

seed: 0 # of everything random

data:
  root: {json.dumps(str(root), ensure_ascii=False)}
  # classes: {{label in the archive: class}} # other labels are left out
  # skip_bad: true # set unusable files aside and count them, in place of refusing them

synthesis:
  ratio: {json.dumps(ratio)} # largest class : every other, in the training split

gan:
  images_shown: {load_config().gan.images_shown} # real images shown; fewer: quicker, worse
"""
