"""Typed metrics in `result.json` of the commands that train or test a classifier."""

from collections.abc import Iterator

from pydantic import ConfigDict, Field

from balancer.drawing.numbers import METRICS, titles_of
from balancer.results import Record
from balancer.synthetic.records import OutsideSource, bracketed


class Interval(Record):
    """A value with its 95 % interval; each is None where it is undefined."""

    value: float | None
    low: float | None
    high: float | None


class Scalar(Interval):
    """A metric; `reason` says why it has no value."""

    reason: str | None = None


class HeadlineMetrics(Record):
    """The scalar metrics of a test, or differences of them.

    AUROC, average precision and F1 are of the positive class against the rest; their macro metrics
    are means over the classes, and None with two classes.
    """

    accuracy: Scalar
    balanced_accuracy: Scalar
    sensitivity: Scalar
    specificity: Scalar
    auroc: Scalar
    average_precision: Scalar
    f1: Scalar
    mcc: Scalar
    ece: Scalar
    macro_auroc: Scalar | None = None
    macro_average_precision: Scalar | None = None
    macro_f1: Scalar | None = None

    def by_name(self) -> dict[str, Scalar]:
        """Return the metrics that exist by name, in the order of the tables."""
        found = {name: getattr(self, name) for name in METRICS}
        return {name: value for name, value in found.items() if value is not None}

    def titled(self) -> Iterator[tuple[str, Scalar]]:
        """Yield title and value of each metric that exists, in the order of the tables."""
        titles = self.titles()
        for name, value in self.by_name().items():
            yield titles[name], value

    def titles(self) -> dict[str, str]:
        """Return the name of each metric."""
        return METRICS


class ClassPerformance(Record):
    """Metrics of one class against the rest, and its number of images."""

    precision: Scalar
    recall: Scalar
    specificity: Scalar
    f1: Scalar
    auroc: Scalar
    average_precision: Scalar
    n: int


class Performance(HeadlineMetrics):
    """Metrics of one classifier on one set of images.

    Attributes:
        per_class: Metrics of each class.
        confusion: Number of images by true class (row) and predicted class (column).
        n: Number of images.
        n_groups: Number of groups, which are resampled whole.
        n_bootstrap: Number of resamples behind each interval.
        class_names: Names of the classes.
        positive_class: Class that sensitivity and specificity are about.
        threshold: Probability of the positive class from which it is predicted; None: the most
            probable class is predicted.
    """

    per_class: dict[str, ClassPerformance]
    confusion: list[list[int]]
    n: int
    n_groups: int
    n_bootstrap: int
    class_names: list[str]
    positive_class: str
    threshold: float | None

    @property
    def is_of_early_version(self) -> bool:
        """Return whether its AUROC is a mean over more than two classes."""
        return len(self.class_names) > 2 and self.macro_auroc is None

    def titles(self) -> dict[str, str]:
        """Return the name of each metric; see `titles_of`."""
        keys = ["macro_auroc"] if self.macro_auroc is not None else []
        return titles_of(keys, len(self.class_names))


class TrainingImages(Record):
    """Number of training images of `balancer classify`."""

    real: int
    synthetic: int


class ClassifyMetrics(Record):
    """Metrics of `balancer classify`.

    Attributes:
        arm: Name of the arm.
        positive_class: The positive class.
        threshold: Threshold chosen on validation images; None with more than two classes.
        training_images: Number of training images.
        n_steps: Optimizer steps taken.
        best_epoch: Number of the validation, from 1, whose weights were kept.
        predictions: SHA-256 of `predictions.csv`.
        test: Metrics on the test images.
        test_reads: Number of classifiers of this arm tested on these images so far.
        outside: Sources from outside of its synthetic images, by class.
        elsewhere: What is known of other hospitals; not in the file, since it is of later tests.
    """

    arm: str
    positive_class: str
    threshold: float | None
    training_images: TrainingImages
    n_steps: int
    best_epoch: int
    predictions: str
    test: Performance
    test_reads: int | None = None
    outside: dict[str, OutsideSource] = Field(default_factory=dict)
    elsewhere: str = ""

    @property
    def outside_words(self) -> str:
        """These sources with their lineage, in brackets after a blank; empty without any."""
        return bracketed(self.outside)


class ImagesOfClass(Record):
    """Training images of one class: real ones, and those that the arm adds or leaves out."""

    real: int
    added: int


class SplitSizes(Record):
    """Number of images of a fold, and of its validation and test splits."""

    all: int
    val: int
    test: int


class UnitMetrics(Record):
    """Metrics of one arm of an ablation on one fold with one seed.

    Attributes:
        arm: Name of the arm.
        n_steps: Optimizer steps taken.
        best_epoch: Number of the validation, from 1, whose weights were kept.
        training_prior: Class shares that the loss saw, weights and sampling included; they sum to
            1. None in results of early versions.
        training_images: Number of training images of each class.
        threshold: Threshold chosen on validation images; None with more than two classes.
        n: Number of images.
        test: SHA-256 of `test.csv`.
        validation: SHA-256 of `validation.csv`.
    """

    arm: str
    n_steps: int
    best_epoch: int
    training_prior: list[float] | None = None
    training_images: dict[str, ImagesOfClass]
    threshold: float | None
    n: SplitSizes
    test: str
    validation: str


class ExternalFacts(Record):
    """Images of another data set: those used, and those left out.

    Attributes:
        classes: Number of images of each class.
        n_images: Number of images.
        n_groups: Number of groups.
        dropped: Number of images left out for each way in which the index contains them.
        unusable: Number of files that are not usable images.
        copies: Number of files left out as copies of another file of the set.
    """

    classes: dict[str, int]
    n_images: int
    n_groups: int
    dropped: dict[str, int]
    unusable: int
    copies: int


class UnlikeImages(Record):
    """Images of another data set that are too far from the training images for an answer.

    Attributes:
        classes: Number of them in each class.
        auroc: AUROC of the positive class on all other images.
    """

    classes: dict[str, int]
    auroc: Scalar

    @property
    def n(self) -> int:
        """Number of them."""
        return sum(self.classes.values())


class EvaluateMetrics(Record):
    """Metrics of `balancer evaluate`.

    Attributes:
        arm: Name of the classifier's arm.
        positive_class: The positive class.
        threshold: The classifier's own threshold, chosen on its validation images.
        external: The images.
        predictions: SHA-256 of `predictions.csv`.
        test: Metrics on the images.
        unlike: Those too far from the training images; None: not measured, as by early versions.
    """

    arm: str
    positive_class: str
    threshold: float | None
    external: ExternalFacts
    predictions: str
    test: Performance
    unlike: UnlikeImages | None = None


_SYNTHETIC = "real+synthetic"


class ComparisonRow(Record):
    """One metric of two classifiers, and the difference: with synthetic images minus without."""

    model_config = ConfigDict(populate_by_name=True, serialize_by_alias=True)

    metric: str
    real: Scalar
    with_synthetic: Scalar = Field(validation_alias=_SYNTHETIC, serialization_alias=_SYNTHETIC)
    difference: Scalar


class Comparison(Record):
    """Two classifiers, without and with synthetic images, on the same test images.

    Attributes:
        rows: One row per metric.
        sentence: The conclusion that one run per arm allows.
        n: Number of test images.
        n_positive: Number of test images of the positive class.
        positive: The positive class.
    """

    rows: list[ComparisonRow]
    sentence: str
    n: int
    n_positive: int
    positive: str
