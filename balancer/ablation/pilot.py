"""The pilot of `balancer ablate --dry-run`: what a study can show, before it is paid for.

Heads on frozen features are trained on the training images of the study's splits, and of more
splits drawn in the same way, and score the validation images; no test image is read. The spread of
their differences says what the planned number of splits can show, by the noncentral t, and how many
splits end "equivalent" within the margin if nothing differs. The curve over the number of rare
images says what more of them are worth.
"""

import time
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from balancer.ablation.frozen_head import RANKING, Head, ranking_score
from balancer.ablation.frozen_records import PilotArm, PilotResult
from balancer.ablation.frozen_tier import (
    TIER,
    FrozenFold,
    frozen_folds,
    frozen_images,
    frozen_views,
    train_arm,
)
from balancer.ablation.frozen_worth import arms_of_tier, worth_of
from balancer.ablation.pilot_sentences import pilot_sentences
from balancer.ablation.plan import Plan
from balancer.ablation.runs import REAL
from balancer.config import BalancerConfig
from balancer.data.index import Index
from balancer.drawing.numbers import METRICS
from balancer.evaluation.records import Scalar
from balancer.manifest import HELD_BACK
from balancer.statistics.resampled_t import resampled_t
from balancer.statistics.sample_size import (
    detectable_difference,
    factor_of_images,
    interval_of_sd,
    splits_to_decide,
)
from balancer.workspace import Workspace

Floats = NDArray[np.float64]
_OUTSIDE = ("train", HELD_BACK)


def run_pilot(
    config: BalancerConfig, workspace: Workspace, index: Index, plan: Plan
) -> PilotResult:
    """Measure the spread, the learning curve and the worth of real images.

    Args:
        config: Configuration of the study.
        workspace: Workspace; only the cache of features is written.
        index: The main index.
        plan: Plan of the study.

    Raises:
        DataError: A class has too few groups for the splits.
    """
    started = time.monotonic()
    primary = config.ablation.primary if config.ablation.primary in RANKING else RANKING[0]

    def score(head: Head, fold: FrozenFold) -> float:
        rows = fold.rows("val")
        found = head.probabilities(fold.all.features[rows])
        return ranking_score(primary, found, fold.all.labels[rows], fold.positive)

    images = frozen_images(config, workspace, index)
    folds = frozen_folds(config, workspace, images, plan.positive, seed=config.seed)
    arms = arms_of_tier(plan.arms, folds, config)
    views = frozen_views(config, workspace, index, arms)
    scores = {}
    for arm in arms:
        seen = [fold.seen_in(views[arm.name]) for fold in folds]
        scores[arm.name] = np.array([score(train_arm(arm, fold), fold) for fold in seen])
    ratio = _mean(folds, "val") / _mean(folds, *_OUTSIDE)
    worth = worth_of(
        folds, scores, score, arms, config, real=REAL, ratio=ratio, title=METRICS[primary]
    )
    result = PilotResult(
        tier=TIER,
        primary=primary,
        primary_title=METRICS[primary],
        margin=config.ablation.margin,
        alpha=config.ablation.alpha,
        study_splits=len(plan.folds),
        pilot_splits=len(folds),
        n_train=_mean(folds, "train"),
        n_scored=_mean(folds, "val"),
        test_to_train=_mean(folds, "test") / _mean(folds, *_OUTSIDE, "val"),
        level=float(scores[REAL].mean()),
        arms={},
        unknown=tuple(arm.name for arm in plan.arms if arm.name not in scores),
        worth=worth,
        sentences=(),
        seconds=0.0,
    )
    found = {
        name: _of_arm(values - scores[REAL], result, ratio, _scale(folds))
        for name, values in scores.items()
        if name != REAL
    }
    result = result.model_copy(update={"arms": found})
    generated = [arm.name for arm in plan.arms if arm.shows_generated]
    sentences = pilot_sentences(result, generated, wanted=config.ablation.primary)
    seconds = round(time.monotonic() - started, 1)
    return result.model_copy(update={"sentences": tuple(sentences), "seconds": seconds})


def _of_arm(differences: Floats, study: PilotResult, ratio: float, scale: float) -> PilotArm:
    """Sum up the differences of an arm to `real` on the splits of the pilot.

    Args:
        differences: float (K,).
        study: The study, its arms not yet filled in.
        ratio: Scored images per training image of the pilot.
        scale: Factor from the spread on validation images to that on test images.
    """
    mean = resampled_t(differences, ratio)
    low, high = mean.interval() or (None, None)
    sd = float(differences.std(ddof=1)) * scale
    sd_low, sd_high = interval_of_sd(sd, len(differences))
    rule = {"margin": study.margin, "alpha": study.alpha}
    k = study.study_splits
    return PilotArm(
        difference=Scalar(value=mean.mean, low=low, high=high),
        sd=sd,
        sd_low=sd_low,
        sd_high=sd_high,
        detectable=None
        if k < 2
        else detectable_difference(sd, k, study.test_to_train, alpha=study.alpha),
        splits_needed=splits_to_decide(sd, study.test_to_train, **rule),
        images_factor=factor_of_images(sd, study.test_to_train, **rule),
    )


def _mean(folds: Sequence[FrozenFold], *splits: str) -> float:
    """Return the number of images in some splits, mean over the folds."""
    return float(np.mean([sum(len(fold.rows(split)) for split in splits) for fold in folds]))


def _scale(folds: Sequence[FrozenFold]) -> float:
    """Return the factor on the spread that the number of positive test images brings."""
    counts = {
        split: np.mean([_n_positive(fold, split) for fold in folds]) for split in ("val", "test")
    }
    return float(np.sqrt(counts["val"] / counts["test"]))


def _n_positive(fold: FrozenFold, split: str) -> int:
    return int((fold.all.labels[fold.rows(split)] == fold.positive).sum())
