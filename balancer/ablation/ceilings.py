"""Arms at the maximum of a metric: what could be gained there, and what the test cases exclude.

Small because what a maximum of a metric excludes is a subject of its own.
"""

import numpy as np

from balancer.ablation.differences import ArmRuns, PairedRuns
from balancer.ablation.run_scores import AT_SPECIFICITY, NET_BENEFIT, ScoredRun
from balancer.statistics.ceiling import Ceiling

_PAIRS = ("auroc",)
_OF_POSITIVES = ("sensitivity", AT_SPECIFICITY, "average_precision", "f1")


def ceiling_of(pair: PairedRuns, key: str) -> Ceiling | None:
    """Return how many comparisons went right, where an arm and `real` score 1 on every split.

    Args:
        pair: Runs of an arm and of `real`.
        key: Key of a metric; the net benefit has no fixed maximum.
    """
    runs = [*pair.arm, *pair.reference]
    if not runs or key == NET_BENEFIT or any(run.values[key] != 1 for run in runs):
        return None
    positives = {
        image
        for run in runs
        for image, mine in zip(run.run.test.image_ids, run.is_positive, strict=True)
        if mine
    }
    return Ceiling(n_trials=min(_n_trials(run, key) for run in runs), n_cases=len(positives))


def _n_trials(run: ScoredRun, key: str) -> int:
    """Return the number of comparisons of a run that could have gone wrong."""
    m, n = int(run.is_positive.sum()), int((~run.is_positive).sum())
    if key in _PAIRS:
        return m * n
    if key in _OF_POSITIVES:
        return m
    if key == "specificity":
        return n
    if key == "accuracy":
        return m + n
    counts = np.bincount(run.run.test.labels)
    return int(counts[counts > 0].min())


def room_above(real: ArmRuns, key: str, ratio: float) -> float | None:
    """Return 1 minus the lower end of the interval of `real`: what any arm could gain at most.

    Args:
        real: Runs of real images alone.
        key: Key of a metric.
        ratio: Test images per image outside the test split.
    """
    t = None if key == NET_BENEFIT else real.t(key, ratio)
    ends = t.interval() if t is not None and t.se else None
    return None if ends is None else 1 - ends[0]
