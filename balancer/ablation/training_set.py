"""The images and the recipe that an arm trains with in one fold."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from balancer.ablation.families.arm import Arm, FoldData
from balancer.ablation.folds import derived_seed
from balancer.data.index import ImageSet
from balancer.data.io import Pixels
from balancer.errors import IntegrityError
from classifier.config import ClassifierConfig
from classifier.tables import ArrayTable


@dataclass(frozen=True, slots=True)
class TrainingSet:
    """The images and the recipe of one training.

    Attributes:
        train: The images.
        before: Images of a first phase, if the arm has one.
        share_before: Share of the optimizer steps of that phase.
        recipe: Settings of the classifier, the arm's own included.
        n_added: Number of images added (or, negative, left out) by class.
    """

    train: ArrayTable
    before: ArrayTable | None
    share_before: float
    recipe: ClassifierConfig
    n_added: Mapping[str, int]


def training_set(arm: Arm, fold: FoldData) -> TrainingSet:
    """Put the training images and the recipe of an arm together.

    Arms that repeat images repeat the same ones: what is drawn depends on the seed of the unit.

    Raises:
        DataError: The fold has too few images for the arm.
        IntegrityError: Images of the fold were changed, or are not those that the arm should get.
    """
    index, real = fold.index, fold.real
    rng = np.random.default_rng(derived_seed(fold.seed, 1))
    make = arm.maker(fold, rng)
    rows = arm.rows(fold, rng)
    added: dict[str, Pixels] = {}
    for label, count in arm.images_wanted(index).items():
        added[label] = make(label, count)
        if len(added[label]) != count:
            raise IntegrityError(
                f"The arm {arm.name} should add {count} images of {label} but got "
                f"{len(added[label])}; run `balancer ablate --force`."
            )
    all_rows = {label: len(fold.training_rows(label)) for label in index.classes}
    left_out = {
        label: len(own) - all_rows[label]
        for label, own in rows.items()
        if len(own) < all_rows[label]
    }
    n_added = {label: len(images) for label, images in added.items()} | left_out
    recipe, share = arm.recipe(fold.config.classifier), arm.pretraining_share
    if share is None:
        return TrainingSet(_table(index.classes, rows, real, added), None, 0.0, recipe, n_added)
    others = {label: [] if label in added else own for label, own in rows.items()}
    before = _table(index.classes, others, real, added)
    return TrainingSet(_table(index.classes, rows, real, {}), before, share, recipe, n_added)


def _table(
    classes: tuple[str, ...],
    rows: Mapping[str, list[int]],
    real: ImageSet,
    added: Mapping[str, Pixels],
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
