"""`lungs.csv`: quality and flags of the lung mask of every image."""

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

_COLUMNS = ("image_id", "path", "method", "quality", "flags", "dice")


@dataclass(frozen=True, slots=True)
class LungRow:
    """The mask of one image.

    Attributes:
        image_id: As in `index.csv`.
        path: As in `index.csv`.
        method: `classical` or `unet`.
        quality: In [0, 1]; see `LungField`.
        flags: Oddities of the mask.
        dice: Dice coefficient with the annotated mask; None: there is none.
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
    """Return path of an image to path of its mask: the same, with the suffix `.png`.

    Where that would give two images one name (`a.jpg` beside `a.png`), `.png` is appended to the
    whole name of every image. `MaskFinder` finds both.
    """
    short = {path: str(PurePosixPath(path).with_suffix(".png")) for path in paths}
    if len(set(short.values())) == len(short):
        return short
    return {path: f"{path}.png" for path in paths}
