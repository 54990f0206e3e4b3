"""Images without their lungs, and images of their lungs alone.

A classifier that still separates the classes with the lungs blacked out uses the border:
marks, tubes, collimation, exposure (Maguolo and Nanni 2021, arXiv 2004.12823, who blacked out the
centre).
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from balancer.imaging.pixels import over

Images = NDArray[np.uint8]
Mask = NDArray[np.bool_] | NDArray[np.uint8]

CENTRE_SHARE = 0.88
"""Width and height of the central region, as shares of those of the image.

Chosen by eye on frontal images of both data sets of this project: an ellipse or a region of 80 %
would leave the costophrenic angles and the sides of wide chests visible, and the corners must
remain, since letters and marks are there. In tightly cropped images a rim of lung remains.
"""
_ROUNDNESS = 4
"""Exponent of the superellipse: 2 is an ellipse, infinity a rectangle."""


def central_region(side: int) -> NDArray[np.bool_]:
    """Return the region of the lungs in frontal images in general.

    Args:
        side: Side in pixels.

    Returns:
        bool (side, side), true in a centred superellipse of `CENTRE_SHARE` of either side; about
        72 % of the pixels.
    """
    place = (np.arange(side) + 0.5) / side - 0.5
    distance = (np.abs(place) / (CENTRE_SHARE / 2)) ** _ROUNDNESS
    region: NDArray[np.bool_] = distance[:, None] + distance <= 1
    return region


def lungs_blacked_out(images: Images, masks: Mask | None = None) -> Images:
    """Set the lungs to black.

    Args:
        images: uint8 (N, S, S) or (N, S, S, 3).
        masks: bool or uint8 (N, S, S), not zero inside the lungs; None: the central region of every
            image. Masks hide the inside of the lungs but not their outline.

    Returns:
        uint8 of the same shape, a copy.

    Raises:
        ValueError: The masks have another shape.
    """
    if masks is None:
        lungs: NDArray[Any] = central_region(images.shape[1])
    else:
        lungs = _fitting(images, masks)
    return np.where(over(images, lungs, several=True), np.uint8(0), images)


def lungs_only(images: Images, masks: Mask) -> Images:
    """Set all but the lungs to black.

    Args:
        images: uint8 (N, S, S) or (N, S, S, 3).
        masks: bool or uint8 (N, S, S), not zero inside the lungs.

    Returns:
        uint8 of the same shape, a copy.

    Raises:
        ValueError: The masks have another shape.
    """
    lungs = _fitting(images, masks)
    return np.where(over(images, lungs, several=True), images, np.uint8(0))


def _fitting(images: Images, masks: Mask) -> NDArray[np.bool_]:
    if masks.shape != images.shape[:3]:
        raise ValueError(f"masks should have the shape {images.shape[:3]}, not {masks.shape}")
    return masks.astype(bool)
