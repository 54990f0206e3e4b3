"""Resampling of whole groups over the whole data set, the same draw for every run and arm.

An image is in the test sets of several runs; a resample that draws its group twice counts it twice
in all of them. The spread is that of the test cases alone, since no classifier is trained again.
"""

from collections.abc import Sequence

import numpy as np

from balancer.ablation.arm_records import Bounds
from balancer.ablation.run_scores import COMPARED, ScoredRun
from balancer.ablation.runs import Floats
from classifier.bootstrap import group_weights


def draw(runs: Sequence[ScoredRun], n_resamples: int, seed: int) -> list[Floats]:
    """Compute the metrics of every run on the same resamples.

    Args:
        runs: Runs of all arms.
        n_resamples: Number of resamples B.
        seed: Seed for the draws.

    Returns:
        For each run float64 (len(COMPARED), B), NaN where a resample leaves a metric undefined.
    """
    names = sorted({group for run in runs for group in run.run.test.groups})
    column = {name: number for number, name in enumerate(names)}
    drawn = [np.empty((len(COMPARED), n_resamples)) for _ in runs]
    # Runs of one fold and seed share their test images, and so one table of weights.
    order = sorted(range(len(runs)), key=lambda i: (runs[i].run.fold, runs[i].run.seed))
    start = 0
    for weights in group_weights(names, n_resamples, seed):
        part = slice(start, start + len(weights))
        start += len(weights)
        last: list[str] = []
        mine = weights
        for number in order:
            groups = runs[number].run.test.groups
            if groups != last:
                last, mine = groups, weights[:, [column[group] for group in groups]]
            drawn[number][:, part] = runs[number].weighted(mine)
    return drawn


def mean_over_runs(values: Floats, splits: Sequence[str]) -> Floats:
    """Return the mean over seeds within splits, then over splits, of the defined runs.

    Args:
        values: float (R, B), NaN where undefined.
        splits: Name of the split of each run.

    Returns:
        float (B,), NaN where no run is defined.
    """
    _, place, counts = np.unique(np.asarray(splits, str), return_inverse=True, return_counts=True)
    weight = (1 / counts[place])[:, None] * ~np.isnan(values)
    total = weight.sum(0)
    summed = (weight * np.nan_to_num(values)).sum(0)
    return np.where(total > 0, summed / np.maximum(total, 1e-300), np.nan)


def percentile_interval(draws: Floats) -> Bounds:
    """Return the middle 95 % of the defined draws (B,)."""
    defined = draws[~np.isnan(draws)]
    if len(defined) == 0:
        return Bounds(low=None, high=None)
    low, high = np.percentile(defined, [2.5, 97.5])
    return Bounds(low=float(low), high=float(high))
