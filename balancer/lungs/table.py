"""`lungs.csv`: what is known of the lung mask of every image."""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

import numpy as np

TABLE_NAME = "lungs.csv"
CLASSICAL, UNET = "classical", "unet"
_COLUMNS = ("image_id", "path", "method", "quality", "flags", "dice")


@dataclass(frozen=True, slots=True)
class LungRow:
    """One image.

    Attributes:
        image_id: As in `index.csv`.
        path: The same.
        method: `classical` or `unet`.
        quality: In [0, 1]; see `LungField`.
        flags: What is odd about the mask.
        dice: With the mask that somebody drew; None: there is none.
    """

    image_id: str
    path: str
    method: str
    quality: float
    flags: tuple[str, ...]
    dice: float | None


def table_of_lungs(rows: Iterable[LungRow]) -> bytes:
    """Encode as CSV (UTF-8, LF); flags are joined by `; `."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_COLUMNS)
    for row in rows:
        dice = "" if row.dice is None else f"{row.dice:.4f}"
        quality = f"{row.quality:.3f}"
        writer.writerow([row.image_id, row.path, row.method, quality, "; ".join(row.flags), dice])
    return text.getvalue().encode()


def mask_names(paths: Sequence[str]) -> dict[str, str]:
    """Relative paths of the masks of images: theirs, with the ending `.png`.

    Where that would give two images one name (`a.jpg` beside `a.png`), all masks have the whole
    name of their image and `.png`.
    """
    short = {path: str(PurePosixPath(path).with_suffix(".png")) for path in paths}
    if len(set(short.values())) == len(short):
        return short
    return {path: f"{path}.png" for path in paths}


def dice_summary(values: Sequence[float]) -> dict[str, Any] | None:
    """Number, mean, median and worst of Dice coefficients; None where there are none."""
    if not values:
        return None
    return {
        "n": len(values),
        "mean": round(float(np.mean(values)), 4),
        "median": round(float(np.median(values)), 4),
        "worst": round(float(np.min(values)), 4),
    }


def dice_line(what: str, summary: Mapping[str, Any]) -> str:
    """A `dice_summary` in words."""
    return (
        f"{what}: Dice {summary['mean']:.3f} on average, median {summary['median']:.3f}, worst "
        f"{summary['worst']:.3f}, of {summary['n']} images"
    )
