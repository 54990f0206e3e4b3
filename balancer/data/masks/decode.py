"""From the file of a lung mask to its pixels, and the hash of its bytes."""

import hashlib
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from balancer.data.io import UnusableImageError, decode_radiograph, read_bytes
from balancer.data.threads import map_threaded
from balancer.errors import DataError
from balancer.imaging.pixels import Mask, fit_mask
from balancer.manifest import fingerprint

_LEAST, _MOST = 0.01, 0.9
"""Share of the film that the lungs cover; a mask outside this range was not drawn, or badly."""


def read_mask(path: Path) -> Mask:
    """Read a mask as it is drawn: bool (h, w), true in the lungs.

    Raises:
        DataError: The file is no readable image.
    """
    try:
        data = read_bytes(path)
    except UnusableImageError as error:
        raise _unreadable(path, error) from None
    return decode_mask(data, path)


def decode_mask(data: bytes, path: Path) -> Mask:
    """Decode a mask: bool (h, w), true where it is brighter than half of its brightest pixel.

    Args:
        data: Bytes of the file.
        path: Path to it, for the error.

    Raises:
        DataError: The file is no readable image.
    """
    try:
        # Of any resolution, but within the memory of images: nobody has checked it before.
        grey = decode_radiograph(data, path, max_megapixels=math.inf).pixels
    except UnusableImageError as error:
        raise _unreadable(path, error) from None
    # Half of its own maximum: masks are written as 0 and 1 or 0 and 255, and JPEG blurs both.
    return np.asarray(grey > grey.max() / 2, np.bool_)


def read_fitting_mask(path: Path, shape: Sequence[int]) -> Mask | None:
    """Read a mask at the shape of its image; None where it is all black or all white.

    Args:
        path: Path to the mask, of any resolution.
        shape: Height and width of the image.

    Returns:
        bool (H, W), by nearest neighbour.

    Raises:
        DataError: The file is no readable image.
    """
    mask = read_mask(path)
    return None if mask.all() or not mask.any() else fit_mask(mask, shape)


def is_plausible(mask: Mask) -> bool:
    """Return whether a mask, bool (h, w), covers as much of a film as lungs can."""
    return bool(_LEAST <= mask.mean() <= _MOST)


def mask_hash(path: Path) -> str:
    """Return the SHA-256 of the bytes of a mask.

    Raises:
        DataError: The file cannot be read.
    """
    try:
        return hashlib.sha256(read_bytes(path)).hexdigest()
    except UnusableImageError as error:
        raise _unreadable(path, error) from None


def fingerprint_masks(masks: Mapping[str, Path]) -> str:
    """Return the SHA-256 of which image has which mask, by the bytes of the files.

    Args:
        masks: Image id to file.

    Raises:
        DataError: A file cannot be read.
    """
    ids = sorted(masks)

    def line(image_id: str) -> str:
        return f"{image_id}\0{mask_hash(masks[image_id])}"

    return fingerprint("\n".join(map_threaded(line, ids, task="Hashing lung masks")).encode())


def _unreadable(path: Path, error: UnusableImageError) -> DataError:
    return DataError(
        f"{str(path)!r} should be a readable PNG or JPEG lung mask, but {error.reason}; repair or "
        "delete it."
    )
