"""The frozen tier: a linear head on features of the bundled network, for arms without a generator.

The features of all images are extracted once (the cache of the image metrics). For each arm and
split a logistic regression with an L2 penalty is then fitted; it takes a fraction of a second in
place of minutes. It answers a related question, not the same one: a network that is trained on the
images is better than the head, and spreads in its own way. So the tier has a name of its own
everywhere.

The budget of every arm is the same, as the number of optimizer steps is in a study: the loss is the
weighted mean over the images an arm trains on, times the number of the split's training images,
with C = 0.01 per image. C is fixed, so nothing is tuned for any arm. With an unpenalised intercept,
the shifted logits of `logit-adjustment` change the intercept alone: it ranks images as `real` does.

What the tier reads:

- The pilot trains on the training images of the study's own splits and scores their validation
  images. It reads no test image, so it leaves the test images of every split unread, and its sizes
  are those of the study. An image that is validation in one split is test in another; what a pilot
  shows is therefore known before the study, as with every pilot on the same images, and the plan
  is to be fixed after it.
- The quick study is a study of its own. It draws its own splits from another seed, and each read of
  its test images is in the ledger as `quick:` before it happens.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from balancer.ablation.config import AblationConfig
from balancer.ablation.families.arm import Arm, FoldData, Needs
from balancer.ablation.folds import Fold, derived_seed, hold_back, plan_folds
from balancer.ablation.frozen_head import Head, fit_head, one_thread
from balancer.config import BalancerConfig
from balancer.data.index import ImageSet, Index
from balancer.errors import DataError
from balancer.imaging.config import ImageRecipe
from balancer.manifest import ImageRecord
from balancer.quality.extractors import LITE0_SIDE, load_extractor
from balancer.quality.features import Features, features_of
from balancer.ratio import TargetRatio, plan_synthesis
from balancer.workspace import Workspace
from classifier.config import ClassifierConfig

TIER = "quick (frozen features)"
Rows = NDArray[np.int64]
Times = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class FrozenImages:
    """All images of an index as features.

    Attributes:
        index: The index.
        images: Its images, in its order.
        features: float32 (N, 1280).
        labels: int64 (N,) class numbers.
    """

    index: Index
    images: ImageSet
    features: Features
    labels: NDArray[np.int64]

    def of(self, records: Sequence[ImageRecord]) -> "FrozenImages":
        """Return some of the images, with the splits of their records."""
        row_of = {record.image_id: row for row, record in enumerate(self.index.records)}
        rows = [row_of[record.image_id] for record in records]
        return FrozenImages(
            replace(self.index, records=records),
            ImageSet(records, self.images.pixels[rows]),
            self.features[rows],
            self.labels[rows],
        )


@dataclass(frozen=True, slots=True)
class FrozenFold:
    """One split, as arms are trained on it.

    Attributes:
        name: Name of the split.
        data: Its images and settings.
        all: Features and labels of all images.
        positive: Number of the class whose images are counted and set aside.
    """

    name: str
    data: FoldData
    all: FrozenImages
    positive: int

    def seen_in(self, images: FrozenImages) -> "FrozenFold":
        """Return the split with other views of the same images, in the same order."""
        return replace(self, all=images, data=replace(self.data, real=images.images))

    def rows(self, split: str) -> Rows:
        """Return the rows of a split, in the order of the index."""
        return np.array(
            [row for row, one in enumerate(self.data.index.records) if one.split == split], np.int64
        )

    def rare_rows(self) -> tuple[Rows, int]:
        """Return the rows of the positive class in nested order, and how many every arm has.

        The training images come first, those that were set aside last, each in random order.
        """
        rng = np.random.default_rng(derived_seed(self.data.seed, 2))
        label = self.data.index.classes[self.positive]
        base, more = self.data.training_rows(label), self.data.held_back_rows(label)
        order = [rng.permutation(np.array(rows, np.int64)) for rows in (base, more)]
        return np.concatenate(order), len(base)


def frozen_images(config: BalancerConfig, workspace: Workspace, index: Index) -> FrozenImages:
    """Extract the features of all images, or read them back.

    No arm of the tier has images of a generator, so the images need not be as small as those; they
    are read at the side of the extractor's input.
    """
    images = index.image_set(max(config.classifier_image_size, LITE0_SIDE))
    cache: Path = workspace.feature_cache_dir
    with one_thread():
        features = features_of(load_extractor("lite0"), images.pixels, cache=cache)
    numbers = {label: number for number, label in enumerate(index.classes)}
    labels = np.array([numbers[record.label] for record in index.records], np.int64)
    return FrozenImages(index, images, features, labels)


def frozen_views(
    config: BalancerConfig, workspace: Workspace, index: Index, arms: Sequence[Arm]
) -> dict[str, FrozenImages]:
    """Return arm to the features of all images as the arm sees them; arms that see alike share."""
    of_view: dict[ImageRecipe, FrozenImages] = {}
    found = {}
    for arm in arms:
        view = arm.preprocessing(index.preprocessing)
        if view not in of_view:
            of_view[view] = frozen_images(config, workspace, arm.seen(index))
        found[arm.name] = of_view[view]
    return found


def frozen_folds(
    config: BalancerConfig,
    workspace: Workspace,
    images: FrozenImages,
    positive: str,
    *,
    seed: int,
    aside: bool = True,
) -> list[FrozenFold]:
    """Split the images `ablation.frozen_splits` times, and set rare images aside in each split.

    Images are set aside of the positive class alone, so that the curve over its number is known
    beyond what every arm has. With the seed of the study, its own splits come first. Without
    `aside`, every arm trains on all training images.

    Raises:
        DataError: A class has too few groups.
    """
    index, ablation = images.index, config.ablation
    folds = plan_folds(
        index.records,
        _repeated(ablation),
        config.data.split,
        held_back=(),
        positive=positive,
        seed=seed,
    )
    found = []
    for fold in folds[: max(ablation.frozen_splits, 1)]:
        kept = _set_aside(fold, positive, config, seed) if aside else fold
        found.append(_frozen_fold(config, workspace, images, kept, positive, seed))
    return found


def frozen_source_folds(
    config: BalancerConfig,
    workspace: Workspace,
    images: FrozenImages,
    positive: str,
    folds: Iterable[Fold],
) -> list[FrozenFold]:
    """Return splits that leave a source out; they hold a part of the images."""
    return [
        _frozen_fold(config, workspace, images.of(fold.records), fold, positive, config.seed)
        for fold in folds
    ]


def _frozen_fold(
    config: BalancerConfig,
    workspace: Workspace,
    images: FrozenImages,
    fold: Fold,
    positive: str,
    seed: int,
) -> FrozenFold:
    data = FoldData(
        place=workspace,
        index=replace(images.index, records=fold.records),
        real=images.images,
        config=config,
        seed=derived_seed(seed, fold.number, 0, 2),
    )
    return FrozenFold(fold.name, data, images, images.index.classes.index(positive))


def _repeated(ablation: AblationConfig) -> AblationConfig:
    per_repeat = ablation.folds if ablation.resampling == "folds" else 1
    repeats = -(-ablation.frozen_splits // per_repeat)
    return ablation.model_copy(update={"repeats": repeats})


def _set_aside(fold: Fold, positive: str, config: BalancerConfig, seed: int) -> Fold:
    """Set images of the positive class aside as the study does, if it is rare enough."""
    if config.ablation.rare_images is not None:
        return fold  # they are set aside already
    labels = [record.label for record in fold.records if record.split == "train"]
    counts = {label: labels.count(label) for label in sorted(set(labels))}
    plans = plan_synthesis(counts, TargetRatio.parse(config.synthesis.ratio))
    if not any(plan.label == positive and plan.to_make for plan in plans):
        return fold
    try:
        records = hold_back(
            fold.records,
            positive,
            share=config.ablation.held_back_share,
            seed=derived_seed(seed, fold.number, 1),
        )
    except DataError:
        return fold
    return replace(fold, records=tuple(records))


def can_train(arm: Arm, fold: FrozenFold) -> bool:
    """Return whether a split has what the arm needs: images set aside, if it takes such."""
    label = fold.data.index.classes[fold.positive]
    return arm.needs is not Needs.HELD_BACK or bool(fold.data.held_back_rows(label))


def train_arm(arm: Arm, fold: FrozenFold) -> Head:
    """Train the head of an arm on a split's training images."""
    recipe = arm.recipe(fold.data.config.classifier)
    return _fit(fold, _shown(arm, fold), recipe)


