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
from balancer.imaging.pixels import GREY, Mask, shape_in
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
        uint8 (N, size, size) or (N, size, size, 3), memory-mapped and read-only, in the order of
        the records.

    Raises:
        IntegrityError: A file is missing, or its bytes are not those that were prepared.
        DataError: The preprocessing needs a mask that an image lacks.
    """
    key = cache_key(records, size, preprocessor, masks)
    path = directory / "cache" / f"{size}-{key}.npy"
    shape = shape_in(_channels(preprocessor), len(records), size, size)
    cached = _open(path, shape)
    if cached is None:
        _write(path, roots, records, shape, preprocessor, masks)
        cached = _open(path, shape)
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
        pixels: uint8 (H, W) or (H, W, 3).
        size: Side in pixels.
        preprocessor: Preprocessing of the image; None: none.
        mask: Lung mask, bool (h, w); None: no file has it.

    Returns:
        uint8 (size, size) or (size, size, 3).

    Raises:
        DataError: The preprocessing needs a mask.
    """
    if preprocessor is not None:
        pixels = preprocessor.apply(pixels, mask)
    return resize_square(pixels, size)


def _channels(preprocessor: Preprocessor | None) -> int:
    return GREY if preprocessor is None else preprocessor.channels


def _open(path: Path, shape: tuple[int, ...]) -> Pixels | None:
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
    shape: tuple[int, ...],
    preprocessor: Preprocessor | None,
    masks: "LungMasks | None",
) -> None:
    size = shape[1]
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary:  # processes that work on folds of one index meet here
        pixels: NDArray[np.uint8] = np.lib.format.open_memmap(
            temporary, mode="w+", dtype=np.uint8, shape=shape
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
                film = verified_film(roots, record, channels=_channels(preprocessor))
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
    if len(sides) != 1 or (preprocessor is not None and preprocessor.changes):
        return None
    ((width, height),) = sides
    path = folder / f"{width}-{cache_key(records, width, preprocessor)}.npy"
    shape = shape_in(_channels(preprocessor), len(records), width, width)
    return _open(path, shape) if width == height else None


def _reserve(path: Path) -> None:
    """Reserve the disk space now: a map without room for its pages kills the process."""
    if hasattr(os, "posix_fallocate"):
        with path.open("r+b") as file:
            os.posix_fallocate(file.fileno(), 0, path.stat().st_size)


def verified_film(roots: Roots, record: ImageRecord, *, channels: int = GREY) -> Pixels:
    """Read an image at its own size, before any preprocessing: uint8 (H, W) or (H, W, 3).

    Raises:
        IntegrityError: The file is missing, or its bytes are not those that were prepared.
    """
    # Equal bytes passed the audit, and its limit of size.
    path, data = roots.locate(record.path), verified_bytes(roots, record)
    return decode_radiograph(data, path, max_megapixels=None, channels=channels).as_read


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
