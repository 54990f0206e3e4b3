"""Scores of snapshots: which one to keep, and when more training is pointless."""

import csv
import io
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Protocol

from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import Tensor

from gan.checkpoint import write_atomically

CSV_NAME, PLOT_NAME = "selection.csv", "selection.png"
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

    Example:
        >>> from gan import SnapshotScores
        >>> SnapshotScores(kid=0.2, diversity=0.9, closer_to_training=0.5).kid
        0.2
    """

    kid: float
    diversity: float
    closer_to_training: float


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
    names = [field.name for field in fields(SnapshotEvaluation)]
    writer = csv.DictWriter(text, sorted(names, key="images_shown".__ne__), lineterminator="\n")
    writer.writeheader()
    for evaluation in evaluations:
        writer.writerow({key: value if isinstance(value, int) else f"{value:.6g}"
                         for key, value in asdict(evaluation).items()})  # fmt: skip
    write_atomically(directory / CSV_NAME, text.getvalue().encode())
    write_atomically(directory / PLOT_NAME, _plot(evaluations))


def _plot(evaluations: Sequence[SnapshotEvaluation]) -> bytes:
    figure = Figure(figsize=(7, 5), dpi=100, layout="constrained")
    above, below = figure.subplots(2, sharex=True, height_ratios=(3, 2))
    shown = [evaluation.images_shown for evaluation in evaluations]
    kids = [evaluation.kid for evaluation in evaluations]
    best = min(range(len(kids)), key=kids.__getitem__)
    above.plot(shown, kids, marker=".", color="#bf3f5f")
    above.plot(shown[best], kids[best], "o", color="#4c566a", label=f"best: {kids[best]:.3f}")
    above.set(ylabel="KID", title="The averaged generator against validation images")
    above.set_ylim(bottom=min(0.0, *kids))
    above.legend(frameon=False)
    for label, values in (
        ("membership AUROC of D", [evaluation.membership_auroc for evaluation in evaluations]),
        ("fakes closer to training", [evaluation.closer_to_training for evaluation in evaluations]),
        ("diversity over real", [evaluation.diversity for evaluation in evaluations]),
    ):
        below.plot(shown, values, label=label)
    below.axhline(0.5, linestyle=":", color="grey", linewidth=1)
    below.set(xlabel="real images shown", ylabel="share", ylim=(0, 1.3))
    below.legend(frameon=False, fontsize=8, ncols=3)
    for axes in (above, below):
        axes.grid(alpha=0.3)
    content = io.BytesIO()
    figure.savefig(content, format="png")
    return content.getvalue()
