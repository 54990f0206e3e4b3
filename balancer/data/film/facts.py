"""What one film says of itself without its lungs being read: exposure, borders, text, pose.

Cheap enough for the one pass over all files (under 0.5 ms for 224 x 224 pixels).
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from balancer.data.film.lettering import text_share
from balancer.data.film.pose import looks
from balancer.data.film.seam import seam_strength
from balancer.data.io import Pixels

_DARK, _BRIGHT = 24, 231
_DARK_SPREAD, _BRIGHT_SPREAD = 24, 16
"""A row or column is border if its mean is beyond one of these and it is even; a dark one may hold
a line of text."""
_SHARP_SIDE = 224
_RIM = 0.05


@dataclass(frozen=True, slots=True)
class ImageFacts:
    """Measured on one decoded image; all are plain floats.

    Attributes:
        mean: Grey level, 0 to 255.
        deviation: Of the grey levels.
        sharpness: Logarithm of 1 + the variance of the Laplacian, at 224 px at most.
        black: Share of the pixels at 0 to 4.
        white: Share of the pixels at 251 to 255.
        dark_border: Share of the image in even dark rows and columns along its edges.
        bright_border: The same, bright.
        rim_mean: Grey level of the outer 5 % on each side.
        rim_deviation: Of the grey levels there.
        text: Share of the image in lines of text.
        colour: Share of coloured pixels.
        frontal: Correlation with a drawing of a frontal chest, -1 to 1; of a negative below 0.
        upside_down: The same with the drawing upside down.
        symmetry: Correlation with its own mirror image.
        two_lungs: How much darker than the middle both sides are at the height of the lungs, in
            standard deviations of the grey levels.
        seam: Share of the columns that break off at one row.
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
    """Measure a film.

    Args:
        pixels: uint8 (H, W), upright.
        colour: Share of its pixels that are coloured, in [0, 1]; see `Radiograph.colour`.
    """
    small = _at_most(pixels, _SHARP_SIDE)
    mean, deviation = _moments(small)
    _, laplacian = _moments(cv2.Laplacian(small, cv2.CV_16S))
    rim_mean, rim_deviation = _rim(small, mean, deviation)
    dark_film, dark = _without_border(small, dark=True)
    film, bright = _without_border(dark_film, dark=False)
    frontal, upside_down, symmetry, two_lungs = looks(film)
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
        frontal=frontal,
        upside_down=upside_down,
        symmetry=symmetry,
        two_lungs=two_lungs,
        seam=seam_strength(film),
    )


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
    """Mean and deviation of the rim: those of the whole film, less what is inside."""
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
    """What is inside the even border of one kind, and the share of the film that is not."""
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
    """First and last place of what is no border; equal where all is."""
    inside = np.flatnonzero(~border)
    return (int(inside[0]), int(inside[-1]) + 1) if len(inside) else (0, 0)
