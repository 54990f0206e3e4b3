"""Typed results of the frozen tier: the worth of an arm in real images, and the pilot.

Fields are in the order of the file.
"""

from collections.abc import Mapping
from typing import Literal

from balancer.evaluation.records import Scalar
from balancer.results import Record

WorthWord = Literal[
    "measured", "at least", "at most", "beyond the curve", "below the curve", "undetermined",
    "nothing to gain",
]  # fmt: skip
"""Kind of an answer: ends of the interval that the curve does not reach are not given."""


class CurvePoint(Record):
    """The primary metric with a number of real images of the rare class.

    Attributes:
        n: Number of images, mean over the splits.
        mean: Mean of the metric over the splits.
        fitted: Value of the curve there.
        low: Lower end of the curve's 95 % interval.
        high: Upper end.
    """

    n: float
    mean: float
    fitted: float
    low: float
    high: float


class ArmWorth(Record):
    """Number of further real images that raise the metric as much as an arm does.

    Attributes:
        word: Kind of the answer.
        difference: Arm minus real images alone, in the primary metric.
        value: The number; None where the curve does not reach the mean.
        low: Lower end of its 95 % interval; None where the curve does not reach it.
        high: Upper end; None likewise.
        truth: The number of further real images that the arm has, where it has some.
        sentence: The same in words.
    """

    word: WorthWord
    difference: Scalar
    value: float | None
    low: float | None
    high: float | None
    truth: float | None
    sentence: str


class Worth(Record):
    """The curve of the primary metric over the number of real rare images, and the arms on it.

    Attributes:
        label: The class whose images are counted.
        primary_title: Name of the primary metric.
        margin: Differences up to this size count as none.
        n_splits: Number of splits.
        base: Number of its images that every arm has.
        reach: Largest number on the curve.
        curve: The curve.
        exponent: c of the curve a - b n^-c.
        misfit: Largest distance of a mean from the curve.
        gain: Difference between the ends `reach` and `base`.
        is_flat: Whether the 90 % interval of the gain ends below the margin.
        arms: Arm to its worth.
        self_test: Sentence on the positive control, whose truth is known; None without one.
        sentence: The gain in words.
    """

    label: str
    primary_title: str
    margin: float
    n_splits: int
    base: float
    reach: float
    curve: tuple[CurvePoint, ...]
    exponent: float
    misfit: float
    gain: Scalar
    is_flat: bool
    arms: Mapping[str, ArmWorth]
    self_test: str | None
    sentence: str


class PilotArm(Record):
    """Findings of a pilot on one arm.

    Attributes:
        difference: Arm minus real images alone, with its 95 % interval.
        sd: Standard deviation of the difference between splits, at the study's number of test
            images.
        sd_low: Lower end of its 90 % interval.
        sd_high: Upper end.
        detectable: Smallest true difference that the study shows with 80 % power; None with one
            split.
        splits_needed: Fewest splits that end "equivalent" with 80 % power if nothing differs; None:
            no number of splits does.
        images_factor: Factor on the number of images with which unlimited splits would.
    """

    difference: Scalar
    sd: float
    sd_low: float
    sd_high: float
    detectable: float | None
    splits_needed: int | None
    images_factor: float


class PilotResult(Record):
    """Findings of a pilot on frozen features, before the study runs.

    Attributes:
        tier: Name of the tier.
        primary: Key of the metric that was measured.
        primary_title: Its name.
        margin: Differences up to this size count as none.
        alpha: One-sided level of a claim.
        study_splits: Number of splits of the planned study.
        pilot_splits: Number of splits of the pilot.
        n_train: Training images, mean over the splits.
        n_scored: Validation images that it scored, mean over the splits.
        test_to_train: Test images per image outside the test split in the study.
        level: Mean of the metric with real images alone.
        arms: Arm to what the pilot says of it.
        unknown: Arms that the pilot cannot train.
        worth: The worth of the arms in real images; None where no images can be set aside.
        sentences: The answer in words, the most important ones first.
        seconds: Wall-clock time.
    """

    tier: str
    primary: str
    primary_title: str
    margin: float
    alpha: float
    study_splits: int
    pilot_splits: int
    n_train: float
    n_scored: float
    test_to_train: float
    level: float
    arms: Mapping[str, PilotArm]
    unknown: tuple[str, ...]
    worth: Worth | None
    sentences: tuple[str, ...]
    seconds: float
