"""Does a film look like a frontal chest, upright and positive? A few correlations say so.

What it is held against is drawn by a formula: two dark lungs, a bright spine that widens into a
bright abdomen, dark beside the neck. `docs/audit.md` says how real films score.
"""

from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

from balancer.data.io import Pixels

_SIDE = 16
_SHIFTS = range(-3, 4)
_LUNGS = slice(3, 9)
"""Rows at the height of the lungs."""
_MIDDLES, _APART = range(5, 10), (3, 4, 5)

Grid = NDArray[np.float32]


def looks(film: Pixels) -> tuple[float, float, float, float]:
    """Hold a film, uint8 (H, W) without borders, against a drawing of a frontal chest.

    Returns:
        Correlations in [-1, 1]: with the drawing (a negative gives the reverse), with the drawing
        upside down, and of the film with its own mirror image at the best axis near the middle;
        and by how many standard deviations the middle is brighter than the darker half-width to
        both of its sides, at the height of the lungs: from the side there is one dark field only.
    """
    grid = cv2.resize(film, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA).astype(np.float32)
    unit = _unit(grid)
    drawing = _drawing()
    frontal, upside_down = float((unit * drawing).sum()), float((unit[::-1] * drawing).sum())
    symmetry = max(_mirrored(grid, shift) for shift in _SHIFTS)
    return frontal, upside_down, symmetry, _two_lungs(grid)


def _two_lungs(grid: Grid) -> float:
    profile = grid[_LUNGS].mean(axis=0)
    pairs = (profile[:-1] + profile[1:]) / 2
    ridge = max(
        min(pairs[middle] - pairs[middle - apart], pairs[middle] - pairs[middle + apart])
        for middle in _MIDDLES
        for apart in _APART
    )
    return float(ridge) / max(float(grid.std()), 1e-9)


def _mirrored(grid: Grid, shift: int) -> float:
    part = _unit(grid[:, max(0, shift) : _SIDE + min(0, shift)])
    return float((part * part[:, ::-1]).sum())


@cache
def _drawing() -> Grid:
    row, column = np.mgrid[0:_SIDE, 0:_SIDE]
    x, y = (column + 0.5) / (_SIDE / 2) - 1, (row + 0.5) / _SIDE
    sides = np.abs(x)
    abdomen = np.exp(-((sides / 0.8) ** 6)) / (1 + np.exp(-(y - 0.68) / 0.06))
    lungs = (_bump(x - 0.38, 0.2) + _bump(x + 0.38, 0.2)) * _bump(y - 0.38, 0.3)
    beside_neck = _bump(y, 0.1) * (1 - _bump(x, 0.25))
    chest_wall = (_bump(x - 0.75, 0.15) + _bump(x + 0.75, 0.15)) * _bump(y - 0.4, 0.3)
    spine = _bump(x - 0.03, 0.13)
    drawn = 16 * abdomen + 9 * spine - 11 * lungs - 12 * beside_neck + 3 * chest_wall
    return _unit((drawn - 6 * (sides > 0.9)).astype(np.float32))


def _bump(distance: NDArray[np.float64], width: float) -> NDArray[np.float64]:
    bump: NDArray[np.float64] = np.exp(-np.square(distance / width))
    return bump


def _unit(grid: Grid) -> Grid:
    around = grid - grid.mean()
    unit: Grid = around / np.float32(max(float(np.linalg.norm(around)), 1e-9))
    return unit
