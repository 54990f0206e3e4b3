"""Find borders around a film: even frames, letterbox bars, and rounded collimation.

A line of pixels is a border if it is even: nearly all of it within a few grey levels of one value,
as no line through a chest is. Lines are taken from the outside inwards until one is not even, so
that only border is removed, and never more than a fixed share of a side.
"""

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from balancer.imaging.pixels import Pixels

MAX_SHARE = 0.30
"""Largest share of the height or width that one side loses to even lines."""
MAX_ROUNDING = 0.08
"""Largest share of the remaining height or width that one side loses to rounded corners."""
_TOLERANCE = 6
"""Tolerance in grey levels around the value of a border, for noise and JPEG."""
_OF_CONTRAST = 0.05
"""Largest tolerance, as a share of the contrast of the whole film."""
_EVEN = 0.98
"""Share of an even line that is within the tolerance; the rest can be a frame beside it."""
_MARKED = 0.50
"""The same for a line with letters, which is removed if even lines follow further in."""
_MOST_LAYERS = 64
"""Largest number of nested frames removed from one side; only gradients have that many."""
_FEWEST = 8
"""Number of pixels along a side that are always kept."""
_ALIKE = 1.5
"""Largest ratio of the roundings of two corners of one frame."""
_SKEW = 0.15
"""Largest difference of the lengths of a rounding on both sides, as a share of their mean."""
_ARC = (0.22, 0.55)
"""Length on the diagonal as a share of that on the sides: an arc has 0.29, a cut corner 0.5."""


@dataclass(frozen=True, slots=True)
class Box:
    """A part of a film, in pixels: rows from `top` to before `bottom`, columns likewise."""

    top: int
    bottom: int
    left: int
    right: int

    def of(self, image: Pixels) -> Pixels:
        """Return the part, a view."""
        return image[self.top : self.bottom, self.left : self.right]


def find_film(pixels: Pixels) -> Box:
    """Find the film within even bars and frames.

    Bars can be dark or bright, of several layers, and carry letters. Rounded corners are cut off
    with the rows and columns that hold them, if all four are of one grey value, alike and round,
    and if that costs no more than `MAX_ROUNDING` of a side: the dark air above the shoulders
    has no counterpart below, and a round collimation is kept, because a rectangle within it
    would cost parts of the lungs.

    Args:
        pixels: uint8 (H, W).

    Returns:
        The film; the whole image where there is no border.
    """
    tolerance = _tolerance(pixels)
    box = _within_bars(pixels, tolerance)
    return _within_corners(pixels, box, tolerance)


