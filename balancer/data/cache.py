"""Decode every image once per size, into one memory-mapped array."""

import hashlib
import logging
import os
import uuid
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from balancer.data.io import (
    PIXEL_RECIPE,
    Pixels,
    UnusableImageError,
    decode_radiograph,
    read_bytes,
    resize_square,
)
from balancer.data.roots import Roots
from balancer.data.threads import map_threaded
from balancer.errors import IntegrityError
from balancer.manifest import ImageRecord

log = logging.getLogger(__name__)


def open_cache(directory: Path, roots: Roots, records: Sequence[ImageRecord], size: int) -> Pixels:
    """Open the pixels of all records, decoding them first where that was not done before.

    Args:
        directory: Folder of the table; the array lies in `cache/` inside it, named by the size and
            a hash of everything that went in, so that no other images are taken for these.
        roots: Where the files of the records lie; read only to decode.
        records: Rows of the table.
        size: Side in pixels.

    Returns:
        uint8 (N, size, size), memory-mapped and read-only, in the order of the records.

    Raises:
        IntegrityError: A file is missing, or its bytes are not those that were prepared.
    """
    path = directory / "cache" / f"{size}-{_key(records, size)}.npy"
    cached = _open(path, (len(records), size, size))
    if cached is None:
        _write(path, roots, records, size)
        cached = _open(path, (len(records), size, size))
        if cached is None:
            raise IntegrityError(f"{path} should hold the pixels just written; check the disk.")
    return cached


def _key(records: Sequence[ImageRecord], size: int) -> str:
    parts = [PIXEL_RECIPE, str(size), *(record.image_id for record in records)]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def _open(path: Path, shape: tuple[int, int, int]) -> Pixels | None:
    if not path.is_file():
        return None
    try:
        cached = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError, OSError):
        return None  # damaged: made again
    return cached if cached.shape == shape and cached.dtype == np.uint8 else None


def _write(path: Path, roots: Roots, records: Sequence[ImageRecord], size: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    # A name of its own: processes that work on folds of one index meet here.
    temporary = path.with_name(f"{path.name}.{uuid.uuid4().hex}.partial")
    try:
        pixels: NDArray[np.uint8] = np.lib.format.open_memmap(
            temporary, mode="w+", dtype=np.uint8, shape=(len(records), size, size)
        )
        _reserve(temporary)

        def fill(row: int) -> None:
            pixels[row] = resize_square(_verified(roots, records[row]), size)

        map_threaded(fill, range(len(records)), task=f"Decoding to {size} px")
        pixels.flush()  # type: ignore[attr-defined]
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    log.debug("Decoded %d images to %d px: %s", len(records), size, path)


def _reserve(path: Path) -> None:
    """Make the disk say that it is full now; a map without room for its pages is a dead process."""
    if hasattr(os, "posix_fallocate"):
        with path.open("r+b") as file:
            os.posix_fallocate(file.fileno(), 0, path.stat().st_size)


def _verified(roots: Roots, record: ImageRecord) -> Pixels:
    path = roots.locate(record.path)
    try:
        data = read_bytes(path)
        if hashlib.sha256(data).hexdigest() == record.image_id:
            # Equal bytes passed the audit, so the size limit was asked before.
            return decode_radiograph(data, path, max_megapixels=None).pixels
        found = "its bytes have changed"
    except UnusableImageError as error:
        found = error.reason
    raise IntegrityError(
        f"{str(path)!r} should be the file that was prepared, but {found}; restore it, or run the "
        "stage that listed it again with --force."
    )
