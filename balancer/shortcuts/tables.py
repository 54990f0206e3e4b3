"""Numbers of images for the small models of the probes: features, places and sharpness."""

from collections.abc import Callable
from itertools import product
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from balancer.shortcuts.views import Images

Floats = NDArray[np.float64]
_PIXELS_SIDE = 64
_WEIGHT = 1280
"""Total weight of all features, and of all pixels: the number of features of Lite0."""


def quarters_and_pixels(
    images: Images, features: Callable[[Images], NDArray[np.float32]]
) -> tuple[NDArray[np.float32], Floats]:
    """Return the features of the four quarters beside the grey values, and a weight of each column.

    Pooled over a whole image, features of a mark in its corner would be lost.

    Args:
        images: uint8 (N, S, S) or (N, S, S, 3).
        features: Maps such images to float32 (N, d).

    Returns:
        float32 (N, d), and float64 (d,): all features together weigh as much as all pixels.
    """
    half = images.shape[1] // 2
    starts = (0, images.shape[1] - half)
    blocks = [
        features(np.ascontiguousarray(images[:, top : top + half, left : left + half]))
        for top, left in product(starts, starts)
    ]
    flat = _small(images).reshape(len(images), -1)
    pixels = flat[:, np.ptp(flat, axis=0) > 0].astype(np.float32)
    n_features = sum(block.shape[1] for block in blocks)
    weights = np.repeat(
        np.sqrt([_WEIGHT / n_features, _WEIGHT / max(1, pixels.shape[1])]),
        [n_features, pixels.shape[1]],
    )
    return np.concatenate([*blocks, pixels], axis=1), weights


def places(images: Images, hidden: NDArray[np.bool_]) -> Floats:
    """Return the grey value of every place that is not hidden in all images.

    Where a place is hidden it gets the mean of the other images there, so that the outline of what
    is hidden does not show.

    Args:
        images: uint8 (N, S, S).
        hidden: bool (N, S, S).

    Returns:
        float64 (N, d), at 64 px at most.
    """
    grey = _small(images).astype(np.float64)
    covered = _small(hidden.astype(np.float32)) > 0
    seen = ~covered
    sums = np.where(seen, grey, 0.0).sum(axis=0)
    mean = sums / np.maximum(seen.sum(axis=0), 1)
    flat = np.where(seen, grey, mean).reshape(len(images), -1)
    return flat[:, np.ptp(flat, axis=0) > 0]


_EDGE = 3
"""Pixels at the border that filters of 5 x 5 cannot see around, and one more."""
_FILTERS = {
    "across": [[-1, 2, -1]],
    "down": [[-1], [2], [-1]],
    "along the diagonal": [[-1, 0, 0], [0, 2, 0], [0, 0, -1]],
    "both ways": [[1, -2, 1], [-2, 4, -2], [1, -2, 1]],
    "across, two pixels": [[-1, 0, 2, 0, -1]],
    "down, two pixels": [[-1], [0], [2], [0], [-1]],
    "both ways, two pixels": [
        [1, 0, -2, 0, 1],
        [0, 0, 0, 0, 0],
        [-2, 0, 4, 0, -2],
        [0, 0, 0, 0, 0],
        [1, 0, -2, 0, 1],
    ],
}
"""Second differences, which see grain and edges but no slope; a blur takes more from those of one
pixel than from those of two."""
_KERNELS = {name: np.array(rows, np.float32) for name, rows in _FILTERS.items()}
_SMALLEST = 0.05
SHARPNESS_FACTS = tuple(f"{kind} {name}" for name in _KERNELS for kind in ("median", "mean"))
"""Names of the columns of `sharpness`."""


def sharpness(images: Images, hidden: NDArray[np.bool_]) -> Floats:
    """Measure grain and edges outside what is hidden, at two distances in several directions.

    Args:
        images: uint8 (N, L, L).
        hidden: bool (N, L, L).

    Returns:
        float64 (N, F), logarithms of the median and mean size of each second difference; columns
        as in `SHARPNESS_FACTS`.
    """
    rows = []
    for image, covered in zip(images, hidden, strict=True):
        seen = ~covered
        seen[:_EDGE] = seen[-_EDGE:] = False
        seen[:, :_EDGE] = seen[:, -_EDGE:] = False
        pixels = image.astype(np.float32)
        row: list[float] = []
        for kernel in _KERNELS.values():
            found = np.abs(cv2.filter2D(pixels, -1, kernel)[seen])
            sizes = (np.median(found), found.mean()) if found.size else (0.0, 0.0)
            row += [float(np.log(size + _SMALLEST)) for size in sizes]
        rows.append(row)
    return np.array(rows, np.float64)


def _small(images: NDArray[np.uint8] | NDArray[np.float32]) -> NDArray[Any]:
    side = min(_PIXELS_SIDE, images.shape[1])
    return np.stack(
        [cv2.resize(image, (side, side), interpolation=cv2.INTER_AREA) for image in images]
    )
