"""Decode every image once per size, into one memory-mapped array."""

import hashlib
import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

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
from balancer.data.memory import one_image
from balancer.data.roots import Roots
from balancer.data.threads import map_threaded
from balancer.errors import IntegrityError
from balancer.files import replacing
from balancer.imaging.pixels import Mask
from balancer.imaging.preprocess import Preprocessor
from balancer.manifest import ImageRecord

if TYPE_CHECKING:
    from balancer.data.masks.of_index import LungMasks

log = logging.getLogger(__name__)


def open_cache(
    directory: Path,
    roots: Roots,
    records: Sequence[ImageRecord],
    size: int,
    preprocessor: Preprocessor | None = None,
    masks: "LungMasks | None" = None,
) -> Pixels:
    """Open the pixels of all records; decode them first where no cache holds them.

    Args:
        directory: Folder of the table; the array is in `cache/` inside it, named by the size and a
            hash of all that decides the pixels, so that it never serves other images.
        roots: Archives of the images; read only to decode.
        records: Rows of the table.
        size: Side in pixels.
        preprocessor: Preprocessing of every image; None: none. Never given for synthetic images,
            whose generator learnt from preprocessed ones.
        masks: Lung masks of all records; None: there are none.

    Returns:
        uint8 (N, size, size), memory-mapped and read-only, in the order of the records.

    Raises:
        IntegrityError: A file is missing, or its bytes are not those that were prepared.
        DataError: The preprocessing needs a mask that an image lacks.
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
    masks: "LungMasks | None" = None,
) -> str:
    """Return the hash of all that decides the pixels; arguments as for `open_cache`."""
    parts = [PIXEL_RECIPE, str(size), *(record.image_id for record in records)]
    parts += full_recipe(preprocessor, masks)
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def full_recipe(preprocessor: Preprocessor | None, masks: "LungMasks | None") -> list[str]:
    """Return what the preprocessing adds to a key; empty without preprocessing."""
    recipe = "" if preprocessor is None else preprocessor.recipe
    return [part for part in (recipe, masks.fingerprint if recipe and masks else "") if part]


def cached_pixels(
    pixels: Pixels,
    size: int,
    preprocessor: Preprocessor | None = None,
    mask: Mask | None = None,
) -> Pixels:
    """Make the pixels of a cache from one decoded image.

    Args:
        pixels: uint8 (H, W).
        size: Side in pixels.
        preprocessor: Preprocessing of the image; None: none.
        mask: Lung mask, bool (h, w); None: no file has it.

    Returns:
        uint8 (size, size).

    Raises:
        DataError: The preprocessing needs a mask.
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
        return None  # damaged: decode again
    return cached if cached.shape == shape and cached.dtype == np.uint8 else None


def _write(
    path: Path,
    roots: Roots,
    records: Sequence[ImageRecord],
    size: int,
    preprocessor: Preprocessor | None,
    masks: "LungMasks | None",
) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary:  # processes that work on folds of one index meet here
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
            with one_image():
                mask = None if masks is None else masks.read(record.image_id)
                film = verified_film(roots, record)
                pixels[row] = cached_pixels(film, size, preprocessor, mask)

        map_threaded(fill, range(len(records)), task=f"Decoding to {size} px")
        pixels.flush()  # type: ignore[attr-defined]
    log.debug("Decoded %d images to %d px: %s", len(records), size, path)


def _films(
    folder: Path, records: Sequence[ImageRecord], preprocessor: Preprocessor | None
) -> Pixels | None:
    """Return the cache of the unchanged images, if all are squares of its size.

    Other sizes are made from it without reading any file.
    """
    sides = {(record.width, record.height) for record in records}
    if len(sides) != 1 or (preprocessor is not None and preprocessor.recipe):
        return None
    ((width, height),) = sides
    path = folder / f"{width}-{cache_key(records, width)}.npy"
    return _open(path, (len(records), width, width)) if width == height else None


def _reserve(path: Path) -> None:
    """Reserve the disk space now: a map without room for its pages kills the process."""
    if hasattr(os, "posix_fallocate"):
        with path.open("r+b") as file:
            os.posix_fallocate(file.fileno(), 0, path.stat().st_size)


def verified_film(roots: Roots, record: ImageRecord) -> Pixels:
    """Read an image at its own size, before any preprocessing: uint8 (H, W).

    Raises:
        IntegrityError: The file is missing, or its bytes are not those that were prepared.
    """
    # Equal bytes passed the audit, and its limit of size.
    path = roots.locate(record.path)
    return decode_radiograph(verified_bytes(roots, record), path, max_megapixels=None).pixels


def verified_bytes(roots: Roots, record: ImageRecord) -> bytes:
    """Read the file of an image.

    Raises:
        IntegrityError: The file is missing, or its bytes are not those that were prepared.
    """
    path = roots.locate(record.path)
    try:
        data = read_bytes(path)
        if hashlib.sha256(data).hexdigest() == record.image_id:
            return data
        found = "its bytes have changed"
    except UnusableImageError as error:
        found = error.reason
    raise IntegrityError(
        f"{str(path)!r} should be the file that was prepared, but {found}; restore it, or run the "
        "stage that listed it again with --force."
    )
