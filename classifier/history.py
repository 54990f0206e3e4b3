"""History of a training: one record per validation, as a CSV and as curves."""

import csv
import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from matplotlib.figure import Figure


@dataclass(frozen=True, slots=True)
class EpochRecord:
    """Row of the history; `val_auroc` is None for validation images of a single class."""

    epoch: int
    step: int
    train_loss: float
    val_loss: float
    val_auroc: float | None
    learning_rate: float

    @property
    def rank(self) -> tuple[float, float]:
        """Rank of the weights, greater is better: AUROC, then (equal or None) the lower loss."""
        return (0.0 if self.val_auroc is None else self.val_auroc, -self.val_loss)


def write_history(path: Path, histories: Sequence[Sequence[EpochRecord]]) -> None:
    """Write one row per validation of each network to a CSV."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["member", *(field.name for field in dataclasses.fields(EpochRecord))])
        for number, history in enumerate(histories):
            writer.writerows((number, *dataclasses.astuple(record)) for record in history)


def plot_learning_curves(
    path: Path, histories: Sequence[Sequence[EpochRecord]], best: Sequence[EpochRecord]
) -> None:
    """Plot losses and validation AUROC over optimizer steps.

    Args:
        path: Path to the PNG.
        histories: History of each network.
        best: Record whose weights were kept, of each network; a dotted line marks it.
    """
    figure = Figure(figsize=(9, 3.5), layout="constrained")
    losses, ranks = figure.subplots(1, 2)
    for number, (history, kept) in enumerate(zip(histories, best, strict=True)):
        steps = [record.step for record in history]
        curves = {
            "training": [record.train_loss for record in history],
            "validation": [record.val_loss for record in history],
        }
        for ink, (name, values) in zip(("#4c566a", "#bf3f5f"), curves.items(), strict=True):
            losses.plot(steps, values, "o-", color=ink, label=None if number else name)
        scored = [(r.step, r.val_auroc) for r in history if r.val_auroc is not None]
        ranks.plot(
            [step for step, _ in scored], [value for _, value in scored], "o-", color="#bf3f5f"
        )
        for axes in (losses, ranks):
            axes.axvline(kept.step, color="grey", linestyle=":")
    losses.set(xlabel="optimizer step", ylabel="loss")
    losses.set_ylim(bottom=0)
    losses.legend(frameon=False)
    ranks.set(xlabel="optimizer step", ylabel="validation AUROC")
    for axes in (losses, ranks):
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=120)
