"""Input of the comparison: a run of each trained classifier, facts of each arm, the question."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from balancer.evaluation.predictions import Predictions

Floats = NDArray[np.float64]
Kind = Literal["reference", "cheap", "gan", "control"]
REAL, OVERSAMPLE = "real", "oversample"
"""Names of the arms that others are compared with."""
GAN_IMAGES = "GAN images"
"""Images of our own generator, in words; those of others have the name of theirs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """The predictions of one trained classifier for its validation and its test images.

    Attributes:
        arm: Canonical text of the arm, such as `gan ratio=2:1`.
        fold: Name of the split; runs of equal (fold, seed) are paired.
        seed: Number of the training seed within the fold.
        positive: Number of the positive class.
        threshold: Threshold chosen on validation images; None with more than two classes.
        training_prior: float64 (C,), sums to 1: the class shares that the loss saw, weights and
            sampling included.
        n_outside: Number of real images of the fold outside its test split, for training or
            validation.
        seconds: Wall-clock time of the training.
        seconds_of_images: Time of making the images of its split: training of the generators,
            synthesis and screen; 0 without generated images.
        n_test: Number of images of the fold's test split, where `test` are images of another data
            set, the same ones for all runs; None: `test` is that split.
        test: Predictions for the test images, with raw probabilities.
        validation: Predictions for the validation images.
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
    seconds_of_images: float = 0.0
    n_test: int | None = None

    @property
    def elsewhere(self) -> bool:
        """Return whether it was tested on images that are in no split."""
        return self.n_test is not None

    @property
    def test_to_train(self) -> float:
        """Images of the fold's test split per image outside it."""
        return (len(self.test.labels) if self.n_test is None else self.n_test) / self.n_outside


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmFacts:
    """Facts of an arm that its verdict depends on.

    Attributes:
        name: Canonical text.
        kind: `gan` for arms with images of a trained generator, `control` for those that check the
            method, `reference` for `real`, else `cheap`.
        describes: One sentence for readers.
        duplicates: Name of the arm that repeats as many real images as this one adds; what images
            of a generator have to beat besides `real`.
        holds_back: Whether it gets real images that no other arm does.
        images: Its images in words, such as `images of noise`; empty: named by the arm.
        beyond_duplicates: Whether it helps only if it beats repeated real images too, as images of
            a generator must.
        lineage: What is known of the images that a generator from outside was trained on; empty
            for all other arms.
    """

    name: str
    kind: Kind
    describes: str
    duplicates: str | None = OVERSAMPLE
    holds_back: bool = False
    images: str = ""
    beyond_duplicates: bool = False
    lineage: str = ""

    @property
    def must_not_help(self) -> bool:
        """Return whether it is a negative control."""
        return self.kind == "control" and not self.holds_back


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """The question of a study; `protocol.json` has the one that was registered.

    Attributes:
        primary: Key of the metric that the verdicts are about.
        margin: Differences up to this size count as none.
        alpha: One-sided level of each claim.
        specificity: Specificity at which sensitivity is given; the threshold is from validation.
        deployment_prior: float64 (C,), sums to 1: class shares where the classifier will be used.
        n_bootstrap: Number of resamples of the groups.
        seed: Seed for the resampling.
        prior_is_given: Whether these shares differ from those of the images on purpose: then
            probabilities are moved to them, and scores are taken at them.
        secondary: Keys of further metrics whose harm is reported in the answer.
        decision_threshold: Probability of the positive class at which one would act, for the net
            benefit; None: its share in `deployment_prior`.
        looks: Numbers of splits of all planned looks, increasing; empty: one look.
        look: Position of this look among them.
        verdict_on: Name of the data set that all runs are tested on; None: the test splits.
        rare_images: Number of training images of the positive class that are used; None: all.
    """

    primary: str
    margin: float
    alpha: float
    specificity: float
    deployment_prior: Floats
    n_bootstrap: int
    seed: int
    prior_is_given: bool = False
    secondary: tuple[str, ...] = ()
    decision_threshold: float | None = None

    def acting_at(self, positive: int) -> float:
        """Return the probability of the positive class at which one would act."""
        if self.decision_threshold is None:
            return float(self.deployment_prior[positive])
        return self.decision_threshold

    looks: tuple[int, ...] = ()
    look: int = 0
    verdict_on: str | None = None
    rare_images: int | None = None
