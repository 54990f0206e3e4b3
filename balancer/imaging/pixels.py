"""Types of an image and of its mask, and the changes of shape that both go through.

An image is (H, W) where it is grey and (H, W, 3) where it is sRGB, and a set of images (N, H, W) or
(N, H, W, 3). This file alone asks which it is: others take images as they are, or by `luma`
where a measure is of brightness.
"""

from collections.abc import Callable, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
"""uint8 (H, W), grey, or (H, W, 3), sRGB; of several images (N, H, W) or (N, H, W, 3)."""
GREY, COLOUR = 1, 3
"""Numbers of channels that an image can have."""
Mask = NDArray[np.bool_]
"""bool (H, W), true in the lungs."""


def channels_of(pixels: Pixels, *, several: bool = False) -> int:
    """Return the number of channels, 1 or 3.

    Args:
        pixels: An image, or several.
        several: True for several.
    """
    return GREY if pixels.ndim == (3 if several else 2) else COLOUR


def shape_in(channels: int, *sides: int) -> tuple[int, ...]:
    """Return the shape of an array of images: its sides, and the channels where there are three."""
    return sides if channels == GREY else (*sides, channels)


def with_channels(pixels: Pixels, channels: int) -> Pixels:
    """Return an image in a number of channels: grey as three equal ones, colours as their luma."""
    if channels_of(pixels) == channels:
        return pixels
    if channels == GREY:
        return np.asarray(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY), np.uint8)
    return np.repeat(pixels[..., None], COLOUR, axis=2)


def luma(images: Pixels) -> Pixels:
    """Return the brightness (ITU-R 601) of images: uint8 (N, H, W); grey ones are unchanged."""
    if channels_of(images, several=True) == GREY:
        return images
    greys = np.empty(images.shape[:-1], np.uint8)
    for row, image in enumerate(images):
        greys[row] = with_channels(image, GREY)
    return greys


def planes(images: Pixels) -> Pixels:
    """Put the channels of images first, as networks take them: uint8 (N, 1 or 3, H, W), a view."""
    grey = channels_of(images, several=True) == GREY
    return images[:, None] if grey else images.transpose(0, 3, 1, 2)


def for_opencv(pixels: Pixels) -> Pixels:
    """Put the channels of an image into the order that OpenCV's files and drawings have."""
    return pixels if channels_of(pixels) == GREY else np.ascontiguousarray(pixels[..., ::-1])


def over(pixels: Pixels, where: Mask, *, several: bool = False) -> Mask:
    """Return a mask, bool (H, W), or one for each of several images, to broadcast over pixels."""
    return where if channels_of(pixels, several=several) == GREY else where[..., None]


def on_lightness(pixels: Pixels, change: Callable[[Pixels], Pixels]) -> Pixels:
    """Change the brightness of an image and keep its hues.

    Args:
        pixels: uint8 (H, W) or (H, W, 3).
        change: Function of grey values, uint8 (H, W) to the same; of colours it sees the lightness
            of CIELAB.
    """
    if channels_of(pixels) == GREY:
        return change(pixels)
    lab = cv2.cvtColor(pixels, cv2.COLOR_RGB2LAB)
    lab[..., 0] = change(np.ascontiguousarray(lab[..., 0]))
    return np.asarray(cv2.cvtColor(lab, cv2.COLOR_LAB2RGB), np.uint8)


def lightness(pixels: Pixels) -> Pixels:
    """Return the lightness of CIELAB, 255 for white: uint8 (H, W); of grey, the grey values."""
    if channels_of(pixels) == GREY:
        return pixels
    return np.asarray(cv2.cvtColor(pixels, cv2.COLOR_RGB2LAB)[..., 0], np.uint8)


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
        pixels: uint8 (H, W) or (H, W, 3).

    Returns:
        uint8 (S, S) or (S, S, 3), S the shorter side; a view.
    """
    height, width = pixels.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    return pixels[top : top + side, left : left + side]


def pad_square(pixels: Pixels) -> Pixels:
    """Center an image in a black square.

    Args:
        pixels: uint8 (H, W) or (H, W, 3).

    Returns:
        uint8 (S, S) or (S, S, 3), S the longer side; a square is returned unchanged.
    """
    height, width = pixels.shape[:2]
    if height == width:
        return pixels
    side = max(height, width)
    top, left = (side - height) // 2, (side - width) // 2
    square = np.zeros(shape_in(channels_of(pixels), side, side), np.uint8)
    square[top : top + height, left : left + width] = pixels
    return square
