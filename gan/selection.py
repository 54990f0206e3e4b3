"""Scores of snapshots: which one to keep, and when more training is pointless."""

import csv
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import Tensor

from gan.checkpoint import write_atomically

CSV_NAME, PLOT_NAME = "selection.csv", "selection.png"
COLUMNS = (
    "images_shown",
    "kid",
    "recall",
    "diversity",
    "closer_to_training",
    "loss_d",
    "membership_auroc",
)
RESAMPLES = 200
"""Number of resamples of the validation images for the standard error of a rank."""
LATE = 3
"""Number of evaluations in a row that end a training."""
CERTAIN = 0.02
"""Mean discriminator loss in nats below which the discriminator is certain of every image."""
LOST_DIVERSITY, LEAST_DIVERSITY = 0.5, 0.2
"""Limits of diversity, as shares of its maximum so far and of that of real images: below the larger
one the generated images have collapsed, unless KID still falls."""


@dataclass(frozen=True, slots=True)
class SnapshotScores:
    """Scores of generated images.

    Attributes:
        kid: Distance to validation images; lower is better.
        diversity: Mean distance between two images, divided by that of real ones.
        closer_to_training: Share of images closer to training images than to an equal number of
            validation images; 0.5 for a generator that has not memorized.
        kid_parts: KID with each validation image in turn as the only one, but for what all
            snapshots have in common; their mean is `kid`. Empty: not known.
        recalled: Whether each validation image lies among the generated ones, as in recall
            (Kynkaanniemi 2019, arXiv 1904.06991). Empty: not known.

    Example:
        >>> from gan import SnapshotScores
        >>> SnapshotScores(kid=0.2, diversity=0.9, closer_to_training=0.5).kid
        0.2
    """

    kid: float
    diversity: float
    closer_to_training: float
    kid_parts: tuple[float, ...] = field(default=(), kw_only=True, repr=False)
    recalled: tuple[bool, ...] = field(default=(), kw_only=True, repr=False)

    @property
    def recall(self) -> float:
        """Share of the validation images that lie among the generated ones; NaN: not known."""
        return float(np.mean(self.recalled)) if self.recalled else math.nan


class SnapshotScorer(Protocol):
    """Function that scores images deterministically; it is pickled for other processes."""

    def __call__(self, images: NDArray[Any], /) -> SnapshotScores:
        """Score generated images, uint8 (N, S, S) or (N, S, S, 3)."""
        ...


@dataclass(frozen=True, slots=True)
class Validation:
    """Images and scores to select a snapshot with.

    Attributes:
        images: uint8 like the training images, real images of the class that are not trained on.
        scorer: Function from generated images, uint8 (M, S, S) or (M, S, S, 3), to scores.

    Example:
        >>> from gan import SnapshotScores, Validation
        >>> import numpy as np
        >>> def spread(images):
        ...     return SnapshotScores(kid=-images.std(), diversity=1.0, closer_to_training=0.5)
        >>> validation = Validation(np.zeros((8, 32, 32), np.uint8), spread)
    """

    images: NDArray[Any] | Tensor
    scorer: SnapshotScorer


@dataclass(frozen=True, slots=True)
class SnapshotEvaluation(SnapshotScores):
    """Evaluation of the averaged generator at one moment of the training.

    Attributes:
        images_shown: Number of real images shown so far.
        loss_d: Mean discriminator loss since the previous evaluation, in nats.
        membership_auroc: AUROC of the discriminator's logits for training against validation images
            (Hayes 2019, arXiv 1705.07663); 0.5 if it cannot separate them.

    Example:
        >>> from gan import SnapshotEvaluation
        >>> scores = {"kid": 0.2, "diversity": 0.9, "closer_to_training": 0.5}
        >>> SnapshotEvaluation(**scores, images_shown=64, loss_d=1.3, membership_auroc=0.5).kid
        0.2
    """

    images_shown: int
    loss_d: float
    membership_auroc: float


