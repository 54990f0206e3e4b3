"""Write what `prepare` shows of the preprocessing: a sheet of images, and the lung masks."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np

from balancer.data.io import decode_radiograph, read_bytes, resize_square
from balancer.data.masks.of_index import CLASSICAL, MASKS_NAME, LungMasks, masks_bytes
from balancer.data.roots import Roots
from balancer.imaging.preprocess import Preprocessor, Step
from balancer.manifest import ImageRecord

_CELL, _DPI = 2.0, 100
"""Side of a picture in inches; pixels per inch."""
_VIEWS = ("lungs-only", "lungs-blacked-out", "crop-to-lungs")
_TITLES = {
    "film": "film",
    "border": "border removed",
    "grey-world": "white balance",
    "shades-of-grey": "white balance",
    "reinhard": "stain made equal",
    "clahe": "CLAHE",
    "equalize": "equalised",
    "window": "windowed",
    "crop": "central square",
    "pad": "padded",
}


@dataclass(frozen=True, slots=True)
class SheetRow:
    """One image.

    Attributes:
        caption: Text beside it.
        steps: The original, and the image after each step.
        square: The last step as a square.
        note: Source of its lungs; "" for none.
    """

    caption: str
    steps: Sequence[Step]
    square: Step
    note: str = ""


def save_sheet(rows: Sequence[SheetRow], *, about: str, path: Path) -> None:
    """Draw the sheet, all images in the same grey scale and in their own proportions.

    Args:
        rows: At least one row, all with the same steps.
        about: Title of the sheet.
        path: Path to the PNG.
    """
    from matplotlib.figure import Figure

    pictures = [[*row.steps, row.square] for row in rows]
    columns = len(pictures[0])
    figure = Figure(
        figsize=(1.9 + _CELL * columns, 0.7 + (_CELL + 0.3) * len(rows)),
        dpi=_DPI,
        layout="constrained",
    )
    # No text is a formula: file names can hold dollar signs.
    figure.suptitle(about, size=10, parse_math=False)
    grid = figure.subplots(len(rows), columns, squeeze=False)
    for row, line, axes_of_row in zip(rows, pictures, grid, strict=True):
        for column, (step, axes) in enumerate(zip(line, axes_of_row, strict=True)):
            axes.set(xticks=[], yticks=[])
            axes.set_facecolor("#dfe4ea")
            axes.imshow(step.pixels, cmap="gray", vmin=0, vmax=255, interpolation="antialiased")
            height, width = step.pixels.shape[:2]
            note = f"; {row.note}" if row.note and step.name in _VIEWS else ""
            axes.set_xlabel(f"{width} x {height}{note}", size=7, parse_math=False)
            if row is rows[0]:
                axes.set_title(_TITLES.get(step.name, step.name), size=9)
            if column == 0:
                axes.set_ylabel(
                    row.caption, rotation=0, ha="right", va="center", size=8, parse_math=False
                )
    figure.savefig(path)


log = logging.getLogger(__name__)

SHEET_NAME = "preprocessing.png"
_PER_CLASS = 4
_SIDE = 224
_NOTES = {CLASSICAL: "lungs found", "archive": "archive's mask", "unet": "by the U-Net"}


def write_preprocessing(
    directory: Path,
    records: Sequence[ImageRecord],
    roots: Roots,
    preprocessor: Preprocessor,
    masks: LungMasks | None,
    *,
    seed: int,
) -> None:
    """Write `preprocessing.png` and `masks.csv`, as far as the preprocessing needs them.

    Args:
        directory: Folder of the index.
        records: All images.
        roots: Archives of the images.
        preprocessor: Preprocessing of the index.
        masks: Lung masks, where the preprocessing needs them.
        seed: Seed for the choice of images on the sheet.

    Raises:
        UnusableImageError: A file can no longer be read.
        IntegrityError: A mask has changed since it was chosen.
    """
    if not preprocessor.changes:
        return
    rows = [_row(record, roots, preprocessor, masks) for record in _chosen(records, seed)]
    named = ", ".join(
        f"{key}={value}" for key, value in preprocessor.config.preprocessing.settings().items()
    )
    save_sheet(rows, about=f"Films before and after: {named}", path=directory / SHEET_NAME)
    if masks is not None:
        (directory / MASKS_NAME).write_bytes(masks_bytes(masks, records))


def warn_of_lungs(index_dir: Path, records: Sequence[ImageRecord], masks: LungMasks) -> None:
    """Warn of the number of images whose lungs are not known.

    Args:
        index_dir: Folder of the index, with its pixels.
        records: All images.
        masks: Their lung masks.
    """
    path_of = {record.image_id: record.path for record in records}
    doubtful = [path_of[image_id] for image_id in masks.implausible(list(path_of))]
    if doubtful:
        log.warning(
            "WARNING: the lung masks of %d of %d images cover too little or too much of the film "
            "(less than 1 %% or more than 90 %%), first that of %r, and count as no lungs found; "
            "repair them, or delete them.",
            len(doubtful),
            len(records),
            doubtful[0],
        )
    black = _count_black(index_dir)
    if black:
        log.warning(
            "WARNING: no lungs were found in %d of %d images, which are black now; `balancer lungs "
            "apply` lists the doubtful images.",
            black,
            len(records),
        )


def _count_black(index_dir: Path) -> int:
    """Return the number of black images, by the smallest pixels that the index keeps."""
    kept = sorted(index_dir.glob("cache/*.npy"), key=lambda path: path.stat().st_size)
    if not kept:
        return 0
    pixels = np.load(kept[0], mmap_mode="r", allow_pickle=False)
    return sum(not image.any() for image in pixels)


def _chosen(records: Sequence[ImageRecord], seed: int) -> list[ImageRecord]:
    """Choose some training images of every class; others could be test images."""
    chosen = []
    for number, label in enumerate(sorted({record.label for record in records})):
        own = [record for record in records if record.label == label and record.split == "train"]
        order = np.random.default_rng([seed, number]).permutation(len(own))[:_PER_CLASS]
        chosen += [own[row] for row in sorted(order)]
    return chosen


def _row(
    record: ImageRecord, roots: Roots, preprocessor: Preprocessor, masks: LungMasks | None
) -> SheetRow:
    path = roots.locate(record.path)
    film = decode_radiograph(
        read_bytes(path), path, max_megapixels=None, channels=preprocessor.channels
    ).as_read
    mask = None if masks is None else masks.read(record.image_id)
    qualities: list[float] = []
    steps = preprocessor.watched(qualities).steps(film, mask)
    name = PurePosixPath(record.path).stem
    return SheetRow(
        caption=f"{record.label}\n{name if len(name) <= 24 else name[:23] + '…'}",
        steps=steps,
        square=Step("square", resize_square(steps[-1].pixels, _SIDE)),
        note=_note(record, masks, qualities),
    )


def _note(record: ImageRecord, masks: LungMasks | None, qualities: Sequence[float]) -> str:
    if masks is None:
        return ""
    note = _NOTES[masks.files[record.image_id].method]
    return f"{note}, quality {min(qualities):.2f}" if qualities else note
