"""Facts of one image beside its disease: exposure, borders, text, pose, damage.

Cheap enough for the pass over all files (under 0.5 ms for 224 x 224 pixels).
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from balancer.data.film.lettering import text_share
from balancer.data.film.pose import measure_pose
from balancer.data.io import Pixels

_DARK, _BRIGHT = 24, 231
_DARK_SPREAD, _BRIGHT_SPREAD = 24, 16
"""A row or column is border if its mean is beyond a level above and its spread within one of
these; a dark border may hold a line of text."""
_SHARP_SIDE = 224
_RIM = 0.05
_JUMP_APART, _JUMP = 2, 14
_SEAM_ENDS = 0.2
"""Share of the rows at each end without a seam, because collimators have edges there."""
_AROUND_SEAM = 8
_SEAM_LEAST_SIDE = 96
"""Smallest side at which every row between the ends has enough rows around it."""


@dataclass(frozen=True, slots=True)
class ImageFacts:
    """Measurements of one decoded image; all are plain floats.

    Attributes:
        mean: Mean grey level, 0 to 255.
        deviation: Standard deviation of the grey levels.
        sharpness: Logarithm of 1 + the variance of the Laplacian, at 224 px at most.
        black: Share of the pixels at 0 to 4.
        white: Share of the pixels at 251 to 255.
        dark_border: Share of the image in even dark rows and columns along its edges.
        bright_border: The same for bright ones.
        rim_mean: Mean grey level of the outer 5 % on each side.
        rim_deviation: Standard deviation of the grey levels there.
        text: Share of the image in lines of text.
        colour: Share of coloured pixels.
        frontal: Correlation with a drawing of a frontal chest, -1 to 1; below 0 for a negative.
        upside_down: The same with the drawing upside down.
        symmetry: Correlation with the mirrored image.
        two_lungs: Difference of the middle and the darker sides at the height of the lungs, in
            standard deviations of the grey levels.
        seam: Share of the columns that break off at one row; see `seam_strength`.
    """

    mean: float
    deviation: float
    sharpness: float
    black: float
    white: float
    dark_border: float
    bright_border: float
    rim_mean: float
    rim_deviation: float
    text: float
    colour: float
    frontal: float
    upside_down: float
    symmetry: float
    two_lungs: float
    seam: float


def measure(pixels: Pixels, colour: float) -> ImageFacts:
    """Measure an image.

    Args:
        pixels: Pixels of the upright image, uint8 (H, W).
        colour: Share of coloured pixels, in [0, 1]; see `Radiograph.colour`.
    """
    small = _at_most(pixels, _SHARP_SIDE)
    mean, deviation = _moments(small)
    _, laplacian = _moments(cv2.Laplacian(small, cv2.CV_16S))
    rim_mean, rim_deviation = _rim(small, mean, deviation)
    dark_film, dark = _without_border(small, dark=True)
    film, bright = _without_border(dark_film, dark=False)
    pose = measure_pose(film)
    return ImageFacts(
        mean=mean,
        deviation=deviation,
        sharpness=float(np.log1p(laplacian**2)),
        black=_share(small, 0, 4),
        white=_share(small, 251, 255),
        dark_border=dark,
        bright_border=bright * (1 - dark),
        rim_mean=rim_mean,
        rim_deviation=rim_deviation,
        text=text_share(pixels),
        colour=float(colour),
        frontal=pose.frontal,
        upside_down=pose.upside_down,
        symmetry=pose.symmetry,
        two_lungs=pose.two_lungs,
        seam=seam_strength(film),
    )


def seam_strength(film: Pixels) -> float:
    """Measure how far a film breaks off along a row, as where a damaged JPEG was decoded.

    Args:
        film: Pixels without borders, uint8 (H, W).

    Returns:
        Share of the columns that jump at the row with most jumps, less the median of the rows
        around it, in [0, 1]; 0 for a side under 96 px.
    """
    height, width = film.shape
    if min(height, width) < _SEAM_LEAST_SIDE:
        return 0.0
    difference = cv2.absdiff(film[_JUMP_APART:], film[:-_JUMP_APART])
    _, jump = cv2.threshold(difference, _JUMP, 1, cv2.THRESH_BINARY)
    jumps = cv2.reduce(jump, 1, cv2.REDUCE_SUM, dtype=cv2.CV_32S).ravel() / width
    ends = int(_SEAM_ENDS * len(jumps))
    row = ends + int(jumps[ends : len(jumps) - ends].argmax())
    around = np.sort(jumps[row - _AROUND_SEAM : row + _AROUND_SEAM + 1])
    return float(max(0.0, jumps[row] - around[_AROUND_SEAM]))


def _at_most(pixels: Pixels, side: int) -> Pixels:
    height, width = pixels.shape
    if max(height, width) <= side:
        return np.ascontiguousarray(pixels)
    size = (min(width, side), min(height, side))
    return np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), np.uint8)


def _moments(values: cv2.typing.MatLike) -> tuple[float, float]:
    mean, deviation = cv2.meanStdDev(values)
    return mean.item(), deviation.item()


def _share(film: Pixels, darkest: int, brightest: int) -> float:
    return cv2.countNonZero(cv2.inRange(film, darkest, brightest)) / film.size


def _rim(film: Pixels, mean: float, deviation: float) -> tuple[float, float]:
    """Mean and deviation of the rim, from those of the whole film and of its inside."""
    height, width = film.shape
    rows, columns = max(1, round(_RIM * height)), max(1, round(_RIM * width))
    inside = film[rows : height - rows, columns : width - columns]
    if not inside.size:
        return mean, deviation
    inner, spread = _moments(inside)
    rim = film.size - inside.size
    rim_mean = (film.size * mean - inside.size * inner) / rim
    squares = film.size * (deviation**2 + mean**2) - inside.size * (spread**2 + inner**2)
    return rim_mean, float(np.sqrt(max(0.0, squares / rim - rim_mean**2)))


def _without_border(film: Pixels, *, dark: bool) -> tuple[Pixels, float]:
    """Cut off the even border of one kind; return the inside and the share that was cut off."""
    top, bottom = _ends(_is_border(film, 1, dark))
    if top >= bottom:
        return film, 0.0
    left, right = _ends(_is_border(film[top:bottom], 0, dark))
    if left >= right:
        return film, 0.0
    inside = film[top:bottom, left:right]
    return inside, 1 - inside.size / film.size


def _is_border(film: Pixels, axis: int, dark: bool) -> NDArray[np.bool_]:
    mean = cv2.reduce(film, axis, cv2.REDUCE_AVG, dtype=cv2.CV_32F).ravel()
    border: NDArray[np.bool_] = mean <= _DARK if dark else mean >= _BRIGHT
    if border.any():
        square = np.square(film, dtype=np.float32).mean(axis=axis)
        spread = _DARK_SPREAD if dark else _BRIGHT_SPREAD
        border = border & (square - mean * mean <= spread * spread)
    return border


def _ends(border: NDArray[np.bool_]) -> tuple[int, int]:
    """Return start and stop of the inside; equal if all is border."""
    inside = np.flatnonzero(~border)
    return (int(inside[0]), int(inside[-1]) + 1) if len(inside) else (0, 0)
