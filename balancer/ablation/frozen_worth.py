"""Arms and learning curve of the frozen tier, as the pilot and the quick study share them."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from balancer.ablation.arms import read_arms
from balancer.ablation.families.arm import FAMILIES, Arm, Needs
from balancer.ablation.frozen_head import Head
from balancer.ablation.frozen_records import Worth
from balancer.ablation.frozen_tier import FrozenFold, can_train, train_on
from balancer.ablation.worth import FEWEST_SIZES, FEWEST_SPLITS, CurveRuns, measure_worth
from balancer.config import BalancerConfig

Floats = NDArray[np.float64]
Score = Callable[[Head, FrozenFold], float]
_FRACTIONS = (1 / 16, 1 / 8, 1 / 4, 1 / 2, 1)
_FEWEST_IMAGES = 4


def arms_of_tier(
    arms: Sequence[Arm], folds: Sequence[FrozenFold], config: BalancerConfig
) -> list[Arm]:
    """Return the arms that the tier can train, with the positive control where it is missing.

    A study of views asks what travels, not what more images would bring: it gets none.
    """
    found = [arm for arm in arms if arm.suits_frozen]
    if not any(arm.needs is Needs.HELD_BACK or arm.is_view for arm in found):
        lines = [family.family for family in FAMILIES.values() if family.needs is Needs.HELD_BACK]
        added = read_arms(lines, ratio=config.synthesis.ratio)
        found += [arm for arm in added if arm.needs is Needs.HELD_BACK]
    return [arm for arm in found if all(can_train(arm, fold) for fold in folds)]


def measure_curve(
    folds: Sequence[FrozenFold], real: Floats, score: Score
) -> tuple[Floats, int, Floats]:
    """Train on nested subsets of the rare class's images.

    Args:
        folds: K splits.
        real: Values of `real` on them, float (K,): the curve at the number that every arm has.
        score: Value of a head on a split.

    Returns:
        Numbers of images, means over the splits, float (M,); the position of the number that every
        arm has; and the values, float (K, M).
    """
    bases = [fold.rare_rows()[1] for fold in folds]
    kept = [part for part in _FRACTIONS if round(min(bases) * part) >= _FEWEST_IMAGES]
    sizes, values = [], []
    for fold, value in zip(folds, real, strict=True):
        order, base = fold.rare_rows()
        more = len(order) - base
        own = [*(round(base * part) for part in kept), *([base + more // 2] if more > 1 else [])]
        own += [len(order)] if more else []
        sizes.append(own)
        values.append([value if n == base else score(train_on(n, fold), fold) for n in own])
    means = np.array(sizes, np.float64).mean(0)
    return means, len(kept) - 1, np.array(values, np.float64)


def worth_of(
    folds: Sequence[FrozenFold],
    scores: Mapping[str, Floats],
    score: Score,
    arms: Sequence[Arm],
    config: BalancerConfig,
    *,
    real: str,
    ratio: float,
    title: str,
) -> Worth | None:
    """Measure the curve and read the arms off it.

    Args:
        folds: The splits.
        scores: Arm to its values on them.
        score: Value of a head on a split.
        arms: The arms.
        config: `ablation.margin` and `seed` are used.
        real: Name of the arm without remedy.
        ratio: Scored images per training image.
        title: Name of the metric.

    Returns:
        None: no images could be set aside, so that nothing is known beyond what every arm has; or
        there are too few images for a curve.
    """
    if not any(arm.needs is Needs.HELD_BACK for arm in arms):
        return None
    sizes, base, curve = measure_curve(folds, scores[real], score)
    if len(sizes) < FEWEST_SIZES or len(folds) < FEWEST_SPLITS or np.any(np.diff(sizes) <= 0):
        return None
    runs = CurveRuns(
        sizes=sizes,
        base=base,
        curve=curve,
        arms={name: values for name, values in scores.items() if name != real},
        truths={arm.name: float(sizes[-1] - sizes[base]) for arm in arms
                if arm.needs is Needs.HELD_BACK},
        test_to_train=ratio,
    )  # fmt: skip
    label = folds[0].data.index.classes[folds[0].positive]
    return measure_worth(
        runs, label=label, title=title, margin=config.ablation.margin, seed=config.seed
    )
