"""Make the grey values of films comparable: CLAHE, histogram equalisation, percentile window."""

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from balancer.imaging.pixels import Pixels

Shown = NDArray[np.bool_]
"""bool (H, W), true where a film is shown; the rest is blacked out."""


def clahe(pixels: Pixels, *, tiles: int = 8, clip: float = 2.0) -> Pixels:
    """Even out contrast tile by tile, limited (Zuiderveld 1994), as OpenCV does it.

    Args:
        pixels: uint8 (H, W).
        tiles: Number of tiles per side.
        clip: Largest count of a bin, as a multiple of that of an even histogram.

    Returns:
        uint8 (H, W).
    """
    # A new object for every film: it keeps buffers, so threads cannot share one.
    return np.asarray(cv2.createCLAHE(clip, (tiles, tiles)).apply(pixels), np.uint8)


def equalize(pixels: Pixels, shown: Shown | None = None) -> Pixels:
    """Spread the grey values so that each range of them covers about as much of the film.

    Args:
        pixels: uint8 (H, W).
        shown: Pixels that count; None: all of them, and the result is that of OpenCV.

    Returns:
        uint8 (H, W); the darkest value becomes 0 and the brightest 255. A film of one value is
        returned unchanged.
    """
    if shown is None:
        return np.asarray(cv2.equalizeHist(pixels), np.uint8)
    counts = histogram(pixels, shown)
    first = int(np.argmax(counts > 0))
    rest = int(counts.sum() - counts[first])
    if rest == 0:
        return pixels.copy()
    above = np.maximum(np.cumsum(counts) - counts[first], 0)
    # In the precision of OpenCV, so that a mask of the whole film changes nothing.
    return _mapped(pixels, above.astype(np.float32) * (np.float32(255) / np.float32(rest)))


def window(
    pixels: Pixels,
    percentiles: tuple[float, float] = (0.5, 99.5),
    shown: Shown | None = None,
) -> Pixels:
    """Stretch the grey values between two percentiles over the whole range; cut off the others.

    Args:
        pixels: uint8 (H, W).
        percentiles: Percentiles of the pixels that count; each is the least grey value that at
            least that share of them does not exceed.
        shown: Pixels that count; None: all of them.

    Returns:
        uint8 (H, W). Where both percentiles are one value, the film
        is returned unchanged.
    """
    reached = np.cumsum(histogram(pixels, shown))
    ranks = (max(1.0, reached[-1] * share / 100) for share in percentiles)
    low, high = (int(np.searchsorted(reached, rank)) for rank in ranks)
    if high <= low:
        return pixels.copy()
    return _mapped(pixels, (np.arange(256) - low) * 255 / (high - low))


def histogram(pixels: Pixels, shown: Shown | None = None) -> NDArray[np.int64]:
    """Count the pixels of every grey value, int64 (256,)."""
    mask = None if shown is None else shown.astype(np.uint8)
    counts = cv2.calcHist([pixels], [0], mask, [256], [0, 256])
    return counts.ravel().astype(np.int64)


def _mapped(pixels: Pixels, values: NDArray[np.floating[Any]]) -> Pixels:
    table = np.clip(np.rint(values), 0, 255).astype(np.uint8)
    return np.asarray(cv2.LUT(pixels, table), np.uint8)
