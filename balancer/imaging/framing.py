"""How a film that is no square becomes one, other than by stretching it."""

import numpy as np

from balancer.imaging.pixels import Pixels


def crop_square(pixels: Pixels) -> Pixels:
    """The central square; what lies beyond it on the longer side is lost.

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
    """The film in the middle of a black square.

    Args:
        pixels: uint8 (H, W).

    Returns:
        uint8 (S, S), S the longer side; a square is returned as it is.
    """
    height, width = pixels.shape
    if height == width:
        return pixels
    side = max(height, width)
    top, left = (side - height) // 2, (side - width) // 2
    square = np.zeros((side, side), np.uint8)
    square[top : top + height, left : left + width] = pixels
    return square
