"""Views of a chest film, for `robust_views.py`: its lungs, what is shown, its exposure."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from balancer.imaging.contrast import equalize
from balancer.imaging.lungs.views import LungView, lung_view
from balancer.quality.extractors import LITE0_SIDE

Pixels = NDArray[np.uint8]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Recipe:
    """One view of a film: the field that counts as lungs, what is shown, and its exposure."""

    shown: LungView | Literal["channels"] | None = None
    field: str = "found"
    exposure: str = "none"


WHOLE = Recipe()
CROP = Recipe("crop-to-lungs")
ONLY = Recipe("lungs-only")


def show(pixels: Pixels, lungs: Mask, recipe: Recipe) -> Pixels:
    """Return a film as a view shows it, uint8 (LITE0_SIDE, LITE0_SIDE), or with 3 channels."""
    if recipe.shown == "channels":
        return np.stack([show(pixels, lungs, view) for view in (WHOLE, CROP, ONLY)], axis=-1)
    lungs = FIELDS[recipe.field](lungs)
    exposed = EXPOSURES[recipe.exposure](pixels, lungs if lungs.any() else np.ones_like(lungs))
    if recipe.shown is not None and (lungs.any() or recipe.shown != "lungs-blacked-out"):
        exposed = lung_view(exposed, lungs, recipe.shown)
    return np.asarray(
        cv2.resize(exposed, (LITE0_SIDE, LITE0_SIDE), interpolation=cv2.INTER_AREA), np.uint8
    )


def each_lung(lungs: Mask, change: Callable[[Mask], Mask]) -> Mask:
    """Return the union of the changed lungs; specks count as no lung."""
    n, places, facts, _ = cv2.connectedComponentsWithStats(lungs.astype(np.uint8), connectivity=4)
    done = np.zeros_like(lungs)
    for number in range(1, n):
        if facts[number, cv2.CC_STAT_AREA] > 0.005 * lungs.size:
            done |= change(places == number)
    return done


def hull(lung: Mask) -> Mask:
    """Return the convex hull: no notch by an opacity stays."""
    points = np.argwhere(lung)[:, ::-1].astype(np.int32)
    filled = np.zeros(lung.shape, np.uint8)
    cv2.fillConvexPoly(filled, cv2.convexHull(points), 1)
    return filled > 0


def ellipse(lung: Mask) -> Mask:
    """Return the lung with the ellipse of the same moments up to the second."""
    down, across = np.nonzero(lung)
    spread = np.cov(np.stack([across, down]))
    sizes, axes = np.linalg.eigh(spread)
    filled = np.zeros(lung.shape, np.uint8)
    angle = float(np.degrees(np.arctan2(axes[1, 1], axes[0, 1])))
    half = 2 * np.sqrt(sizes[::-1])
    cv2.ellipse(
        filled,
        ((float(across.mean()), float(down.mean())), (2 * half[0], 2 * half[1]), angle),
        1,
        -1,
    )
    return lung | (filled > 0)


def floor(lungs: Mask) -> Mask:
    """Return both lungs, each drawn down to where the lower one ends; dense bases come back."""
    if not lungs.any():
        return lungs
    lowest = np.flatnonzero(lungs.any(axis=1))[-1]

    def lowered(lung: Mask) -> Mask:
        columns = np.flatnonzero(lung.any(axis=0))
        filled = lung.copy()
        for column in columns:
            first = int(np.argmax(lung[:, column]))
            filled[first : lowest + 1, column] = True
        return filled

    return each_lung(lungs, lowered)


def symmetric(lungs: Mask) -> Mask:
    """Return the lungs with their mirror image about the middle between them."""
    columns = np.flatnonzero(lungs.any(axis=0))
    if not len(columns):
        return lungs
    width = lungs.shape[1]
    _, _, facts, middles = cv2.connectedComponentsWithStats(lungs.astype(np.uint8), connectivity=4)
    sizes = facts[1:, cv2.CC_STAT_AREA]
    two = np.argsort(sizes)[::-1][:2]
    # A single lung is mirrored about the middle of the film.
    middle = middles[1:][two, 0].mean() if len(two) == 2 else (width - 1) / 2
    places = np.rint(2 * middle - np.arange(width)).astype(np.int64)
    inside = (places >= 0) & (places < width)
    mirrored = np.zeros_like(lungs)
    mirrored[:, inside] = lungs[:, places[inside]]
    return lungs | mirrored


FIELDS: Mapping[str, Callable[[Mask], Mask]] = {
    "found": lambda lungs: lungs,
    "film": np.ones_like,
    "hull": lambda lungs: each_lung(lungs, hull),
    "ellipse": lambda lungs: each_lung(lungs, ellipse),
    "floor": floor,
    "symmetric": symmetric,
    "symmetric hull": lambda lungs: each_lung(symmetric(lungs), hull),
}


def standardise(pixels: Pixels, lungs: Mask) -> Pixels:
    """Give the lungs the mean 110 and the deviation 45; the rest of the film follows."""
    inside = pixels[lungs].astype(np.float64)
    changed = (pixels - inside.mean()) * (45 / max(inside.std(), 1.0)) + 110
    return np.asarray(np.clip(np.rint(changed), 0, 255), np.uint8)


def stretched(pixels: Pixels, lungs: Mask) -> Pixels:
    """Stretch the grey values between two percentiles of the lungs; the rest follows."""
    low, high = np.percentile(pixels[lungs], [1, 99])
    changed = (pixels - low) * 255 / max(high - low, 1.0)
    return np.asarray(np.clip(np.rint(changed), 0, 255), np.uint8)


def equalized(pixels: Pixels, lungs: Mask) -> Pixels:
    """Spread the grey values of the lungs evenly; the rest of the film follows."""
    return equalize(np.ascontiguousarray(pixels), lungs)


EXPOSURES: Mapping[str, Callable[[Pixels, Mask], Pixels]] = {
    "none": lambda pixels, lungs: pixels,
    "window": stretched,
    "equalize": equalized,
    "standardise": standardise,
}
