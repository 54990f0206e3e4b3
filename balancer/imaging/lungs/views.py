"""Views of an image: its lungs only, all but its lungs, or the box around them."""

import math
from typing import Literal, get_args

import cv2
import numpy as np
from numpy.typing import NDArray

from balancer.imaging.pixels import Pixels, over

LungView = Literal["lungs-only", "lungs-blacked-out", "crop-to-lungs"]

MARGINS: dict[LungView, float] = {
    "lungs-only": 0.015,
    "lungs-blacked-out": 0.015,
    "crop-to-lungs": 0.04,
}
"""Default margin of a view around the mask, as a share of the longer side of the image."""


def lung_view(
    pixels: Pixels, mask: NDArray[np.bool_], view: LungView, *, margin: float | None = None
) -> Pixels:
    """Show the lungs only, all but the lungs, or the part of the image around them.

    With an empty mask these are a black image, the whole image, and the whole image.

    Args:
        pixels: uint8 (H, W) or (H, W, 3).
        mask: bool (H, W), true in the lungs.
        view: `lungs-only`: black outside the mask; `lungs-blacked-out`: black inside;
            `crop-to-lungs`: the box around the mask.
        margin: Margin by which the mask (or its box) is grown, as a share of the longer side, at
            least 0; None: `MARGINS`. It keeps the rim of the lungs in a view of them, and hides it
            in a view without them.

    Returns:
        uint8 of the same shape, a copy; of `crop-to-lungs` a smaller one.

    Raises:
        ValueError: There is no such view, the margin is negative, or the mask is of another shape.
    """
    if view not in get_args(LungView):
        raise ValueError(f"a view should be one of {', '.join(get_args(LungView))}, not {view!r}")
    if mask.shape != pixels.shape[:2]:
        raise ValueError(f"a mask should have the shape {pixels.shape[:2]}, not {mask.shape}")
    margin = MARGINS[view] if margin is None else margin
    if not (math.isfinite(margin) and margin >= 0):
        raise ValueError(f"a margin should be a share of the film of at least 0, not {margin}")
    grown = round(margin * max(mask.shape))
    lungs = np.asarray(mask, np.bool_)
    if view == "crop-to-lungs":
        return _cropped(pixels, lungs, grown)
    if grown:
        lungs = _dilated(lungs, grown)
    shown = lungs if view == "lungs-only" else ~lungs
    return np.where(over(pixels, shown), pixels, np.uint8(0))


def _cropped(pixels: Pixels, lungs: NDArray[np.bool_], grown: int) -> Pixels:
    rows, columns = np.flatnonzero(lungs.any(axis=1)), np.flatnonzero(lungs.any(axis=0))
    if not len(rows):
        return pixels.copy()
    top, left = max(int(rows[0]) - grown, 0), max(int(columns[0]) - grown, 0)
    return pixels[top : int(rows[-1]) + grown + 1, left : int(columns[-1]) + grown + 1].copy()


def _dilated(lungs: NDArray[np.bool_], radius: int) -> NDArray[np.bool_]:
    # By distance, which costs the same for every radius, unlike a structuring element.
    outside = (~lungs).astype(np.uint8)
    if outside.all():
        return lungs
    return np.asarray(cv2.distanceTransform(outside, cv2.DIST_L2, 5) <= radius, np.bool_)
