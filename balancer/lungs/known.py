"""Films as they are in their files, and the masks that somebody drew for them."""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from balancer.data.index import Index
from balancer.data.io import UnusableImageError, read_bytes
from balancer.data.masks.read import find_mask, read_mask
from balancer.data.threads import map_threaded
from balancer.errors import DataError
from balancer.manifest import fingerprint

Mask = NDArray[np.bool_]


def known_masks(index: Index, folder: Path | None) -> dict[str, Path]:
    """Files of lung masks, by image id.

    Args:
        index: Its images and, where no folder is given, the masks of its archives.
        folder: Of masks under the relative paths of the images.

    Raises:
        DataError: The folder holds a mask of no image.
    """
    if folder is None:
        roots = index.roots
        return {one.image_id: roots.locate(one.mask) for one in index.details() if one.mask}
    found = {
        record.image_id: place
        for record in index.records
        if (place := find_mask(folder, index.roots, record.path)) is not None
    }
    if not found:
        wanted = Path(index.records[0].path).with_suffix(".png")
        raise DataError(
            f"{str(folder)!r} should hold lung masks under the relative paths of the images, such "
            f"as {wanted.as_posix()!r}, but has one for none of {len(index.records)}; give the "
            "folder above the class folders of the masks."
        )
    return found


def fingerprint_masks(masks: Mapping[str, Path]) -> str:
    """SHA-256 of which image has which mask, by the bytes of the files."""
    ids = sorted(masks)

    def line(image_id: str) -> str:
        return f"{image_id}\0{_mask_hash(masks[image_id])}"

    return fingerprint("\n".join(map_threaded(line, ids, task="Hashing lung masks")).encode())


def read_fitting_mask(path: Path, shape: Sequence[int]) -> Mask | None:
    """A mask at a film's size, by nearest neighbour: bool (H, W); None: it is all black or white.

    Args:
        path: Of the mask, of any resolution.
        shape: Height and width of the film.

    Raises:
        DataError: The file is no readable image.
    """
    mask = read_mask(path)
    if mask.all() or not mask.any():
        return None
    height, width = shape
    resized = cv2.resize(
        mask.astype(np.uint8), (width, height), interpolation=cv2.INTER_NEAREST_EXACT
    )
    return np.asarray(resized, np.bool_)


def _mask_hash(path: Path) -> str:
    try:
        return hashlib.sha256(read_bytes(path)).hexdigest()
    except UnusableImageError as error:
        raise DataError(
            f"{str(path)!r} should be a readable PNG or JPEG mask, but {error.reason}; mend or "
            "remove it."
        ) from None
