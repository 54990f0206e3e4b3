"""What an arm trains on: rows of the fold's training split, images added to them, and a recipe."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from balancer.ablation.arms import Arm
from balancer.data.index import ImageSet, Index
from balancer.data.io import Pixels
from balancer.errors import IntegrityError
from balancer.manifest import HELD_BACK
from balancer.ratio import plan_synthesis
from classifier.config import AugmentConfig, ClassifierConfig
from classifier.tables import ArrayTable
from classifier.transforms import TrainTransform

Added = Mapping[str, Pixels]
"""Images to add by the class they are labelled as: uint8 (N, S, S) each."""
Maker = Callable[[str, int], Pixels]
"""(class, number of images wanted) to uint8 (number, S, S)."""

_COPYCAT_SHIFT, _COPYCAT_NOISE = 2, 2


@dataclass(frozen=True, slots=True)
class Material:
    """What one training reads.

    Attributes:
        train: The images.
        before: Images of a first phase, if the arm has one.
        share_before: Its share of the optimizer steps.
        recipe: Of the classifier, the arm's own settings included.
        n_added: Images added (or, negative, left out) by class.
    """

    train: ArrayTable
    before: ArrayTable | None
    share_before: float
    recipe: ClassifierConfig
    n_added: Mapping[str, int]


def prepare_material(
    arm: Arm,
    index: Index,
    real: ImageSet,
    recipe: ClassifierConfig,
    *,
    make: Maker | None,
    seed: int,
) -> Material:
    """Put an arm together.

    Args:
        arm: The arm.
        index: The fold's.
        real: All real images of the fold, in the order of the index.
        recipe: What the arms share.
        make: Gives the images of arms that take them from outside the training split.
        seed: Of whatever is drawn; arms that repeat images repeat the same ones.
    """
    rows = {label: training_rows(index, label) for label in index.classes}
    wanted = images_wanted(arm, index)
    rng = np.random.default_rng(seed)
    added: dict[str, Pixels] = {}
    left_out: dict[str, int] = {}
    if arm.family == "undersample":
        rows, left_out = _undersampled(rows, arm, rng)
    elif make is not None:
        added = {label: make(label, count) for label, count in wanted.items()}
    else:
        added = {
            label: _altered(arm, real.pixels[repeated(rows[label], count, rng)], rng)
            for label, count in wanted.items()
        }
    for label, count in wanted.items():
        if arm.family != "undersample" and len(added[label]) != count:
            raise IntegrityError(
                f"The arm {arm.name} should add {count} images of {label} but got "
                f"{len(added[label])}; run `balancer ablate --force`."
            )
    n_added = {label: len(images) for label, images in added.items()} | left_out
    own_recipe = _recipe(arm, recipe)
    if arm.family == "gan-pretrain":
        others = {label: [] if label in added else own for label, own in rows.items()}
        return Material(
            _table(index.classes, rows, real, {}),
            _table(index.classes, others, real, added),
            arm.options["share"],
            own_recipe,
            n_added,
        )
    return Material(_table(index.classes, rows, real, added), None, 0.0, own_recipe, n_added)


def images_wanted(arm: Arm, index: Index) -> dict[str, int]:
    """Images that the arm adds to each class that is below its ratio."""
    if "ratio" not in arm.options:
        return {}
    plans = plan_synthesis(index.counts("train"), arm.ratio)
    return {plan.label: plan.to_make for plan in plans if plan.to_make}


def training_rows(index: Index, label: str) -> list[int]:
    """Rows of a class's training images in the index."""
    return _rows(index, label, "train")


def held_back_maker(index: Index, real: ImageSet, seed: int) -> Maker:
    """Give out the images held back, each as often as any other."""

    def make(label: str, count: int) -> Pixels:
        rows = _rows(index, label, HELD_BACK)
        if not rows:
            raise IntegrityError(
                f"held-back-real wants images of {label} that were set aside, but this fold has "
                "none; run `balancer ablate --force`."
            )
        return real.pixels[repeated(rows, count, np.random.default_rng(seed))]

    return make


