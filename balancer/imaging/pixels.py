"""Types of an image and of its mask, and the changes of shape that both go through."""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
"""Grey values, uint8 (H, W)."""
Mask = NDArray[np.bool_]
"""bool (H, W), true in the lungs."""


def fit_mask(mask: Mask, shape: Sequence[int]) -> Mask:
    """Stretch a mask to the shape of an image, by nearest neighbour.

    Args:
        mask: bool (h, w).
        shape: Height and width.

    Returns:
        bool (H, W); the mask itself where it has that shape already.
    """
    height, width = shape
    if mask.shape == (height, width):
        return mask
    resized = cv2.resize(
        mask.astype(np.uint8), (width, height), interpolation=cv2.INTER_NEAREST_EXACT
    )
    return np.asarray(resized, np.bool_)


def crop_square(pixels: Pixels) -> Pixels:
    """Cut out the central square; the ends of the longer side are lost.

    Args:
        pixels: uint8 (H, W).

    Returns:
        uint8 (S, S), S the shorter side; a view.
    """
    height, width = pixels.shape
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    return pixels[top : top + side, left : left + side]


def pad_square(pixels: Pixels) -> Pixels:
    """Center an image in a black square.

    Args:
        pixels: uint8 (H, W).

    Returns:
        uint8 (S, S), S the longer side; a square is returned unchanged.
    """
    height, width = pixels.shape
    if height == width:
        return pixels
    side = max(height, width)
    top, left = (side - height) // 2, (side - width) // 2
    square = np.zeros((side, side), np.uint8)
    square[top : top + height, left : left + width] = pixels
    return square
