"""Search for each lung: dark regions beside the mediastinum, and their plausibility.

Everything happens on a small square copy of the film, `SIDE` pixels wide. Grey levels are compared
with their surroundings inside the body, since exposure differs between films and inside one.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from balancer.imaging.pixels import Pixels

Layer = NDArray[np.float32]

SIDE = 128
"""Side of the working copy in pixels: it hides ribs and vessels, and keeps outlines."""

_AIR = 0.12
"""Level below which a region connected with the border counts as air or collimation."""
_SURROUNDINGS = 16.0
"""Standard deviation, in pixels, of the surroundings of a grey level: half a lung's width."""
_LEAST_CONTRAST = 0.03
"""Deviation, as a share of the film's range, below which the surroundings count as flat."""
_COARSE = 4
_THRESHOLDS = (-1.2, -0.9, -0.65, -0.4, -0.2, 0.0, 0.2, 0.4)
_SMALLEST, _LARGEST = 0.02, 0.35
"""Smallest and largest area of one lung, as shares of the film."""
_USUAL_AREA = 0.13
_MARGIN = 8
_LEAST_RISE = 0.2
"""Deviations by which the film brightens across a real outline."""


@dataclass(frozen=True, slots=True)
class Ground:
    """A film prepared for the search.

    Attributes:
        levels: float32 (SIDE, SIDE), grey against its surroundings, in their deviations; air is
            not among the surroundings.
        air: bool (SIDE, SIDE), dark and connected with the border.
        near_air: uint8 (SIDE, SIDE), 1 in air and two pixels beside it.
        middle: float64 (SIDE,), column of the spine in every row.
    """

    levels: Layer
    air: NDArray[np.bool_]
    near_air: Pixels
    middle: NDArray[np.float64]

    def half(self, side: int) -> NDArray[np.bool_]:
        """One side of the spine: -1 the viewer's left, 1 the right."""
        columns = np.arange(SIDE)[None] + 0.5 - self.middle[:, None]
        return np.asarray(side * columns > 2)


@dataclass(frozen=True, slots=True)
class Shape:
    """Shape and contrast of a region.

    Attributes:
        area: Share of the film.
        solidity: Area as a share of that of the convex hull.
        touching: Share of the outline on the film's border; the lower border counts half,
            because films of the chest alone end there.
        along_air: Share of the outline along air, of which a chest wall keeps lungs apart.
        contrast: Brightness around the outline above that within, in standard deviations.
        tall: Height as a multiple of the width.
    """

    area: float
    solidity: float
    touching: float
    along_air: float
    contrast: float
    tall: float

    @property
    def score(self) -> float:
        """Resemblance to a lung; about 1 for a clear one, below 0.3 for doubtful ones."""
        unusual = np.log(max(self.area, 0.005) / _USUAL_AREA) / 0.6
        return float(
            self.contrast
            + 2.0 * (self.solidity - 0.8)
            - 2.5 * self.touching
            - 1.5 * self.along_air
            - 0.25 * unusual**2
            - 0.5 * max(0.0, 1.1 - self.tall)
            - 0.3 * max(0.0, self.tall - 3.0)
        )


def disc(radius: int) -> Pixels:
    """Return a round structuring element."""
    side = 2 * radius + 1
    return np.asarray(cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side)), np.uint8)


def largest_part(region: Pixels) -> Pixels:
    """Return the largest connected part of a region, uint8 0 and 1; an empty region unchanged."""
    number, places, facts, _ = cv2.connectedComponentsWithStats(region, connectivity=4)
    if number < 2:
        return region
    return np.asarray(places == 1 + facts[1:, 4].argmax(), np.uint8)


