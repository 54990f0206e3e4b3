"""Typed results of one arm: means over its runs, each run, tests against references, the verdict.

Undefined values are None with a reason. Fields are in the order of the file.
"""

from collections.abc import Mapping
from typing import Literal

from pydantic import Field

from balancer.ablation.runs import Kind
from balancer.evaluation.records import Interval, Scalar
from balancer.results import Record
from balancer.statistics.verdict import Role, Word


class Level(Interval):
    """Mean of a metric over the runs of an arm, with its 95 % interval.

    Attributes:
        sd_runs: Standard deviation between the runs.
        sd_cases: Standard deviation that other test cases would cause, by bootstrap within a run.
        n: Number of runs that define the metric.
        reason: Reason why it is undefined in all runs.
        skipped: Number of runs that do not define it, and why.
    """

    sd_runs: float | None
    sd_cases: float | None
    n: int
    reason: str | None = None
    skipped: str | None = None


class Calibration(Record):
    """Brier score, ECE, slope and intercept of the probabilities.

    Attributes:
        raw: As the classifier gives them.
        recalibrated: After slope and intercept by validation images; empty in early versions.
        corrected: The recalibrated ones at class shares that were given, the Brier score alone. In
            early versions raw ones with the prior of the training undone.
    """

    raw: Mapping[str, Level]
    recalibrated: Mapping[str, Level] = Field(default_factory=dict)
    corrected: Mapping[str, Level] = Field(default_factory=dict)


class RunScores(Record):
    """Scores of one run; None where a score is undefined, or was not measured.

    Attributes:
        fold: Name of the split.
        seed: Number of the training seed.
        threshold: Threshold chosen on validation images; None with more than two classes.
    """

    fold: str
    seed: int
    threshold: float | None
    auroc: float | None
    average_precision: float | None
    balanced_accuracy: float | None
    sensitivity: float | None
    specificity: float | None
    accuracy: float | None
    f1: float | None
    mcc: float | None
    sensitivity_at_specificity: float | None
    brier_raw: float | None
    brier_corrected: float | None = None
    ece_raw: float | None
    slope_raw: float | None
    intercept_raw: float | None
    ece_corrected: float | None = None
    slope_corrected: float | None = None
    intercept_corrected: float | None = None
    macro_auroc: float | None = None
    macro_average_precision: float | None = None
    macro_f1: float | None = None
    net_benefit: float | None = None
    log_loss: float | None = None
    brier_recalibrated: float | None = None
    ece_recalibrated: float | None = None
    slope_recalibrated: float | None = None
    intercept_recalibrated: float | None = None

    def value(self, key: str) -> float | None:
        """Return a score by its key."""
        found: float | None = getattr(self, key)
        return found


class Bounds(Record):
    """Middle 95 % of resampled values; None where no resample defines one."""

    low: float | None
    high: float | None


class Difference(Interval):
    """Arm minus reference in one metric, with its 95 % interval.

    Attributes:
        p: Two-sided p.
        p_holm: The same after Holm's correction over the arms that share the reference.
        bootstrap: Interval by resampling groups.
        n: Number of pairs of runs that define it.
        reason: Reason why it is undefined.
    """

    p: float | None
    p_holm: float | None
    bootstrap: Bounds
    n: int
    reason: str | None = None


class DeLongOfRuns(Record):
    """DeLong's test of each pair of runs.

    Attributes:
        p: Two-sided p of each pair; None where undefined.
        median_p: Their median.
        n_significant: Number of pairs with p at most alpha.
        combined_p: Twice the median, at most 1.
    """

    p: tuple[float | None, ...]
    median_p: float
    n_significant: int
    combined_p: float


class UndefinedDeLong(Record):
    """DeLong's test where no pair of runs defines it."""

    median_p: None
    n_significant: None
    combined_p: None
    p: tuple[None, ...]
    reason: str


