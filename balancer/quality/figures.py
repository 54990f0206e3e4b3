"""Figures of the synthetic images of one class."""

from typing import Any, Literal

from pydantic import Field

from balancer.quality.spread import Spreads
from balancer.results import Record


class SameN(Record):
    """A metric at equal numbers of images, and its floor: real images in place of synthetic ones.

    Attributes:
        n: Number of images of each set.
        draws: Number of seeded draws that both values are means of.
        value: The metric of synthetic images.
        real_against_real: The metric of real images in their place.
        real_against_real_range: Smallest and largest draw of the latter.
        ratio: Value over floor; None unless the floor is above 0 in every draw.
    """

    n: int
    draws: int
    value: float
    real_against_real: float
    real_against_real_range: tuple[float, float]
    ratio: float | None


class Distance(Record):
    """One metric of synthetic against real images.

    Attributes:
        n_fake: Number of synthetic images.
        n_reference: Number of real images.
        value: The metric on all of them.
        better: Better direction, `lower` or `higher`.
        reliable: FID only: both sets have more images than the extractor has features.
        infinity: FID at infinite n, in results of earlier versions; no longer measured.
        value_all_images: KID only: on all images in place of subsets.
        interval: KID only: 95 % bootstrap interval of that.
        same_n: The metric and its floor at equal n; None with too few images.
        recipe: Everything that decides the value, as the extractor names it.
        chose: Whether the extractor also chose the images, so that the value flatters them.
    """

    n_fake: int
    n_reference: int
    value: float
    better: Literal["lower", "higher"]
    reliable: bool = True
    infinity: float | None = None
    value_all_images: float | None = None
    interval: tuple[float, float] | None = None
    same_n: SameN | None
    recipe: dict[str, Any]
    chose: bool = False


class MsSsim(Record):
    """Mean MS-SSIM of random pairs within a set.

    Attributes:
        generated: Among synthetic images.
        real: Among real training images.
        ratio: The former over the latter.
        n: Number of images of each set.
        recipe: Definition of the figure.
    """

    generated: float
    real: float
    ratio: float
    n: int
    recipe: str


class Twins(Record):
    """Share of images with a near copy in their own set.

    Attributes:
        generated: Among synthetic images.
        real: Among real training images.
        n: Number of images of each set.
    """

    generated: float
    real: float
    n: int


class Diversity(Record):
    """Differences between the synthetic images; None with too few of them.

    Attributes:
        ms_ssim: Mean MS-SSIM of pairs of images.
        twins: Images with a near copy in their own set.
        registered: The same, after each image was shifted and zoomed to fit the mean real image;
            None in results of early versions.
    """

    ms_ssim: MsSsim | None
    twins: Twins | None
    registered: MsSsim | None = None


class NearCopies(Record):
    """Shares of near copies of training images.

    Attributes:
        generated: Among all synthetic images made.
        generated_at_least: Lower end of the exact 95 % interval of that.
        held_out: Among validation images.
    """

    generated: float
    generated_at_least: float
    held_out: float


class Correlations(Record):
    """Median correlation, in aligned pixels, with the training image most alike."""

    generated: float
    held_out: float


class TrainingDistance(Record):
    """Distance to the nearest training image in one feature space.

    Attributes:
        generated: Median of synthetic images, over the median of validation images.
        held_out: The same of validation images.
        closer_to_training: Share of synthetic images closer to training images than to as many
            validation images; 0.5 for an honest generator.
    """

    generated: float
    held_out: float
    closer_to_training: float


class Memorization(Record):
    """Repetition of training images among all images made.

    Attributes:
        n: Number of synthetic images.
        n_held_out: Number of validation images.
        near_copies: Shares of near copies.
        correlation: Correlations with the training image most alike.
        distance: Distances to training images, by feature space.
    """

    n: int
    n_held_out: int
    near_copies: NearCopies
    correlation: Correlations
    distance: dict[str, TrainingDistance]


class Separation(Record):
    """Separability of two sets.

    Attributes:
        value: Cross-validated AUROC; 0.5 where they cannot be.
        interval: 95 %, percentile bootstrap of the images under fixed scores.
        n: Number of images of each set.
    """

    value: float
    interval: tuple[float, float]
    n: int


class Tell(Separation):
    """Separability of synthetic images from real ones.

    Attributes:
        real_against_real: The same of two halves of the real images; None with too few of them.
    """

    real_against_real: Separation | None


class Tells(Record):
    """Separability of synthetic from real images; None with too few of them.

    Attributes:
        features: By features of the first extractor.
        trivial_statistics: By grey levels, borders and sharpness alone.
    """

    features: Tell | None
    trivial_statistics: Tell | None


