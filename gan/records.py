"""Records of a training: losses as `metrics.csv`, TensorBoard events and a plot; image grids.

Only the first process writes them, at multiples of images shown.
"""

import csv
import importlib.util
import io
import logging
import math
import time
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np
import torch
from lightning.pytorch import LightningModule, Trainer
from matplotlib.figure import Figure
from PIL import Image
from torch import Tensor

from gan.checkpoint import write_atomically
from gan.module import LitDCGAN
from gan.networks import Generator
from gan.randomness import Purpose, random_stream
from gan.trainer import AfterStep
from gan.transforms import to_pictures, to_uint8

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

log = logging.getLogger(__name__)

COLUMNS = ("images_shown", "gan/loss_d", "gan/loss_g", "images_per_second")
GRID_SIDE = 8
GRID_NAME = "grid.png"
ROWS = 200
"""Approximate number of rows of losses, for any length of training."""


class Recorder(AfterStep):
    """Callback that writes the losses and the grids of fixed latents, and stops at NaN.

    Args:
        directory: Folder of the losses; grids go to `grids/images-000008000.png` and `grid.png`.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._losses: LossTable | None = None
        self._sum: Tensor | None = None
        self._images = 0
        self._since = 0.0

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Open the table here, because it cannot be pickled for another process."""
        module = cast(LitDCGAN, pl_module)
        self._since = time.monotonic()
        if trainer.is_global_zero:
            self._losses = LossTable(self._directory, start=module.images_shown)

    def after_step(self, module: LitDCGAN, step: int) -> None:
        """Add up the losses; write them, and a grid, at their multiples."""
        config = module.config
        self._sum = module.losses * step if self._sum is None else self._sum + module.losses * step
        self._images += step
        if module.passed_multiple(max(1, config.images_shown // ROWS), step):
            self._write_row(module)
        if module.passed_multiple(config.grid_every, step):
            self._write_grid(module)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Plot all losses."""
        if self._losses is not None:
            self._losses.plot()
        self._close()

    def on_exception(
        self, trainer: Trainer, pl_module: LightningModule, exception: BaseException
    ) -> None:
        """Keep the records so far."""
        self._close()

    def _write_row(self, module: LitDCGAN) -> None:
        if self._losses is None or self._sum is None:
            return
        loss_d, loss_g = (self._sum / self._images).tolist()
        if not math.isfinite(loss_d + loss_g):
            raise module.divergence()
        now = time.monotonic()
        self._losses.add(
            module.images_shown,
            loss_d=loss_d,
            loss_g=loss_g,
            images_per_second=self._images / max(now - self._since, 1e-9),
        )
        self._sum, self._images, self._since = None, 0, now

    def _write_grid(self, module: LitDCGAN) -> None:
        module.require_finite()
        content = grid_png(module)
        name = f"images-{module.images_shown:09d}.png"
        write_atomically(self._directory / "grids" / name, content)
        write_atomically(self._directory / GRID_NAME, content)
        if self._losses is not None:
            self._losses.add_grid(content, module.images_shown)
            self._losses.plot()

    def _close(self) -> None:
        if self._losses is not None:
            self._losses.close()
            self._losses = None


class LossTable:
    """Rows of `metrics.csv`, repeated as TensorBoard scalars where TensorBoard is installed.

    Args:
        directory: Folder of `metrics.csv`, `losses.png` and `tensorboard/`.
        start: Number of images shown where this call starts; later rows come from steps that a
            killed run did not save, and are dropped.
    """

    def __init__(self, directory: Path, *, start: int) -> None:
        self._directory = directory
        self._path = directory / "metrics.csv"
        self._rows = [row for row in _read_rows(self._path) if row[0] <= start]
        write_atomically(self._path, _csv_bytes(self._rows, header=True))
        self._writer = _event_writer(directory / "tensorboard", start)

    def add(
        self, images_shown: int, *, loss_d: float, loss_g: float, images_per_second: float
    ) -> None:
        """Append one row; losses are means since the previous row."""
        # As the file holds them: a resumed training, which reads them there, plots the same.
        loss_d, loss_g, rate = (float(_number(one)) for one in (loss_d, loss_g, images_per_second))
        row = (images_shown, loss_d, loss_g, rate)
        self._rows.append(row)
        with self._path.open("ab") as file:
            file.write(_csv_bytes([row], header=False))
        if self._writer is not None:
            for name, value in zip(COLUMNS[1:], row[1:], strict=True):
                self._writer.add_scalar(name, value, images_shown)

    def add_grid(self, png: bytes, images_shown: int) -> None:
        """Add a grid to TensorBoard."""
        if self._writer is None:
            return
        grid = np.asarray(Image.open(io.BytesIO(png)))
        layout = "HWC" if grid.shape[2:] else "HW"
        self._writer.add_image("gan/grid", grid, images_shown, dataformats=layout)

    def plot(self) -> None:
        """Draw `losses.png` from all rows."""
        figure = Figure(figsize=(7, 4), dpi=100, layout="constrained")
        axes = figure.add_subplot()
        shown = [row[0] for row in self._rows]
        axes.plot(shown, [row[1] for row in self._rows], label="discriminator")
        axes.plot(shown, [row[2] for row in self._rows], label="generator")
        axes.set(xlabel="real images shown", ylabel="loss (nats)", title="GAN losses")
        axes.grid(alpha=0.3)
        axes.legend()
        content = io.BytesIO()
        figure.savefig(content, format="png")
        write_atomically(self._directory / "losses.png", content.getvalue())

    def close(self) -> None:
        """Flush and close the event file."""
        if self._writer is not None:
            self._writer.close()


def _event_writer(folder: Path, start: int) -> "SummaryWriter | None":
    """Open a file of TensorBoard events; None, with a message, where TensorBoard is missing."""
    if importlib.util.find_spec("tensorboard") is None:
        log.info("TensorBoard events are left out; they need pip install 'balancer[tensorboard]'.")
        return None
    from torch.utils.tensorboard import SummaryWriter

    return SummaryWriter(str(folder), purge_step=start + 1)


def grid_png(module: LitDCGAN) -> bytes:
    """Draw images of the averaged generator for 64 fixed latents, as one PNG."""
    return grid_of(module.averaged_generator(), module.seed, device=module.device)


def grid_of(generator: Generator, seed: int, *, device: torch.device | str = "cpu") -> bytes:
    """Draw images for 64 fixed latents, as one PNG; several classes one after the other."""
    random = random_stream(Purpose.GRID, seed)
    latents = torch.randn(GRID_SIDE**2, generator.config.latent_dim, generator=random)
    with torch.no_grad():
        images = to_uint8(generator(latents.to(device)))
    tiles = list(to_pictures(images))
    rows = [
        np.hstack(tiles[start : start + GRID_SIDE]) for start in range(0, len(tiles), GRID_SIDE)
    ]
    grid = np.vstack(rows)
    content = io.BytesIO()
    Image.fromarray(grid).save(content, format="PNG")
    return content.getvalue()


def _read_rows(path: Path) -> list[tuple[int, float, float, float]]:
    """Read the rows of a file that may end in half a row, after a kill."""
    if not path.is_file():
        return []
    rows = []
    with path.open(encoding="utf-8", newline="") as file:
        for row in list(csv.reader(file))[1:]:
            try:
                shown, loss_d, loss_g, rate = row
                rows.append((int(shown), float(loss_d), float(loss_g), float(rate)))
            except ValueError:
                break
    return rows


def _csv_bytes(rows: list[tuple[int, float, float, float]], *, header: bool) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    if header:
        writer.writerow(COLUMNS)
    for shown, loss_d, loss_g, rate in rows:
        writer.writerow((shown, _number(loss_d), _number(loss_g), _number(rate)))
    return text.getvalue().encode()


def _number(value: float) -> str:
    return f"{value:.6g}"