def _tolerance(pixels: Pixels) -> int:
    """Lower the tolerance for a film of little contrast, where every line would be even."""
    step = max(1, min(pixels.shape) // 64)
    greys = np.sort(pixels[::step, ::step], axis=None).astype(int)  # of bytes: by counting
    low, high = greys[len(greys) // 100], greys[-1 - len(greys) // 100]
    return int(min(_TOLERANCE, _OF_CONTRAST * (high - low)))


def _within_bars(pixels: Pixels, tolerance: int) -> Box:
    height, width = pixels.shape
    rows, columns = _most(height), _most(width)
    box = Box(0, height, 0, width)
    while True:
        # In turn: lines that end in a bar of the other pair are even only once that is gone.
        lines = box.of(pixels)
        top = _bar(lines, rows - box.top, tolerance)
        bottom = _bar(lines[::-1], rows - (height - box.bottom), tolerance)
        box = Box(box.top + top, box.bottom - bottom, box.left, box.right)
        lines = box.of(pixels).T
        left = _bar(lines, columns - box.left, tolerance)
        right = _bar(lines[::-1], columns - (width - box.right), tolerance)
        box = Box(box.top, box.bottom, box.left + left, box.right - right)
        if not top + bottom + left + right:
            return box


def _most(length: int) -> int:
    return max(0, min(int(MAX_SHARE * length), (length - _FEWEST) // 2))


def _bar(lines: Pixels, most: int, tolerance: int) -> int:
    """Count the border lines at the start, at most `most`."""
    taken = 0
    for _ in range(_MOST_LAYERS):
        rest = lines[taken:most]
        if not len(rest):
            break
        level = int(np.sort(rest[0])[rest.shape[1] // 2])
        found = _layer(rest, level, tolerance)
        if not found:
            break
        taken += found
    return taken


def _layer(lines: Pixels, level: int, tolerance: int) -> int:
    """Count the lines of one grey value at the start, letters on them included."""
    number = 1  # most films have no border, and most borders are narrow
    while True:
        shares = _shares(lines[:number], level, tolerance)
        broken = np.flatnonzero(shares < _MARKED)
        if len(broken) or number >= len(lines):
            break
        number *= 4
    even = np.flatnonzero(shares[: broken[0] if len(broken) else None] >= _EVEN)
    return int(even[-1]) + 1 if len(even) else 0


def _shares(lines: Pixels, level: int, tolerance: int) -> NDArray[np.float64]:
    """Return the share of every line within the tolerance of a level, float64 (N,)."""
    low, high = max(0, level - tolerance), min(255, level + tolerance)
    if lines.flags.c_contiguous:
        return _means(cv2.inRange(lines, low, high), 1)
    return _means(cv2.inRange(lines.T, low, high), 0)


def _means(inside: Any, axis: int) -> NDArray[np.float64]:
    sums = np.asarray(cv2.reduce(inside, axis, cv2.REDUCE_SUM, dtype=cv2.CV_64F), np.float64)
    means: NDArray[np.float64] = sums.ravel() / (255 * inside.shape[axis])
    return means


def _within_corners(pixels: Pixels, box: Box, tolerance: int) -> Box:
    film = box.of(pixels)
    height, width = film.shape
    corners = (film, film[:, ::-1], film[::-1], film[::-1, ::-1])
    levels = [int(corner[0, 0]) for corner in corners]
    if max(levels) - min(levels) > tolerance:
        return box
    level = int(np.median(levels))
    reaches = [_rounding(corner, level, tolerance) for corner in corners]
    least, most = min(reaches), max(reaches)
    if least < 1 or most > min(MAX_ROUNDING * min(height, width), _ALIKE * least + 1):
        return box
    upper_left, upper_right, lower_left, lower_right = reaches
    return Box(
        box.top + max(upper_left, upper_right),
        box.bottom - max(lower_left, lower_right),
        box.left + max(upper_left, lower_left),
        box.right - max(upper_right, lower_right),
    )


def _rounding(corner: Pixels, level: int, tolerance: int) -> int:
    """Measure how far a rounded frame reaches from the corner along the diagonal, in pixels.

    A rounding bulges outwards, so a rectangle that starts beyond it on the diagonal is free of it.

    Returns:
        0 where the corner is not rounded as a frame is: as far along one side as along the other,
        and along the diagonal as an arc, or a cut corner, would be.
    """
    length = int(min(corner.shape) * min(0.5, MAX_ROUNDING / _ARC[0]))
    row = _run(corner[0, :length], level, tolerance)
    column = _run(corner[:length, 0], level, tolerance)
    diagonal = _run(np.diagonal(corner)[:length], level, tolerance)
    mean = (row + column) / 2
    slack = 1.5  # of counting whole pixels
    is_even = abs(row - column) <= _SKEW * mean + slack
    is_round = _ARC[0] * mean - slack <= diagonal <= _ARC[1] * mean + slack
    return diagonal if is_even and is_round and max(row, column) < length else 0


def _run(line: Pixels, level: int, tolerance: int) -> int:
    """Count the pixels at the start within the tolerance of a level."""
    beyond = np.flatnonzero(np.abs(line.astype(np.int16) - level) > tolerance)
    return int(beyond[0]) if len(beyond) else len(line)
