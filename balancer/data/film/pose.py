"""Similarity of an image to an upright, positive, frontal chest, by a few correlations.

The reference is drawn by a formula: two dark lungs, a bright spine that widens into a bright
abdomen, dark beside the neck. `docs/audit.md` shows the values of real radiographs.
"""

from functools import cache
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from balancer.data.io import Pixels

_SIDE = 16
_SHIFTS = range(-3, 4)
_LUNGS = slice(3, 9)
"""Rows at the height of the lungs."""
_MIDDLES, _APART = np.arange(5, 10)[:, None], np.array([3, 4, 5])

Grid = NDArray[np.float64]


class Pose(NamedTuple):
    """Similarity to a frontal chest.

    Attributes:
        frontal: Correlation with the drawing of a chest, in [-1, 1]; negative for a negative.
        upside_down: Correlation with the drawing upside down, in [-1, 1].
        symmetry: Correlation with the mirrored image, about the best axis near the middle.
        two_lungs: Number of standard deviations by which the middle is brighter than the dark
            fields on both sides, at the height of the lungs; a lateral has one dark field only.
    """

    frontal: float
    upside_down: float
    symmetry: float
    two_lungs: float


def measure_pose(film: Pixels) -> Pose:
    """Compare a film, uint8 (H, W) without borders, with a drawing of a frontal chest."""
    small = cv2.resize(film, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA)
    grid = small.astype(np.float64)
    deviation = max(float(grid.std()), 1e-9)
    # The drawings have mean 0 and length 1, so the mean of the film has no effect.
    frontal, upside_down = _drawings() @ grid.ravel() / (deviation * _SIDE)
    return Pose(float(frontal), float(upside_down), _symmetry(grid), _ridge(grid) / deviation)


def _symmetry(grid: Grid) -> float:
    """Best correlation over the axes, of the columns that have a mirror image."""
    inside, mirrored = _axes()
    numbers = inside.sum(axis=1) * _SIDE
    products = (grid.T @ grid).ravel()  # each column with each
    squared_mean = np.square(inside @ grid.sum(axis=0)) / numbers
    variance = inside @ products[:: _SIDE + 1] - squared_mean
    return float(((mirrored @ products - squared_mean) / np.maximum(variance, 1e-9)).max())


def _ridge(grid: Grid) -> float:
    profile = grid[_LUNGS].mean(axis=0)
    pairs = (profile[:-1] + profile[1:]) / 2
    beside = np.maximum(pairs[_MIDDLES - _APART], pairs[_MIDDLES + _APART])
    return float((pairs[_MIDDLES] - beside).max())


@cache
def _axes() -> tuple[Grid, Grid]:
    """Per axis: columns with a mirror image, (A, S), and pairs that mirror each other, (A, S*S)."""
    column = np.arange(_SIDE)
    ends = np.array(_SHIFTS)[:, None] + _SIDE - 1
    other = ends - column
    inside = ((other >= 0) & (other < _SIDE)).astype(np.float64)
    pairs = inside[:, :, None] * (other[:, :, None] == column)
    return inside, pairs.reshape(len(ends), -1)


@cache
def _drawings() -> Grid:
    """Return the drawing upright and upside down, float64 (2, S*S), mean 0 and length 1."""
    drawn = _drawing()
    return np.stack([drawn.ravel(), drawn[::-1].ravel()])


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
    drawn = drawn - 6 * (sides > 0.9)
    drawn -= drawn.mean()
    around: Grid = drawn / np.linalg.norm(drawn)
    return around


def _bump(distance: NDArray[np.float64], width: float) -> NDArray[np.float64]:
    bump: NDArray[np.float64] = np.exp(-np.square(distance / width))
    return bump
