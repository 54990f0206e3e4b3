"""Typed results of the shortcut probes, as an ablation records them."""

from collections.abc import Mapping
from typing import Literal

from pydantic import Field

from balancer.evaluation.records import Scalar
from balancer.results import Record


class SkippedFold(Record):
    """A fold that a probe cannot answer, and why."""

    fold: str
    reason: str


class ProbeFold(Record):
    """Scores of a probe on one fold; None where a score is undefined.

    Attributes:
        fold: Name of the fold.
        n_train: Number of training images.
        n_test: Number of test images.
        auroc: AUROC of the positive word; without one, the mean over all words.
        auroc_macro: Mean AUROC over all words, beside that of a positive one among three or more.
        balanced_accuracy: Mean recall over the words.
    """

    fold: str
    n_train: int
    n_test: int
    auroc: float | None
    auroc_macro: float | None = None
    balanced_accuracy: float | None


class ProbeScores(Record):
    """Scores of a probe over folds: means with 95 % intervals; the same fields as a `ProbeFold`.

    Attributes:
        auroc: As of a fold.
        auroc_macro: As of a fold.
        balanced_accuracy: As of a fold.
        n_folds: Number of folds that it answers.
        skipped: The other folds.
        n_images: Number of images that took part.
        per_fold: Scores of each fold.
    """

    auroc: Scalar | None = None
    auroc_macro: Scalar | None = None
    balanced_accuracy: Scalar | None = None
    n_folds: int = 0
    skipped: tuple[SkippedFold, ...] = ()
    n_images: int = 0
    per_fold: tuple[ProbeFold, ...] = ()


class ProbeResult(Record):
    """Result of one probe.

    Attributes:
        probe: Name of the probe.
        describes: One sentence for readers.
        predicts: Word of an image that it predicts.
        shortcut: Whether it sees no lung, so that finding the class means a shortcut.
        auroc: See `ProbeScores`; None where the probe could not be asked.
        auroc_macro: See `ProbeScores`.
        balanced_accuracy: See `ProbeScores`.
        n_folds: See `ProbeScores`.
        skipped: See `ProbeScores`.
        n_images: See `ProbeScores`.
        per_fold: See `ProbeScores`.
        facts: Names of the file facts that it is given.
        without_mask: Number of images that lack a lung mask, or whose lungs are doubtful.
        left_out: The same for each class that has some.
        masks: Origin of the lungs: `given` masks, or `found` by the built-in segmentation.
        reason: Reason why it could not be asked; None if it could.
    """

    probe: str
    describes: str
    predicts: Literal["class", "source"]
    shortcut: bool
    auroc: Scalar | None = None
    auroc_macro: Scalar | None = None
    balanced_accuracy: Scalar | None = None
    n_folds: int = 0
    skipped: tuple[SkippedFold, ...] = ()
    n_images: int = 0
    per_fold: tuple[ProbeFold, ...] = ()
    facts: tuple[str, ...] = ()
    without_mask: int = 0
    left_out: Mapping[str, int] = Field(default_factory=dict)
    masks: Literal["given", "found"] | None = None
    reason: str | None = None