class ClassDistance(Record):
    """KID to the training images of one class.

    Attributes:
        generated: Figure of all synthetic images made.
        held_out: Figure of validation images of the class of the synthetic ones.
        own_minus_this: KID of synthetic images to their own class, minus `generated`; only for
            other classes.
        interval: 95 % interval of that.
    """

    generated: float
    held_out: float
    own_minus_this: float | None = None
    interval: tuple[float, float] | None = None


class LabelShares(Record):
    """Labels that a probe gives to a set of images.

    Attributes:
        labels: Share of the images by label.
        median_probability: Median probability of the own class.
    """

    labels: dict[str, float]
    median_probability: float

    @property
    def most(self) -> str:
        """The most frequent label."""
        return max(self.labels, key=lambda name: self.labels[name])


class LabelsGiven(Record):
    """Labels that a probe trained on real images gives.

    Attributes:
        generated: To all synthetic images made.
        held_out: To validation images of the class.
    """

    generated: LabelShares
    held_out: LabelShares


class Identity(Record):
    """Class that the synthetic images resemble.

    Attributes:
        distances: Feature space to the distances by class; None with too few images.
        judged: Labels that a probe gives; None with one class.
    """

    distances: dict[str, dict[str, ClassDistance] | None]
    judged: LabelsGiven | None


class ProbeScore(Record):
    """A probe on images that it was not trained on.

    Attributes:
        auroc: AUROC of the class against all others.
        balanced_accuracy: Over all classes.
    """

    auroc: float
    balanced_accuracy: float


class Usefulness(Record):
    """Accuracy of a probe trained on synthetic images in place of the real ones of their class."""

    train_real_test_real: ProbeScore
    train_synthetic_test_real: ProbeScore
    train_real_test_synthetic: ProbeScore


class Leak(Record):
    """Separation of training images from held-out ones by the accepted images, in one space.

    Attributes:
        membership: AUROC of "has an accepted image nearby", training against held-out images; 0.5
            gives nothing away.
        membership_interval: Its 95 % interval (DeLong).
        closer: Share of accepted images closer to training than to as many held-out images; 0.5 for
            an honest generator.
        closer_interval: Its 95 % interval, bootstrap of all three sets.
        membership_p: One-sided p of a membership AUROC above 0.5; None in early versions, as below.
        closer_p: One-sided p of a share above 0.5.
    """

    membership: float
    membership_interval: tuple[float, float]
    closer: float
    closer_interval: tuple[float, float]
    membership_p: float | None = None
    closer_p: float | None = None


class Release(Record):
    """Leaks of the accepted images about real ones, and the word on sharing them.

    Attributes:
        word: `share with care`, `use at home` or `do not share`.
        reasons: Reasons for the word.
        n: Number of accepted images.
        copies: Numbers of the accepted images that are near copies of a real image.
        expected_copies: Number of near copies among as many real images, of one side or the other.
        reproduced: Number of real images that have a near copy among the accepted ones.
        leaks: Leak by feature space; empty where no held-out image is known to be unseen.
        tests: Attack to its one-sided p after Holm, which the word rests on; empty in early
            versions.
    """

    word: Literal["share with care", "use at home", "do not share"]
    reasons: tuple[str, ...]
    n: int
    copies: tuple[int, ...]
    expected_copies: float
    reproduced: int
    leaks: dict[str, Leak]
    tests: dict[str, float] = Field(default_factory=dict)


class Figures(Record):
    """All that is measured of the synthetic images of a class.

    Attributes:
        n: Number of accepted images.
        n_made: Number of images made, rejected ones included; none beyond `quality.max_images`.
        against: Metrics by name, by real reference (`training`, `validation`).
        diversity: Differences among accepted images.
        memorization: Repeats of training images.
        tells: Separation from real images.
        identity: Class that the images look like.
        usefulness: Value for training; None with one class.
        release: What the accepted images give away of real ones; None in early versions.
        spread: Spread of place and exposure; None with too few images, and in early versions.
        own: Figures of checks without a field here, by name of the check.
        main: Name of the extractor that the gate and the probes rest on; "" in early versions.
        chosen_by: Name of an extractor that also chose the images to what it chose.
    """

    n: int
    n_made: int
    against: dict[str, dict[str, Distance]]
    diversity: Diversity
    memorization: Memorization
    tells: Tells
    identity: Identity
    usefulness: Usefulness | None
    release: Release | None = None
    spread: Spreads | None = None
    own: dict[str, Any] = Field(default_factory=dict)
    main: str = ""
    chosen_by: dict[str, tuple[str, ...]] = Field(default_factory=dict)