def n_shown(arm: Arm, fold: FrozenFold, label: str) -> int:
    """Return the number of images of a class that an arm trains on, repeats included."""
    shown = _shown(arm, fold)
    return int(shown.times[shown.labels == fold.data.index.classes.index(label)].sum())


@dataclass(frozen=True, slots=True)
class _Shown:
    """Training set of a head: the images of the index, then blends.

    Attributes:
        features: float32 (M, d).
        labels: int64 (M,).
        times: Number of times that each is shown, float64 (M,).
    """

    features: Features
    labels: NDArray[np.int64]
    times: Times

    def and_blends(self, features: NDArray[np.float64], label: int) -> "_Shown":
        """Add features of a class, each shown once."""
        return _Shown(
            np.concatenate([self.features, features.astype(np.float32)]),
            np.concatenate([self.labels, np.full(len(features), label, np.int64)]),
            np.concatenate([self.times, np.ones(len(features))]),
        )


def _shown(arm: Arm, fold: FrozenFold) -> _Shown:
    """Return what an arm trains on."""
    shown = _Shown(fold.all.features, fold.all.labels, np.zeros(len(fold.all.labels)))
    rng = np.random.default_rng(derived_seed(fold.data.seed, 1))
    for own in arm.rows(fold.data, rng).values():
        shown.times[own] += 1
    for label, count in arm.images_wanted(fold.data.index).items():
        if arm.needs is Needs.HELD_BACK and not fold.data.held_back_rows(label):
            continue  # images are set aside of the positive class alone
        rows = arm.rows_to_add(fold.data, label, count, rng)
        blend = arm.blend(fold.data, label, rows, fold.all.features, rng)
        if blend is None:
            np.add.at(shown.times, rows, 1)
        else:
            number = fold.data.index.classes.index(label)
            shown = shown.and_blends(blend.of(fold.all.features, rows), number)
    return shown


def train_on(n: int, fold: FrozenFold) -> Head:
    """Train a head without remedy on `n` images of the positive class, and all others.

    The subsets are nested: see `FrozenFold.rare_rows`.
    """
    times = np.zeros(len(fold.all.labels))
    times[fold.rows("train")] = 1
    order, _ = fold.rare_rows()
    times[order] = 0
    times[order[:n]] = 1
    return _fit(
        fold, _Shown(fold.all.features, fold.all.labels, times), fold.data.config.classifier
    )


def _fit(fold: FrozenFold, shown: _Shown, recipe: ClassifierConfig) -> Head:
    budget = len(fold.rows("train"))
    return fit_head(shown.features, shown.labels, shown.times, recipe, budget=budget)
