"""Numbers behind the curves of a report, as `report.json` has them.

Apart from `curves.py`, which computes without any record.
"""

from collections.abc import Mapping, Sequence

from balancer.report.curves import Bin, ObservedShare
from balancer.results import Record


class CurvePoints(Record):
    """A curve with its band: mean over the runs, 2.5th and 97.5th percentile at each x."""

    x: Sequence[float]
    mean: Sequence[float]
    low: Sequence[float]
    high: Sequence[float]


class ReliabilityBins(Record):
    """Bins of raw and of recalibrated probabilities; None where there are none."""

    raw: Sequence[Bin] | None
    recalibrated: Sequence[Bin] | None


class ConfusionShares(Record):
    """Confusion of the runs of an arm, (C, C) each, rows: true class.

    Attributes:
        shares: Share of each true class predicted as each class; None if the class has no image.
        mean_counts: Mean number of images per run.
    """

    shares: Sequence[Sequence[ObservedShare | None]]
    mean_counts: Sequence[Sequence[float]]


class StudyCurves(Record):
    """Curves of the arms that are drawn, by name.

    Attributes:
        roc: ROC curves.
        precision_recall: Precision at each recall.
        reliability: Observed against predicted shares.
        confusion: Confusion at the chosen thresholds.
        runs: Number of runs whose predictions exist.
    """

    roc: Mapping[str, CurvePoints]
    precision_recall: Mapping[str, CurvePoints]
    reliability: Mapping[str, ReliabilityBins]
    confusion: Mapping[str, ConfusionShares]
    runs: Mapping[str, int]