class McNemarOfRuns(Record):
    """McNemar's test of each pair of runs.

    Attributes:
        p: Two-sided p of each pair.
        only_arm_right: Number of images, over all pairs, that only the arm classified correctly.
        only_reference_right: Number that only the reference classified correctly.
        median_p: Median p.
        reason: Reason why there is none.
    """

    p: tuple[float, ...]
    only_arm_right: int
    only_reference_right: int
    median_p: float | None
    reason: str | None = None


class ReferenceTests(Record):
    """Tests of an arm against a reference.

    Attributes:
        n: Number of pairs of runs.
        metrics: Difference in each metric.
        delong: DeLong's tests.
        mcnemar: McNemar's tests.
    """

    n: int
    metrics: Mapping[str, Difference]
    delong: DeLongOfRuns | UndefinedDeLong
    mcnemar: McNemarOfRuns


class MarginShares(Record):
    """Probabilities that an arm is better than `real` by more than the margin, within it, worse."""

    better: float
    within: float
    worse: float


class Harm(Record):
    """A registered metric in which an arm is worse than `real`.

    Attributes:
        metric: Key of the metric.
        difference: Arm minus `real`, with its interval.
        p_holm: One-sided p, after Holm's correction over the arms of the same role.
        confidence: Level of the interval, 1 - 2 alpha: the interval that matches a one-sided test.
    """

    metric: str
    difference: Scalar
    p_holm: float
    confidence: float = 0.95


class ArmVerdict(Record):
    """Verdict on an arm; see `balancer.statistics.verdict.Verdict`.

    Attributes:
        difference: Difference to `real` in the primary metric.
        detectable_low: Lower end of the 95 % interval of `detectable`, as the standard deviation
            between the splits is itself an estimate.
        detectable_high: Its upper end.
        shares: Probabilities of better, within the margin and worse; None without a spread.
        nothing_to_gain: Whether the arm and `real` score 1 on every split.
        harms: Registered metrics in which the arm is worse.
        to_controls: Difference to each negative control that it must beat.
    """

    word: Word
    uncapped: Word
    difference: Scalar
    p_holm: float | None
    p_helps: float | None
    p_hurts: float | None
    p_equivalent: float | None
    detectable: float | None
    sentence: str
    role: Role | None = None
    detectable_low: float | None = None
    detectable_high: float | None = None
    shares: MarginShares | None = None
    nothing_to_gain: bool = False
    harms: tuple[Harm, ...] = ()
    to_controls: Mapping[str, Scalar] = Field(default_factory=dict)


class ReferenceVerdict(Record):
    """Place of the reference among the verdicts; the same fields as an `ArmVerdict`."""

    p_holm: None = None
    p_helps: None = None
    p_hurts: None = None
    p_equivalent: None = None
    detectable: None = None
    word: Literal["reference"]
    uncapped: Literal["reference"]
    difference: Scalar
    sentence: str


class DecisionPoint(Record):
    """Net benefit of an arm for one who acts at or above a probability of the positive class.

    Attributes:
        threshold: The probability.
        level: Net benefit, mean over the runs.
        difference_to_real: Its difference to `real`; None of `real` itself.
    """

    threshold: float
    level: Interval
    difference_to_real: Interval | None = None


class ArmResult(Record):
    """Results of one arm.

    Attributes:
        kind: See `ArmFacts`.
        describes: One sentence for readers.
        n_runs: Number of finished runs.
        minutes: Mean time of a training of the classifier; None without runs.
        metrics: Mean of each metric.
        calibration: Means of the calibration.
        per_run: Scores of each run.
        against: Reference to the tests against it.
        verdict: The verdict.
        minutes_per_split: Mean time of a split: all trainings of the classifier, and the making of
            the images (training of the GAN, synthesis, screen).
        decision: Decision curve; empty in early versions.
    """

    kind: Kind
    describes: str
    n_runs: int
    minutes: float | None
    metrics: Mapping[str, Level]
    calibration: Calibration
    per_run: tuple[RunScores, ...]
    against: Mapping[str, ReferenceTests]
    verdict: ArmVerdict | ReferenceVerdict
    minutes_per_split: float | None = None
    decision: tuple[DecisionPoint, ...] = ()
