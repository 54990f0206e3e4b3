"""From a rough lung to a smooth outline: the best closed path around its middle.

The outline is one radius per angle, found by dynamic programming over a polar map of the film:
dark inside, bright outside, an edge between them, near the rough region, and smooth. Ribs, vessels
and single opacities do not notch it, as they notch a threshold.
"""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from balancer.imaging.lungs.candidates import SIDE, Ground, Layer, disc, largest_part
from balancer.imaging.pixels import Pixels

_ANGLES, _RADII = 48, 40
_WIDE, _HIGH = 0.26 * SIDE, 0.42 * SIDE
"""Half axes of the ellipse that the rays reach: lungs are taller than wide."""
_STEP = 3
"""Largest difference of the radii of two neighbouring angles."""
_ROUGHNESS = 0.3
_EDGE = 2.0
_FAR = 12.0
_SLACK = 0.06
_JOIN = 7

_TURNS = np.arange(_ANGLES) * 2 * np.pi / _ANGLES
_RADIUS = ((np.arange(_RADII) + 0.5) / _RADII).astype(np.float32)
_RAYS_X = (_WIDE * np.cos(_TURNS)[:, None] * _RADIUS).astype(np.float32)
_RAYS_Y = (_HIGH * np.sin(_TURNS)[:, None] * _RADIUS).astype(np.float32)
_REACH = np.arange(_RADII)[:, None] + np.arange(2 * _STEP + 1)
_JUMP = (_ROUGHNESS * np.abs(np.arange(-_STEP, _STEP + 1))).astype(np.float32)


def refine_lungs(rough: Sequence[tuple[int, Pixels]], ground: Ground) -> list[Pixels]:
    """Find smooth outlines of lungs.

    Args:
        rough: Side (-1 the viewer's left, 1 the right) and region of each, uint8 (SIDE, SIDE).
        ground: The film.

    Returns:
        One region for each, uint8 (SIDE, SIDE), connected, without holes wider than a rib.
    """
    if not rough:
        return []
    placed = [_costs(region, ground, side) for side, region in rough]
    paths = _closed_paths(np.stack([cost for _, cost in placed]))
    return [
        _joined(_drawn(middle, path), region, ground.half(side))
        for (side, region), (middle, _), path in zip(rough, placed, paths, strict=True)
    ]


def _costs(region: Pixels, ground: Ground, side: int) -> tuple[tuple[float, float], Layer]:
    """Return the middle of a region, and the cost of the outline at every angle and radius."""
    down, across = np.nonzero(region)
    middle = float(across.mean()), float(down.mean())
    around = (cv2.dilate(region, disc(5)) - cv2.dilate(region, disc(1))) > 0
    inside = float(np.median(ground.levels[region > 0]))
    outside = float(np.median(ground.levels[around])) if around.any() else inside + 1
    threshold, scale = (inside + outside) / 2, max(outside - inside, 0.3)
    wall = max(outside, threshold + 0.5)
    levels = np.where(ground.air | ~ground.half(side), np.float32(wall), ground.levels)
    rays = _along_rays(levels, middle, wall)
    rays = np.clip((rays - np.float32(threshold)) / np.float32(scale), -1, 1)
    # Weighted by pixels, not by rays: the outer ones cover more.
    enclosed = np.cumsum(np.clip(rays, -0.5, 0.5) * 2 * _RADIUS, axis=1)
    sums = np.cumsum(np.pad(rays, ((0, 0), (4, 3)), mode="edge"), axis=1)
    before, at, after = (sums[:, start : start + _RADII] for start in (0, 3, 6))
    edge = np.clip((after - 2 * at + before) / 3, -0.5, 1)
    old = _along_rays(region.astype(np.float32), middle, 0.0).mean(axis=1, keepdims=True)
    beyond = np.maximum(_RADIUS - old - _SLACK, 0)
    short = np.maximum(old - _RADIUS - _SLACK, 0)
    cost = enclosed - _EDGE * edge + _FAR * (beyond**2 + short**2 / 2)
    return middle, np.asarray(cost, np.float32)


def _along_rays(layer: Layer, middle: tuple[float, float], beyond: float) -> Layer:
    across, down = _RAYS_X + np.float32(middle[0]), _RAYS_Y + np.float32(middle[1])
    rays = cv2.remap(
        np.asarray(layer, np.float32),
        across,
        down,
        cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_CONSTANT,
        borderValue=beyond,
    )
    return np.asarray(rays, np.float32)


def _closed_paths(costs: Layer) -> NDArray[np.int64]:
    """Return the cheapest radius per angle, int64 (lungs, angles).

    Args:
        costs: (lungs, angles, radii).

    Two turns are walked and the middle one is kept, so that the ends of the path meet.
    """
    lungs, turns = len(costs), (np.arange(2 * _ANGLES) - _ANGLES // 2) % _ANGLES
    rows = np.arange(lungs)
    total = costs[:, turns[0]]
    steps = np.zeros((2 * _ANGLES, lungs, _RADII), np.int64)
    padded = np.full((lungs, _RADII + 2 * _STEP), np.inf, np.float32)
    for number in range(1, 2 * _ANGLES):
        padded[:, _STEP:-_STEP] = total
        ways = padded[:, _REACH] + _JUMP
        steps[number] = ways.argmin(axis=2)
        total = ways.min(axis=2) + costs[:, turns[number]]
    place = total.argmin(axis=1)
    path = np.zeros((2 * _ANGLES, lungs), np.int64)
    for number in range(2 * _ANGLES - 1, -1, -1):
        path[number] = place
        place = place + steps[number, rows, place] - _STEP
    return path[_ANGLES // 2 : _ANGLES // 2 + _ANGLES].T


def _drawn(middle: tuple[float, float], path: NDArray[np.int64]) -> Pixels:
    radius = (path + 0.5) / _RADII
    radius = 0.2 * np.roll(radius, 1) + 0.6 * radius + 0.2 * np.roll(radius, -1)
    across = middle[0] + _WIDE * np.cos(_TURNS) * radius
    down = middle[1] + _HIGH * np.sin(_TURNS) * radius
    points = np.rint(np.stack([across, down], axis=1) * 16).astype(np.int32)
    region = np.zeros((SIDE, SIDE), np.uint8)
    cv2.fillPoly(region, [points], 1, shift=4)
    return region


def _joined(smooth: Pixels, rough: Pixels, half: NDArray[np.bool_]) -> Pixels:
    """Give the smooth region back its corners, which a path of few angles rounds off."""
    region = np.where(cv2.dilate(smooth, disc(_JOIN)) > 0, smooth | rough, np.uint8(0))
    closed = cv2.morphologyEx(region, cv2.MORPH_CLOSE, disc(5)) * half.astype(np.uint8)
    opened = cv2.morphologyEx(closed, cv2.MORPH_OPEN, disc(3))
    return largest_part(np.asarray(opened, np.uint8))
