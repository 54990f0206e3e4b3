"""What `prepare` writes of the preprocessing: the masks that it uses, and a sheet to look at."""

import logging
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from balancer.data.io import decode_radiograph, read_bytes, resize_square
from balancer.data.masks.of_index import CLASSICAL, MASKS_NAME, LungMasks, masks_bytes
from balancer.data.roots import Roots
from balancer.imaging.preprocess import Preprocessor, Step
from balancer.imaging.sheet import SheetRow, save_sheet
from balancer.manifest import ImageRecord

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
) -> dict[str, Any]:
    """Write `masks.csv` and `preprocessing.png`, where there is something to write.

    Args:
        directory: The folder of the index.
        records: All images.
        roots: Where their files lie.
        preprocessor: Of the index.
        masks: Of the lungs, where it asks for them.
        seed: Of the films on the sheet.

    Returns:
        What `result.json` notes: nothing by default.

    Raises:
        UnusableImageError: A file cannot be read any more.
        IntegrityError: A mask has changed since it was chosen.
    """
    if not preprocessor.recipe:
        return {}
    rows = [_row(record, roots, preprocessor, masks) for record in _chosen(records, seed)]
    named = ", ".join(f"{key}={value}" for key, value in preprocessor.config.settings().items())
    save_sheet(rows, about=f"Films before and after: {named}", path=directory / SHEET_NAME)
    if masks is None:
        return {}
    (directory / MASKS_NAME).write_bytes(masks_bytes(masks, records))
    return {"masks_sha256": masks.fingerprint, "lungs_by": masks.counts()}


def warn_of_lungs(index_dir: Path, records: Sequence[ImageRecord], masks: LungMasks) -> None:
    """Say of how many images the lungs are not known.

    Args:
        index_dir: With the pixels that are kept.
        records: All images.
        masks: Theirs.
    """
    path_of = {record.image_id: record.path for record in records}
    doubtful = [path_of[image_id] for image_id in masks.implausible(list(path_of))]
    if doubtful:
        log.warning(
            "WARNING: the lung masks of %d of %d images cover too little or too much of the film "
            "(less than 1 %% or more than 90 %%), first that of %r, and count as no lungs found; "
            "mend them, or delete them.",
            len(doubtful),
            len(records),
            doubtful[0],
        )
    black = _count_black(index_dir)
    if black:
        log.warning(
            "WARNING: no lungs were found in %d of %d images, which are black now; `balancer lungs "
            "apply` tells which films are doubtful.",
            black,
            len(records),
        )


def _count_black(index_dir: Path) -> int:
    """Images of which nothing is to be seen, by the smallest pixels that an index keeps."""
    kept = sorted(index_dir.glob("cache/*.npy"), key=lambda path: path.stat().st_size)
    if not kept:
        return 0
    pixels = np.load(kept[0], mmap_mode="r", allow_pickle=False)
    return sum(not image.any() for image in pixels)


def _chosen(records: Sequence[ImageRecord], seed: int) -> list[ImageRecord]:
    """Some training films of every class: a look at others would be a look at test images."""
    chosen = []
    for number, label in enumerate(sorted({record.label for record in records})):
        own = [record for record in records if record.label == label and record.split == "train"]
        order = np.random.default_rng([seed, number]).permutation(len(own))[:_PER_CLASS]
        chosen += [own[place] for place in sorted(order)]
    return chosen


def _row(
    record: ImageRecord, roots: Roots, preprocessor: Preprocessor, masks: LungMasks | None
) -> SheetRow:
    path = roots.locate(record.path)
    film = decode_radiograph(read_bytes(path), path, max_megapixels=None).pixels
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
