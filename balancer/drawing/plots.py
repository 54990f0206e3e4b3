"""Every picture the toolkit draws, as PNG; no display is needed."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image
from sklearn.metrics import auc, precision_recall_curve, roc_curve

from balancer.drawing.numbers import three_digits

_INK = {"real": "#4c566a", "real+synthetic": "#bf3f5f"}
_DPI = 110


def save_image_grid(images: np.ndarray, path: Path, *, columns: int = 8, gap: int = 2) -> None:
    """Tile images into one PNG, in order, on white.

    Args:
        images: uint8 (N, S, S) or (N, S, S, 3), at least one.
        path: The PNG to write.
        columns: Images per row.
        gap: Pixels between images.
    """
    n, side = images.shape[:2]
    columns = min(columns, n)
    rows = -(-n // columns)
    step = side + gap
    sheet = np.full((rows * step - gap, columns * step - gap, *images.shape[3:]), 255, np.uint8)
    for number, image in enumerate(images):
        top, left = number // columns * step, number % columns * step
        sheet[top : top + side, left : left + side] = image
    Image.fromarray(sheet).save(path)


def save_roc(scores: Mapping[str, np.ndarray], positives: np.ndarray, path: Path) -> None:
    """Draw ROC curves of the positive class.

    Args:
        scores: Per arm, float64 (N,) probabilities of the positive class.
        positives: bool (N,).
        path: The PNG to write.
    """
    figure, axes = _square("False positive rate (1 - specificity)", "Sensitivity")
    for arm, score in scores.items():
        fpr, tpr, _ = roc_curve(positives, score)
        axes.plot(
            fpr, tpr, color=_INK.get(arm), label=f"{arm}: AUROC {three_digits(auc(fpr, tpr))}"
        )
    axes.plot([0, 1], [0, 1], ":", color="grey", linewidth=1)
    axes.legend(loc="lower right", frameon=False)
    figure.savefig(path)


def save_precision_recall(
    scores: Mapping[str, np.ndarray], positives: np.ndarray, path: Path
) -> None:
    """Draw precision-recall curves of the positive class; arguments as for `save_roc`."""
    figure, axes = _square("Recall (sensitivity)", "Precision")
    prevalence = float(positives.mean())
    for arm, score in scores.items():
        precision, recall, _ = precision_recall_curve(positives, score)
        axes.plot(recall, precision, color=_INK.get(arm), label=arm, drawstyle="steps-post")
    axes.axhline(prevalence, linestyle=":", color="grey", linewidth=1)
    axes.text(0.02, prevalence + 0.02, f"prevalence {prevalence:.3f}", color="grey")
    axes.legend(loc="lower left", frameon=False)
    figure.savefig(path)


def save_confusion(confusion: Sequence[Sequence[int]], labels: Sequence[str], path: Path) -> None:
    """Draw a confusion matrix with its counts.

    Args:
        confusion: (C, C) counts; rows are true classes, columns predicted ones.
        labels: The C class names.
        path: The PNG to write.
    """
    counts = np.asarray(confusion)
    side = 2.2 + 0.8 * len(labels)
    figure = Figure(figsize=(side, side), dpi=_DPI, layout="constrained")
    axes = figure.add_subplot()
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for (row, column), count in np.ndenumerate(counts):
        ink = "white" if shares[row, column] > 0.5 else "black"
        axes.text(column, row, f"{count}", ha="center", va="center", color=ink)
    ticks = range(len(labels))
    axes.set_xticks(ticks, [plain_text(label) for label in labels], rotation=30, ha="right")
    axes.set_yticks(ticks, [plain_text(label) for label in labels])
    axes.set(xlabel="Predicted", ylabel="True")
    figure.savefig(path)


def save_differences(differences: Mapping[str, tuple[float, float, float]], path: Path) -> None:
    """Draw the difference of each metric with its interval, zero marked.

    Args:
        differences: Title of each metric, top to bottom, to its difference and the ends of the
            interval.
        path: The PNG to write.
    """
    figure = Figure(figsize=(6.4, 0.42 * len(differences) + 1.2), dpi=_DPI, layout="constrained")
    axes = figure.add_subplot()
    titles = list(differences)[::-1]
    for height, title in enumerate(titles):
        value, low, high = differences[title]
        axes.plot([low, high], [height, height], color=_INK["real"], linewidth=2)
        axes.plot(value, height, "o", color=_INK["real+synthetic"])
    axes.axvline(0, linestyle=":", color="grey", linewidth=1)
    axes.set_yticks(range(len(titles)), titles)
    axes.set_xlabel("real + synthetic minus real (95 % interval)")
    figure.savefig(path)


def _square(xlabel: str, ylabel: str) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(4.6, 4.6), dpi=_DPI, layout="constrained")
    axes = figure.add_subplot(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01), xlabel=xlabel, ylabel=ylabel)
    axes.set_aspect("equal")
    return figure, axes


def plain_text(label: str) -> str:
    """A class name as text: matplotlib would read `$` as the start of a formula."""
    return label.replace("$", r"\$")
