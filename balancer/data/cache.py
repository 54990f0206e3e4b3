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
from balancer.data.masks.of_index import LungMasks
from balancer.data.roots import Roots
from balancer.data.threads import map_threaded
from balancer.errors import IntegrityError
from balancer.imaging.preprocess import Mask, Preprocessor
from balancer.manifest import ImageRecord

log = logging.getLogger(__name__)


def open_cache(
    directory: Path,
    roots: Roots,
    records: Sequence[ImageRecord],
    size: int,
    preprocessor: Preprocessor | None = None,
    masks: LungMasks | None = None,
) -> Pixels:
    """Open the pixels of all records, decoding them first where that was not done before.

    Args:
        directory: Folder of the table; the array lies in `cache/` inside it, named by the size and
            a hash of everything that went in, so that no other images are taken for these.
        roots: Where the files of the records lie; read only to decode.
        records: Rows of the table.
        size: Side in pixels.
        preprocessor: What is done to every image before; None: nothing. Never given for synthetic
            images, whose generator learnt from preprocessed ones.
        masks: Of the lungs, of all records; None: there are none.

    Returns:
        uint8 (N, size, size), memory-mapped and read-only, in the order of the records.

    Raises:
        IntegrityError: A file is missing, or its bytes are not those that were prepared.
        DataError: The preprocessing wants a mask that an image lacks.
    """
    key = cache_key(records, size, preprocessor, masks)
    path = directory / "cache" / f"{size}-{key}.npy"
    cached = _open(path, (len(records), size, size))
    if cached is None:
        _write(path, roots, records, size, preprocessor, masks)
        cached = _open(path, (len(records), size, size))
        if cached is None:
            raise IntegrityError(f"{path} should hold the pixels just written; check the disk.")
    return cached


def cache_key(
    records: Sequence[ImageRecord],
    size: int,
    preprocessor: Preprocessor | None = None,
    masks: LungMasks | None = None,
) -> str:
    """Hash of all that decides the pixels; arguments as of `open_cache`."""
    parts = [PIXEL_RECIPE, str(size), *(record.image_id for record in records)]
    parts += full_recipe(preprocessor, masks)
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def full_recipe(preprocessor: Preprocessor | None, masks: LungMasks | None) -> list[str]:
    """What the preprocessing adds to keys; nothing where nothing is done."""
    recipe = "" if preprocessor is None else preprocessor.recipe
    return [part for part in (recipe, masks.fingerprint if recipe and masks else "") if part]


def cached_pixels(
    pixels: Pixels,
    size: int,
    preprocessor: Preprocessor | None = None,
    mask: Mask | None = None,
) -> Pixels:
    """One decoded image as it stands in a cache.

    Args:
        pixels: uint8 (H, W).
        size: Side in pixels.
        preprocessor: What is done before; None: nothing.
        mask: The lungs, bool (h, w); None: no file says where they are.

    Returns:
        uint8 (size, size).

    Raises:
        DataError: The preprocessing wants a mask.
    """
    if preprocessor is not None:
        pixels = preprocessor.apply(pixels, mask)
    return resize_square(pixels, size)


def _open(path: Path, shape: tuple[int, int, int]) -> Pixels | None:
    if not path.is_file():
        return None
    try:
        cached = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError, OSError):
        return None  # damaged: made again
    return cached if cached.shape == shape and cached.dtype == np.uint8 else None


def _write(
    path: Path,
    roots: Roots,
    records: Sequence[ImageRecord],
    size: int,
    preprocessor: Preprocessor | None,
    masks: LungMasks | None,
) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    # A name of its own: processes that work on folds of one index meet here.
    temporary = path.with_name(f"{path.name}.{uuid.uuid4().hex}.partial")
    try:
        pixels: NDArray[np.uint8] = np.lib.format.open_memmap(
            temporary, mode="w+", dtype=np.uint8, shape=(len(records), size, size)
        )
        _reserve(temporary)
        films = _films(path.parent, records, preprocessor)

        def fill(row: int) -> None:
            record = records[row]
            if films is not None:
                pixels[row] = cached_pixels(films[row], size)
                return
            mask = None if masks is None else masks.read(record.image_id)
            pixels[row] = cached_pixels(verified_film(roots, record), size, preprocessor, mask)

        map_threaded(fill, range(len(records)), task=f"Decoding to {size} px")
        pixels.flush()  # type: ignore[attr-defined]
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    log.debug("Decoded %d images to %d px: %s", len(records), size, path)


def _films(
    folder: Path, records: Sequence[ImageRecord], preprocessor: Preprocessor | None
) -> Pixels | None:
    """The cache that holds the films as they are, if all are squares of its size.

    Other sizes are made from it without a look at any file.
    """
    sides = {(record.width, record.height) for record in records}
    if len(sides) != 1 or (preprocessor is not None and preprocessor.recipe):
        return None
    ((width, height),) = sides
    path = folder / f"{width}-{cache_key(records, width)}.npy"
    return _open(path, (len(records), width, width)) if width == height else None


def _reserve(path: Path) -> None:
    """Make the disk say that it is full now; a map without room for its pages is a dead process."""
    if hasattr(os, "posix_fallocate"):
        with path.open("r+b") as file:
            os.posix_fallocate(file.fileno(), 0, path.stat().st_size)


def verified_film(roots: Roots, record: ImageRecord) -> Pixels:
    """A film at its own size, before any preprocessing: uint8 (H, W).

    Raises:
        IntegrityError: The file is missing, or its bytes are not those that were prepared.
    """
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
