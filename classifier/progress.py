"""What a training run shows and leaves behind: a live bar, a CSV and curves."""

import csv
import dataclasses
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import lightning as L
from matplotlib.figure import Figure
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from classifier.module import ClassifierModule, EpochRecord


class ProgressBar(L.Callback):
    """One line on stderr: steps, loss, best validation AUROC, images per second."""

    def __init__(self, n_steps: int) -> None:
        self._bar = Progress(
            TextColumn("classifier"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[state]}"),
            TimeRemainingColumn(),
            console=Console(stderr=True),
        )
        self._task = self._bar.add_task("classifier", total=n_steps, state="")
        self._started = 0.0
        self._shown = 0

    def on_fit_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Start the clock and the line."""
        self._started = time.monotonic()
        if trainer.is_global_zero:
            self._bar.start()

    def on_train_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Bring the line up to date."""
        self._shown += len(batch[1]) * trainer.world_size
        rate = self._shown / max(1e-9, time.monotonic() - self._started)
        state = f"loss {float(outputs['loss']):.3f}, {rate:.0f} images/s"
        if isinstance(pl_module, ClassifierModule) and pl_module.best is not None:
            best = pl_module.best.val_auroc
            state += "" if best is None else f", best val AUROC {best:.3f}"
        self._bar.update(self._task, completed=trainer.global_step, state=state)

    def on_fit_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Leave the finished line standing."""
        self._bar.stop()

    def on_exception(
        self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException
    ) -> None:
        """Give the terminal back."""
        self._bar.stop()


def write_history(path: Path, histories: Sequence[Sequence[EpochRecord]]) -> None:
    """Write one row per validation of each network."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["member", *(field.name for field in dataclasses.fields(EpochRecord))])
        for number, history in enumerate(histories):
            writer.writerows((number, *dataclasses.astuple(record)) for record in history)


def plot_learning_curves(
    path: Path, histories: Sequence[Sequence[EpochRecord]], best: Sequence[EpochRecord]
) -> None:
    """Draw losses and validation AUROC over optimizer steps.

    Args:
        path: The PNG to write.
        histories: Of each network.
        best: The record whose weights were kept, of each; a dotted line marks it.
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