def repeated(rows: list[int], count: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """`count` of the rows: all of them again and again, the last round a draw without repeats."""
    rounds = [rng.permutation(rows) for _ in range(-(-count // len(rows)))]
    return np.concatenate([*rounds, np.empty(0, np.int64)])[:count].astype(np.int64)


def _rows(index: Index, label: str, split: str) -> list[int]:
    return [
        row
        for row, record in enumerate(index.records)
        if record.split == split and record.label == label
    ]


def _undersampled(
    rows: Mapping[str, list[int]], arm: Arm, rng: np.random.Generator
) -> tuple[dict[str, list[int]], dict[str, int]]:
    """Leave images of the larger classes out until the smallest one stands in the ratio."""
    smallest = min(len(own) for own in rows.values())
    most = int(smallest * arm.ratio.value)
    kept = {
        label: sorted(rng.permutation(own)[:most].tolist()) if len(own) > most else own
        for label, own in rows.items()
    }
    return kept, {
        label: len(kept[label]) - len(own)
        for label, own in rows.items()
        if len(own) > len(kept[label])
    }


def _altered(arm: Arm, images: Pixels, rng: np.random.Generator) -> Pixels:
    """Copies of training images, changed as the arm has it."""
    if arm.family == "classic-augmentation":
        seed = int(rng.integers(2**32))
        transform = TrainTransform(_augmentation(arm), seed)
        changed = [transform(image, visit=0, index=place) for place, image in enumerate(images)]
        return np.stack(changed) if changed else images
    if arm.family == "copycat":
        return np.stack([_copied(image, rng) for image in images])
    return images


def _copied(image: Pixels, rng: np.random.Generator) -> Pixels:
    down, right = rng.integers(-_COPYCAT_SHIFT, _COPYCAT_SHIFT + 1, 2)
    padded = np.pad(image, _COPYCAT_SHIFT, mode="edge")
    top, left = _COPYCAT_SHIFT + down, _COPYCAT_SHIFT + right
    moved = padded[top : top + image.shape[0], left : left + image.shape[1]]
    noise = rng.integers(-_COPYCAT_NOISE, _COPYCAT_NOISE + 1, image.shape)
    copied: Pixels = np.clip(moved.astype(np.int64) + noise, 0, 255).astype(np.uint8)
    return copied


def _augmentation(arm: Arm) -> AugmentConfig:
    return AugmentConfig(
        warp_probability=1.0,
        rotation_degrees=arm.options["rotation"],
        shift=arm.options["shift"],
        brightness=arm.options["brightness"],
    )


def _recipe(arm: Arm, recipe: ClassifierConfig) -> ClassifierConfig:
    changes: dict[str, Any] = {}
    if arm.family == "class-weights":
        changes = {"class_weights": "balanced"}
    elif arm.family == "focal":
        changes = {"loss": "focal", "focal_gamma": arm.options["gamma"]}
    elif arm.family == "logit-adjustment":
        changes = {"loss": "logit-adjusted", "logit_adjustment_tau": arm.options["tau"]}
    elif arm.family == "balanced-batches":
        changes = {"batches": "balanced"}
    elif arm.family == "mixup":
        changes = {"mixup_alpha": arm.options["alpha"]}
    elif arm.family == "classic-augmentation" and arm.options["of"] == "all":
        changes = {"augment": _augmentation(arm).model_dump()}
    return ClassifierConfig.model_validate(recipe.model_dump() | changes)


def _table(
    classes: tuple[str, ...], rows: Mapping[str, list[int]], real: ImageSet, added: Added
) -> ArrayTable:
    chosen = sorted((row, number) for number, name in enumerate(classes) for row in rows[name])
    for row, _ in chosen:
        record = real.records[row]
        if record.split != "train" or record.label not in classes:
            raise IntegrityError(
                f"An arm should train on training images, but {record.path!r} is in "
                f"{record.split!r}; run `balancer ablate --force`."
            )
    places = [(0, row) for row, _ in chosen]
    labels = [number for _, number in chosen]
    sources = [real.pixels]
    for label, images in added.items():
        if len(images):
            places += [(len(sources), row) for row in range(len(images))]
            labels += [classes.index(label)] * len(images)
            sources.append(images)
    return ArrayTable(
        np.array(labels, np.int64), tuple(sources), np.array(places, np.int64).reshape(-1, 2)
    )
