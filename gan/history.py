"""The losses as they were: `metrics.csv`, TensorBoard events and a plot."""

import csv
import io
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from PIL import Image
from torch.utils.tensorboard import SummaryWriter

from gan.checkpoint import write_atomically

COLUMNS = ("images_shown", "gan/loss_d", "gan/loss_g", "images_per_second")


class History:
    """Rows of `metrics.csv`, repeated as TensorBoard scalars.

    Args:
        directory: Holds `metrics.csv`, `losses.png` and `tensorboard/`.
        start: Images shown where this call takes up; later rows are of steps that a killed run
            did not save, and are dropped.
    """

    def __init__(self, directory: Path, *, start: int) -> None:
        self._directory = directory
        self._path = directory / "metrics.csv"
        self._rows = [row for row in _read_rows(self._path) if row[0] <= start]
        write_atomically(self._path, _csv_bytes(self._rows, header=True))
        self._writer = SummaryWriter(str(directory / "tensorboard"), purge_step=start + 1)

    def add(
        self, images_shown: int, *, loss_d: float, loss_g: float, images_per_second: float
    ) -> None:
        """Append one row; losses are means since the row before."""
        row = (images_shown, loss_d, loss_g, images_per_second)
        self._rows.append(row)
        with self._path.open("ab") as file:
            file.write(_csv_bytes([row], header=False))
        for name, value in zip(COLUMNS[1:], row[1:], strict=True):
            self._writer.add_scalar(name, value, images_shown)

    def add_grid(self, png: bytes, images_shown: int) -> None:
        """Show a grid in TensorBoard."""
        grid = np.asarray(Image.open(io.BytesIO(png)))
        self._writer.add_image("gan/grid", grid, images_shown, dataformats="HW")

    def plot(self) -> None:
        """Draw `losses.png` of all rows."""
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
        self._writer.close()


def _read_rows(path: Path) -> list[tuple[int, float, float, float]]:
    """Rows of a file that may end in half a row, where the process was killed."""
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
        writer.writerow((shown, f"{loss_d:.6g}", f"{loss_g:.6g}", f"{rate:.6g}"))
    return text.getvalue().encode()
