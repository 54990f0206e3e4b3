"""Decision curves of the arms: net benefit at each probability at which one would act.

Small because the formula should be readable beside its paper.
"""

from collections.abc import Sequence

import numpy as np

from balancer.ablation.arm_records import DecisionPoint
from balancer.ablation.differences import PairedRuns
from balancer.ablation.run_scores import DECISION_GRID, ScoredRun
from balancer.ablation.runs import Floats
from balancer.evaluation.records import Interval
from balancer.statistics.resampled_t import mean_by_split, resampled_t


def decision_curve(
    runs: Sequence[ScoredRun], to_real: PairedRuns | None, ratio: float
) -> tuple[DecisionPoint, ...]:
    """Compute the mean over the runs with its interval, and the difference to `real`.

    Args:
        runs: Runs of an arm.
        to_real: The same, paired with `real`; None of `real` itself.
        ratio: Test images per image outside the test split.

    Returns:
        A point for each of `DECISION_GRID`; none where no run defines the net benefit.
    """
    levels = _intervals([run.decision for run in runs], [run.run.fold for run in runs], ratio)
    differences: list[Interval | None] = [None] * len(DECISION_GRID)
    if to_real is not None:
        rows = [
            a.decision - b.decision for a, b in zip(to_real.arm, to_real.reference, strict=True)
        ]
        differences = list(_intervals(rows, [run.run.fold for run in to_real.arm], ratio))
    return tuple(
        DecisionPoint(threshold=threshold, level=level, difference_to_real=difference)
        for threshold, level, difference in zip(DECISION_GRID, levels, differences, strict=True)
        if level is not None and level.value is not None
    )


def _intervals(
    rows: Sequence[Floats], splits: Sequence[str], ratio: float
) -> list[Interval | None]:
    """Return the mean of each column of values, with its interval; None without a defined row."""
    defined = [number for number, row in enumerate(rows) if not np.isnan(row).any()]
    if not defined:
        return [None] * len(DECISION_GRID)
    table = np.array([rows[number] for number in defined])
    folds = [splits[number] for number in defined]
    found: list[Interval | None] = []
    for column in table.T:
        t = resampled_t(mean_by_split(column, folds), ratio)
        low, high = (t.interval() if t.se else None) or (None, None)
        found.append(Interval(value=t.mean, low=low, high=high))
    return found
