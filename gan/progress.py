"""Progress of a training: a live bar, or lines of the log."""

import logging
import sys
import time
from contextlib import suppress
from typing import cast

from lightning.pytorch import LightningModule, Trainer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from gan.module import LitDCGAN
from gan.trainer import AfterStep

log = logging.getLogger(__name__)

SECONDS_BETWEEN_UPDATES = 0.5


class ProgressReport(AfterStep):
    """Callback that moves a live bar, counted in images; without a bar it logs a line per grid.

    Args:
        title: Text before the bar.
        bar: True: show the bar on a terminal's stderr or in a notebook.
    """

    def __init__(self, title: str, *, bar: bool) -> None:
        self._title = title
        self._wants_bar = bar
        self._bar: Progress | None = None
        self._started = 0.0
        self._updated = 0.0
        self._from = 0

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Show the bar."""
        module = cast(LitDCGAN, pl_module)
        self._started = time.monotonic()
        self._from = module.images_shown
        if not (trainer.is_global_zero and self._wants_bar):
            return
        console = Console(stderr=True)
        if console.is_jupyter or sys.stderr.isatty():
            self._bar = Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TextColumn("{task.fields[numbers]}"),
                TimeRemainingColumn(),
                console=console,
                refresh_per_second=2,
            )
            self._bar.add_task(
                self._title, total=module.config.images_shown, completed=self._from, numbers=""
            )
            self._bar.start()

    def after_step(self, module: LitDCGAN, step: int) -> None:
        """Move the bar or write the line."""
        now = time.monotonic()
        if self._bar is None:
            if module.passed_multiple(module.config.grid_every, step):
                total = module.config.images_shown
                numbers = self._numbers(module, now)
                log.info(
                    "%s: %d of %d images, %s", self._title, module.images_shown, total, numbers
                )
        elif now - self._updated > SECONDS_BETWEEN_UPDATES:
            self._updated = now
            self._bar.update(
                self._bar.task_ids[0],
                completed=module.images_shown,
                numbers=self._numbers(module, now),
            )

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Leave the bar at its last position."""
        module = cast(LitDCGAN, pl_module)
        if self._bar is not None:
            self._bar.update(self._bar.task_ids[0], completed=module.images_shown)
        self._release()

    def on_exception(
        self, trainer: Trainer, pl_module: LightningModule, exception: BaseException
    ) -> None:
        """Release the terminal."""
        self._release()

    def _release(self) -> None:
        if self._bar is not None:
            # A terminal that closed refuses the last line, which must not cost the checkpoint.
            with suppress(OSError):
                self._bar.stop()
            self._bar = None

    def _numbers(self, module: LitDCGAN, now: float) -> str:
        loss_d, loss_g = module.losses.tolist()
        rate = (module.images_shown - self._from) / max(now - self._started, 1e-9)
        return f"loss_d {loss_d:.3f}, loss_g {loss_g:.3f}, {rate:.0f} images/s"