def kept_snapshot(evaluations: Sequence[SnapshotEvaluation]) -> int:
    """Return the number of the snapshot to keep, by fidelity and diversity.

    The lowest of many noisy values is low by luck too. So a snapshot takes the place of the kept
    one if, when it is evaluated, it is not worse than the best so far by more than a standard error
    (Breiman 1984, the rule of one standard error): of those that the validation images cannot tell
    apart, the latest, which was trained longest. The value of a snapshot is the mean of its ranks
    by KID and by recall among those so far; the standard error of the difference of two values
    comes from resamples of the validation images. Where a scorer gives no values per validation
    image, the lowest KID is kept.

    Args:
        evaluations: All evaluations so far, at least one.
    """
    if not all(evaluation.kid_parts and evaluation.recalled for evaluation in evaluations):
        return min(range(len(evaluations)), key=lambda n: evaluations[n].kid)
    kids = np.array([evaluation.kid_parts for evaluation in evaluations])  # (snapshots, images)
    recalls = np.array([evaluation.recalled for evaluation in evaluations], np.float64)
    n = kids.shape[1]
    rng = np.random.default_rng(0)
    weights = np.vstack((np.ones(n), rng.multinomial(n, np.full(n, 1 / n), RESAMPLES))).T / n
    kept = 0
    for last in range(1, len(evaluations)):
        so_far = slice(last + 1)
        ranks = (_ranks(kids[so_far] @ weights) + _ranks(-recalls[so_far] @ weights)) / 2
        best = int(ranks[:, 0].argmin())
        behind = ranks[last] - ranks[best]
        if behind[0] <= behind[1:].std():
            kept = last
    return kept


def _ranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Rank the rows of each column from 0, the lowest; equal values share their mean rank."""
    below = (values[:, None] > values).sum(axis=1)
    equal = (values[:, None] == values).sum(axis=1)
    ranks: NDArray[np.float64] = below + (equal - 1) / 2
    return ranks


def reason_to_stop(evaluations: Sequence[SnapshotEvaluation], *, patience: int) -> str | None:
    """Return why a training should end, in a sentence; None if it should not.

    Args:
        evaluations: All evaluations so far, at least one.
        patience: Number of evaluations without a better KID before the end; 0: no limit.
    """
    shown = evaluations[-1].images_shown
    last = evaluations[-LATE:]
    if len(last) == LATE and all(evaluation.loss_d < CERTAIN for evaluation in last):
        return (
            f"the discriminator has been certain of every image for {LATE} evaluations "
            f"(loss below {CERTAIN} nats) when {shown} images were shown"
        )
    best = min(range(len(evaluations)), key=lambda n: evaluations[n].kid)
    diversities = [evaluation.diversity for evaluation in evaluations]
    least = max(LEAST_DIVERSITY, LOST_DIVERSITY * min(1.0, max(diversities)))
    if best < len(evaluations) - LATE and max(diversities[-LATE:]) < least:
        return (
            f"the generated images have collapsed: their diversity fell to {diversities[-1]:.2f} "
            f"of that of real images, from {max(diversities):.2f}, when {shown} were shown"
        )
    if patience and len(evaluations) - 1 - best >= patience:
        return f"KID has not improved for {patience} evaluations when {shown} images were shown"
    return None


def write_evaluations(directory: Path, evaluations: Sequence[SnapshotEvaluation]) -> None:
    """Write `selection.csv` and `selection.png`.

    Args:
        directory: Folder of the two files.
        evaluations: Rows of the table, at least one.
    """
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    for evaluation in evaluations:
        values = {name: getattr(evaluation, name) for name in COLUMNS}
        writer.writerow({name: value if isinstance(value, int) else f"{value:.6g}"
                         for name, value in values.items()})  # fmt: skip
    write_atomically(directory / CSV_NAME, text.getvalue().encode())
    write_atomically(directory / PLOT_NAME, _plot(evaluations))


def _plot(evaluations: Sequence[SnapshotEvaluation]) -> bytes:
    figure = Figure(figsize=(7, 5), dpi=100, layout="constrained")
    above, below = figure.subplots(2, sharex=True, height_ratios=(3, 2))
    shown = [evaluation.images_shown for evaluation in evaluations]
    kids = [evaluation.kid for evaluation in evaluations]
    kept = kept_snapshot(evaluations)
    above.plot(shown, kids, marker=".", color="#bf3f5f")
    above.plot(shown[kept], kids[kept], "o", color="#4c566a", label=f"kept: {kids[kept]:.3f}")
    above.set(ylabel="KID", title="The averaged generator against validation images")
    above.set_ylim(bottom=min(0.0, *kids))
    above.legend(frameon=False)
    for label, values in (
        ("membership AUROC of D", [evaluation.membership_auroc for evaluation in evaluations]),
        ("fakes closer to training", [evaluation.closer_to_training for evaluation in evaluations]),
        ("diversity over real", [evaluation.diversity for evaluation in evaluations]),
        ("recall", [evaluation.recall for evaluation in evaluations]),
    ):
        below.plot(shown, values, label=label)
    below.axhline(0.5, linestyle=":", color="grey", linewidth=1)
    below.set(xlabel="real images shown", ylabel="share", ylim=(0, 1.3))
    below.legend(frameon=False, fontsize=8, ncols=4)
    for axes in (above, below):
        axes.grid(alpha=0.3)
    content = io.BytesIO()
    figure.savefig(content, format="png")
    return content.getvalue()
