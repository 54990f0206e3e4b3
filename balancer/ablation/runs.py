"""What the comparison of arms reads: one record per trained classifier."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from balancer.evaluation.predictions import Predictions

Floats = NDArray[np.float64]
Kind = Literal["reference", "cheap", "gan", "control"]
REAL, OVERSAMPLE = "real", "oversample"
"""Names of the arms that others are compared with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What one trained classifier said of its validation and its test images.

    Attributes:
        arm: Canonical text of the arm, such as `gan ratio=2:1`.
        fold: Name of the split; runs of equal (fold, seed) are paired.
        seed: Number of the training seed within the fold.
        positive: Number of the positive class.
        threshold: Chosen on validation images; None with more than two classes.
        training_prior: float64 (C,), sums to 1: the class shares that the loss saw, weights and
            sampling included.
        n_outside: Real images of the fold outside its test split: what could shape the classifier,
            be it as training or as validation images.
        seconds: Wall-clock time of the training.
        test: Predictions for the test images; probabilities as the network gave them.
        validation: The same for the validation images.
    """

    arm: str
    fold: str
    seed: int
    positive: int
    threshold: float | None
    training_prior: Floats
    n_outside: int
    seconds: float
    test: Predictions
    validation: Predictions


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmFacts:
    """What a verdict has to know of an arm.

    Attributes:
        name: Canonical text.
        kind: `gan` for arms whose images come from a trained generator, `control` for those that
            check the harness, `reference` for `real`, else `cheap`.
        describes: One sentence for readers.
        duplicates: Name of the arm that repeats as many real images as this one adds; what images
            of a generator have to beat besides `real`.
        holds_back: Whether it gets real images that no other arm does.
    """

    name: str
    kind: Kind
    describes: str
    duplicates: str | None = OVERSAMPLE
    holds_back: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What is asked, fixed before any run.

    Attributes:
        primary: Metric that the verdicts are about.
        margin: Differences up to this size count as none.
        alpha: One-sided level of each claim.
        specificity: At which sensitivity is given; the threshold comes from validation.
        deployment_prior: float64 (C,), sums to 1: class shares where the classifier will work.
        n_bootstrap: Resamples of the groups.
        seed: Of the resampling.
    """

    primary: str
    margin: float
    alpha: float
    specificity: float
    deployment_prior: Floats
    n_bootstrap: int
    seed: int