def prepare_ground(pixels: Pixels) -> Ground:
    """Shrink a film, find the air beside the body, even out the exposure and find the spine.

    Args:
        pixels: uint8 (H, W), bones bright.
    """
    small = cv2.resize(pixels, (SIDE, SIDE), interpolation=cv2.INTER_AREA).astype(np.float32)
    film = np.asarray(cv2.GaussianBlur(small, (0, 0), 1.2), np.float32)
    ordered = np.sort(film[::2, ::2], axis=None)
    low, high = ordered[len(ordered) // 100], ordered[len(ordered) * 99 // 100]
    grey = np.clip((film - low) / max(float(high - low), 1.0), 0, 1).astype(np.float32)
    air = _air(grey)
    levels = _against_surroundings(grey, ~air)
    middle = _spine(np.where(air, np.float32(0), levels))
    near = np.asarray(cv2.dilate(air.astype(np.uint8), disc(2)), np.uint8)
    return Ground(levels, air, near, middle)


def measure_shape(region: Pixels, ground: Ground) -> Shape:
    """Measure a region: uint8 (SIDE, SIDE), 1 inside, not empty."""
    outlines, _ = cv2.findContours(region, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    outline = max(outlines, key=len)
    area = cv2.contourArea(outline)
    x, y = outline[:, 0, 0], outline[:, 0, 1]
    left, top, width, height = cv2.boundingRect(outline)
    # Only around the region: whole films would cost most of the time of the search.
    rows = slice(max(top - 4, 0), top + height + 4)
    columns = slice(max(left - 4, 0), left + width + 4)
    inside, levels = region[rows, columns], ground.levels[rows, columns]
    around = cv2.dilate(inside, disc(3)) - inside
    within = inside - cv2.erode(inside, disc(3))
    sides = (x <= 1) | (x >= SIDE - 2) | (y <= 1)
    return Shape(
        area=area / SIDE**2,
        solidity=area / max(cv2.contourArea(cv2.convexHull(outline)), 1.0),
        touching=float(sides.mean() + 0.5 * (y >= SIDE - 2).mean()),
        along_air=float(ground.near_air[y, x].mean()),
        contrast=cv2.mean(levels, around)[0] - cv2.mean(levels, within)[0],
        tall=height / width,
    )


def open_share(region: Pixels, ground: Ground) -> float:
    """Return the share of an outline across which the film hardly brightens, as after a leak.

    Args:
        region: uint8 (SIDE, SIDE), 1 inside, not empty.
        ground: The film.
    """
    soft = cv2.GaussianBlur(region.astype(np.float32), (0, 0), 2.5)
    outlines, _ = cv2.findContours(region, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    across, down = max(outlines, key=len)[:, 0].T
    slopes = [cv2.Sobel(soft, cv2.CV_32F, 1, 0), cv2.Sobel(soft, cv2.CV_32F, 0, 1)]
    inwards = np.stack([slope[down, across] for slope in slopes])
    inwards = inwards / np.maximum(np.hypot(*inwards), 1e-9)

    def level(steps: int) -> Layer:
        columns = np.rint(across + steps * inwards[0]).clip(0, SIDE - 1).astype(np.int64)
        rows = np.rint(down + steps * inwards[1]).clip(0, SIDE - 1).astype(np.int64)
        return np.asarray(ground.levels[rows, columns], np.float32)

    rise = (level(-3) + level(-4) - level(2) - level(3)) / 2
    return float((rise < _LEAST_RISE).mean())


def rough_lung(ground: Ground, side: int) -> Pixels | None:
    """Return the region of one side that resembles a lung most, of all thresholds.

    Args:
        ground: The film.
        side: -1 the viewer's left, 1 the right.

    Returns:
        uint8 (SIDE, SIDE), 1 inside; None where no region can be a lung.
    """
    best, found = -np.inf, None
    for region, (across, down) in _regions(ground, side):
        shape = measure_shape(region, ground)
        if shape.contrast < _LEAST_RISE / 2:
            continue
        beside = abs(across - ground.middle[int(down)]) / SIDE
        score = shape.score
        score -= 8 * (max(0.0, beside - 0.3) + max(0.0, 0.08 - beside))
        if score > best:
            best, found = score, region
    return found


def _regions(ground: Ground, side: int) -> Iterator[tuple[Pixels, tuple[float, float]]]:
    levels = np.where(ground.half(side) & ~ground.air, ground.levels, np.float32(np.inf))
    for threshold in _THRESHOLDS:
        # Opened, so that a lung does not leak through a thin chest wall or into the windpipe.
        dark = cv2.morphologyEx((levels < threshold).astype(np.uint8), cv2.MORPH_OPEN, disc(2))
        _, places, facts, middles = cv2.connectedComponentsWithStats(dark, connectivity=4)
        for number in range(1, len(facts)):
            left, top, width, height, area = facts[number]
            if not _SMALLEST < area / SIDE**2 < _LARGEST:
                continue
            if not 0.12 < middles[number, 1] / SIDE < 0.75:
                continue
            rows = slice(max(top - _MARGIN, 0), top + height + _MARGIN)
            columns = slice(max(left - _MARGIN, 0), left + width + _MARGIN)
            part = (places[rows, columns] == number).astype(np.uint8)
            region = np.zeros((SIDE, SIDE), np.uint8)
            region[rows, columns] = cv2.morphologyEx(part, cv2.MORPH_CLOSE, disc(4))
            yield region, (float(middles[number, 0]), float(middles[number, 1]))


def _air(grey: Layer) -> NDArray[np.bool_]:
    dark = cv2.morphologyEx((grey < _AIR).astype(np.uint8), cv2.MORPH_OPEN, np.ones((3, 3)))
    number, places = cv2.connectedComponents(dark, connectivity=4)
    outside = np.zeros(number, np.bool_)
    outside[np.concatenate([places[0], places[-1], places[:, 0], places[:, -1]])] = True
    outside[0] = False
    # Overexposed lungs whose tips touch the border are as dark as air.
    return np.asarray(outside[places] & ~_CENTRE, np.bool_)


def _centre() -> NDArray[np.bool_]:
    place = (np.arange(SIDE) + 0.5) / SIDE
    rows, columns = (place > 0.18) & (place < 0.72), abs(place - 0.5) < 0.3
    return rows[:, None] & columns


_CENTRE = _centre()


def _against_surroundings(grey: Layer, body: NDArray[np.bool_]) -> Layer:
    """Subtract the mean of the body around each pixel and divide by the deviation there."""
    weight = body.astype(np.float32)
    total = _wide(weight) + np.float32(1e-3)
    mean = _wide(grey * weight) / total
    spread = _wide(grey * grey * weight) / total - mean * mean
    deviation = np.sqrt(np.maximum(spread, np.float32(_LEAST_CONTRAST**2)))
    return np.asarray((grey - mean) / deviation, np.float32)


def _wide(layer: Layer) -> Layer:
    side = SIDE // _COARSE
    small = cv2.resize(layer, (side, side), interpolation=cv2.INTER_AREA)
    small = cv2.GaussianBlur(small, (0, 0), _SURROUNDINGS / _COARSE)
    return np.asarray(cv2.resize(small, (SIDE, SIDE)), np.float32)


def _spine(levels: Layer) -> NDArray[np.float64]:
    """Find the brightest path from top to bottom near the middle, by dynamic programming."""
    side = SIDE // _COARSE
    small = cv2.resize(levels, (side, side), interpolation=cv2.INTER_AREA)
    first, last = int(0.3 * side), int(np.ceil(0.7 * side))
    bright = cv2.GaussianBlur(small, (0, 0), 1.0)[:, first:last]
    away = (np.arange(first, last) + 0.5 - side / 2) / (0.2 * side)
    cost = 4 * (0.3 * away**2 - bright)
    total, steps = cost[0], np.zeros(cost.shape, np.int64)
    for row in range(1, side):
        ways = np.stack([np.r_[np.inf, total[:-1]] + 1.2, total, np.r_[total[1:], np.inf] + 1.2])
        steps[row] = ways.argmin(axis=0)
        total = ways.min(axis=0) + cost[row]
    path, column = np.zeros(side), int(np.argmin(total))
    for row in range(side - 1, -1, -1):
        path[row] = column
        column += int(steps[row, column]) - 1
    rows = (np.arange(side) + 0.5) * _COARSE
    middle: NDArray[np.float64] = np.interp(
        np.arange(SIDE) + 0.5, rows, (path + first + 0.5) * _COARSE
    )
    return middle
