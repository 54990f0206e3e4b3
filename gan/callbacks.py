"""What happens between the steps: records, grids, checkpoints and the live bar.

All of it is written by the first process alone, at multiples of images shown.
"""

import io
import logging
import math
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from PIL import Image
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor

from gan.checkpoint import write_atomically
from gan.history import History
from gan.module import LitDCGAN
from gan.randomness import Purpose, random_stream
from gan.resume import save_state
from gan.transforms import to_uint8

log = logging.getLogger(__name__)

GRID_SIDE = 8
GRID_NAME = "grid.png"
ROWS = 200
"""About this many rows of losses, however long the training."""
SECONDS_BETWEEN_UPDATES = 0.5


class TrainingDiverged(RuntimeError):
    """A loss or weight is NaN or infinite."""


class _AfterStep(Callback):
    """Calls `after_step` of the first process with the module and the size of the step."""

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: object,
        batch: Tensor,
        batch_idx: int,
    ) -> None:
        if trainer.is_global_zero:
            self.after_step(cast(LitDCGAN, pl_module), len(batch) * trainer.world_size)

    def after_step(self, module: LitDCGAN, step: int) -> None:
        """Act on a finished step of `step` images."""


class Recorder(_AfterStep):
    """Keeps the history of losses and the grids of fixed latents, and stops at NaN.

    Args:
        directory: Of the history; grids go to `grids/images-000008000.png` and `grid.png`.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._history: History | None = None
        self._sum: Tensor | None = None
        self._images = 0
        self._since = 0.0

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Open the history, which cannot travel to another process."""
        module = cast(LitDCGAN, pl_module)
        self._since = time.monotonic()
        if trainer.is_global_zero:
            self._history = History(self._directory, start=module.images_shown)

    def after_step(self, module: LitDCGAN, step: int) -> None:
        """Add up the losses; write them, and a grid, where one is due."""
        config = module.config
        self._sum = module.losses * step if self._sum is None else self._sum + module.losses * step
        self._images += step
        if module.passed_multiple(max(1, config.images_shown // ROWS), step):
            self._write_row(module)
        if module.passed_multiple(config.grid_every, step):
            self._write_grid(module)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Draw the whole history."""
        if self._history is not None:
            self._history.plot()
        self._close()

    def on_exception(
        self, trainer: Trainer, pl_module: LightningModule, exception: BaseException
    ) -> None:
        """Keep what was recorded."""
        self._close()

    def _write_row(self, module: LitDCGAN) -> None:
        if self._history is None or self._sum is None:
            return
        loss_d, loss_g = (self._sum / self._images).tolist()
        if not math.isfinite(loss_d + loss_g):
            raise _diverged(module)
        now = time.monotonic()
        self._history.add(
            module.images_shown,
            loss_d=loss_d,
            loss_g=loss_g,
            images_per_second=self._images / max(now - self._since, 1e-9),
        )
        self._sum, self._images, self._since = None, 0, now

    def _write_grid(self, module: LitDCGAN) -> None:
        require_finite(module)
        content = grid_png(module)
        name = f"images-{module.images_shown:09d}.png"
        write_atomically(self._directory / "grids" / name, content)
        write_atomically(self._directory / GRID_NAME, content)
        if self._history is not None:
            self._history.add_grid(content, module.images_shown)
            self._history.plot()

    def _close(self) -> None:
        if self._history is not None:
            self._history.close()
            self._history = None


class CheckpointWriter(_AfterStep):
    """Saves the resumable state as training goes and when it stops, never a broken one.

    Args:
        path: The file.
        run: Of `resume.describe_run`.
        seconds: Time spent by the calls before this one.
    """

    def __init__(self, path: Path, run: Mapping[str, Any], *, seconds: float) -> None:
        self._path = path
        self._run = run
        self._seconds = seconds
        self._saved: int | None = None
        self._started = 0.0

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the clock."""
        self._started = time.monotonic()

    def after_step(self, module: LitDCGAN, step: int) -> None:
        """Save where a checkpoint is due, and each snapshot that is the best so far."""
        due = module.passed_multiple(module.config.checkpoint_every, step)
        if due or module.has_just_improved():
            self._save(module)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save the end, be it the planned one or a stop; no process goes on before."""
        module = cast(LitDCGAN, pl_module)
        if trainer.is_global_zero and self._saved != module.images_shown:
            self._save(module)
        trainer.strategy.barrier()

    def _save(self, module: LitDCGAN) -> None:
        require_finite(module)
        seconds = self._seconds + time.monotonic() - self._started
        save_state(self._path, self._run, module.training_state(), seconds=seconds)
        self._saved = module.images_shown


class ProgressReport(_AfterStep):
    """A live bar in images on a terminal's stderr; elsewhere a line of log at each grid.

    Args:
        title: Stands before the bar.
    """

    def __init__(self, title: str) -> None:
        self._title = title
        self._bar: Progress | None = None
        self._started = 0.0
        self._updated = 0.0
        self._from = 0

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Show the bar where someone can see it."""
        module = cast(LitDCGAN, pl_module)
        self._started = time.monotonic()
        self._from = module.images_shown
        if trainer.is_global_zero and sys.stderr.isatty() and log.isEnabledFor(logging.INFO):
            self._bar = Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TextColumn("{task.fields[numbers]}"),
                TimeRemainingColumn(),
                console=Console(stderr=True),
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
        """Leave the bar as it ended."""
        module = cast(LitDCGAN, pl_module)
        if self._bar is not None:
            self._bar.update(self._bar.task_ids[0], completed=module.images_shown)
            self._bar.stop()
            self._bar = None

    def on_exception(
        self, trainer: Trainer, pl_module: LightningModule, exception: BaseException
    ) -> None:
        """Give the terminal back."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def _numbers(self, module: LitDCGAN, now: float) -> str:
        loss_d, loss_g = module.losses.tolist()
        rate = (module.images_shown - self._from) / max(now - self._started, 1e-9)
        return f"loss_d {loss_d:.3f}, loss_g {loss_g:.3f}, {rate:.0f} images/s"


def grid_png(module: LitDCGAN) -> bytes:
    """Images of the averaged generator for 64 latents that never change, as one PNG."""
    latents = torch.randn(
        GRID_SIDE**2,
        module.config.latent_dim,
        generator=random_stream(Purpose.GRID, module.seed),
    )
    with torch.no_grad():
        images = to_uint8(module.averaged_generator()(latents.to(module.device)))
    side = module.config.image_size
    tiles = images.reshape(GRID_SIDE, GRID_SIDE, side, side).permute(0, 2, 1, 3)
    grid = tiles.reshape(GRID_SIDE * side, GRID_SIDE * side).cpu().numpy()
    content = io.BytesIO()
    Image.fromarray(grid).save(content, format="PNG")
    return content.getvalue()


def require_finite(module: LitDCGAN) -> None:
    """Refuse to go on with a broken module.

    Raises:
        TrainingDiverged: A loss or a weight is NaN or infinite.
    """
    losses = module.losses.tolist()
    if all(map(math.isfinite, losses)) and all(
        bool(torch.isfinite(weight).all()) for weight in module.parameters()
    ):
        return
    raise _diverged(module)


def _diverged(module: LitDCGAN) -> TrainingDiverged:
    losses = module.losses.tolist()
    return TrainingDiverged(
        f"after {module.images_shown} images a loss or weight is not finite "
        f"(loss_d {losses[0]:g}, loss_g {losses[1]:g}); lower the learning rates"
    )
