"""Artefacts that are usual in a kind of images, as a few numbers of each image for a probe.

None is found as a person would find it: numbers that rise with the artefact are enough to ask
whether it gives the class away. All are measured at the side that classifiers see.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from balancer.imaging.colour import stain_directions
from balancer.imaging.pixels import COLOUR, GREY, Pixels, channels_of, luma

Floats = NDArray[np.float64]
_CORNER = 0.15
"""Side of a corner, as a share of that of the image."""
_DARK = 40
"""Grey value, of 255, below which a pixel is no skin or retina but the tube around it."""
_LINE, _LEAST_DEPTH = 0.12, 10
"""Length of a line, as a share of the side, and grey values by which a hair is darker than skin."""
_LEAST_OF_LINE = 0.05
"""Share of a line of pixels that is bright where the disc reaches it."""
_STRIP, _TICK, _LONGEST_PERIOD = 0.1, 0.05, 0.2
"""Width of the strips that may hold a ruler, of its ticks, and their longest distance, as shares of
the side."""
_SHORTEST_PERIOD, _GRAIN = 3, 5.0
"""Shortest distance of ticks in pixels; grey values of a line that is no tick but grain."""
_BRIGHTER = 60
"""Grey values by which a mark of a scanner is brighter than what surrounds it."""


@dataclass(frozen=True, slots=True)
class Artefact:
    """An artefact and its measure.

    Attributes:
        describes: What the probe is given.
        means: Meaning of a probe that finds the class.
        facts: Names of the numbers.
        measure: Function from an image to these numbers: uint8 (S, S), or of colours (S, S, 3).
        of_colour: Whether it needs colours, and cannot be measured in grey images.
    """

    describes: str
    means: str
    facts: tuple[str, ...]
    measure: Callable[[Pixels], Sequence[float]]
    of_colour: bool = False

    def table(self, images: Pixels) -> Floats | None:
        """Measure images, uint8 (N, S, S) or (N, S, S, 3).

        Returns:
            float64 (N, F); None where it needs colours and the images are grey.
        """
        if self.of_colour and channels_of(images, several=True) == GREY:
            return None
        shown = images if self.of_colour else luma(images)
        return np.array([self.measure(image) for image in shown], np.float64)


def _hair(grey: Pixels) -> Sequence[float]:
    """Measure thin dark lines around the middle, where a lesion has lines of its own.

    By the black-hat of lines in four directions, as DullRazor finds hair (Lee 1997).
    """
    length = max(5, round(_LINE * len(grey)) | 1)
    depths = [cv2.morphologyEx(grey, cv2.MORPH_BLACKHAT, line) for line in _lines(length)]
    # Lines across a hair fill it and the line along it does not; a blot is filled by none.
    quarter = len(grey) // 4
    around = np.ones(grey.shape, np.bool_)
    around[quarter:-quarter, quarter:-quarter] = False
    thin = np.sort(depths, axis=0)[1][around].astype(np.float64)
    return float((thin > _LEAST_DEPTH).mean()), float(np.log1p(thin.mean()))


def _lines(length: int) -> list[NDArray[np.uint8]]:
    eye = np.eye(length, dtype=np.uint8)
    across = np.ones((1, length), np.uint8)
    return [across, across.T.copy(), eye, np.ascontiguousarray(eye[::-1])]


def _ruler(grey: Pixels) -> Sequence[float]:
    """Measure how regularly short dark lines follow one another along each side, as ticks do."""
    width = max(4, round(_STRIP * len(grey)))
    strips = (grey[:width], grey[-width:], grey[:, :width].T, grey[:, -width:].T)
    found = sorted((_regularity(np.ascontiguousarray(strip)) for strip in strips), reverse=True)
    return found[0], found[1]


def _regularity(strip: Pixels) -> float:
    """Return how far the autocorrelation of thin lines along a strip rises again after a fall.

    Lines at any distance correlate at 0 alone; ticks, at their distance too.
    """
    side = strip.shape[1]
    across = np.ones((1, max(5, round(_TICK * side) | 1)), np.uint8)
    lines = cv2.morphologyEx(strip, cv2.MORPH_BLACKHAT, across).astype(np.float64)
    lines -= cv2.GaussianBlur(lines, (0, 0), side / 32)
    power = np.abs(np.fft.rfft(lines, 2 * side, axis=1)) ** 2
    lags = np.fft.irfft(power.sum(axis=0))[: max(_SHORTEST_PERIOD + 2, int(_LONGEST_PERIOD * side))]
    rise = lags - np.minimum.accumulate(lags)
    return float(rise[_SHORTEST_PERIOD:].max() / (lags[0] + _GRAIN**2 * lines.size))


def _corners(grey: Pixels) -> Sequence[float]:
    """Measure the brightness of each corner against the centre, and how much of it is dark."""
    side = len(grey)
    middle = side // 4
    corners = _four_corners(grey)
    centre = max(1.0, float(grey[middle : side - middle, middle : side - middle].mean()))
    shades = [float(corner.mean()) / centre for corner in corners]
    return (*shades, float(np.mean([(corner < _DARK).mean() for corner in corners])))


def _four_corners(image: NDArray[Any]) -> list[NDArray[Any]]:
    side = len(image)
    width = max(1, round(_CORNER * side))
    ends = (slice(0, width), slice(side - width, side))
    return [image[rows, columns] for rows in ends for columns in ends]


def _ring(grey: Pixels) -> Sequence[float]:
    """Measure the disc of a fundus photograph: its width, height, area, and each corner."""
    disc = grey >= _DARK
    width, height = ((disc.mean(axis=axis) > _LEAST_OF_LINE).mean() for axis in (0, 1))
    corners = [float(corner.mean()) for corner in _four_corners(disc)]
    return float(width), float(height), float(disc.mean()), *corners


def _stain(image: Pixels) -> Sequence[float]:
    """Measure the colours of the stains themselves, whatever their amounts, and that of glass."""
    return *map(float, stain_directions(image).ravel()), *_white(image)


def _white(image: Pixels) -> Sequence[float]:
    """Measure the colour of the lightest pixels: that of the lamp and the white balance."""
    return [float(level) / 255 for level in np.percentile(image.reshape(-1, COLOUR), 99, axis=0)]


def _calipers(grey: Pixels) -> Sequence[float]:
    """Measure small bright marks: crosses and dots that a person or a scanner has drawn."""
    around = max(5, round(0.08 * len(grey)) | 1)
    above = cv2.morphologyEx(grey, cv2.MORPH_TOPHAT, np.ones((around, around), np.uint8))
    # Speckle is bright too, but what most of it reaches is no mark.
    least = max(_BRIGHTER, 1.5 * float(np.percentile(above, 95)))
    marks = (above > least).astype(np.uint8)
    number, _, boxes, _ = cv2.connectedComponentsWithStats(marks, connectivity=8)
    sides = boxes[1:, [cv2.CC_STAT_WIDTH, cv2.CC_STAT_HEIGHT]]
    filled = boxes[1:, cv2.CC_STAT_AREA] / np.maximum(1, sides.prod(axis=1))
    crosses = (np.abs(sides[:, 0] - sides[:, 1]) <= 2) & (sides.min(axis=1) >= 3) & (filled < 0.75)
    return (
        float(np.log1p(number - 1)),
        float(np.log1p(crosses.sum())),
        float(marks.mean()),
        float(above.max()) / 255,
    )


ARTEFACTS = {
    "hair": Artefact(
        "how much of the image around its middle thin dark lines cover, and how dark they are",
        "Hair tells the classes apart",
        ("hair share", "hair depth"),
        _hair,
    ),
    "rulers": Artefact(
        "how regularly short dark lines follow one another along two of the sides, as ticks do",
        "A ruler at the side tells the classes apart",
        ("most regular strip", "second strip"),
        _ruler,
    ),
    "dark-corners": Artefact(
        "the brightness of the four corners against the centre, and the share of them that is dark",
        "Dark corners tell the classes apart",
        ("top left", "top right", "bottom left", "bottom right", "dark share"),
        _corners,
    ),
    "ring": Artefact(
        "width, height and area of the bright disc, and its share of each corner",
        "The black ring around the retina tells the classes apart",
        ("disc width", "disc height", "disc area", "top left", "top right", "bottom left",
         "bottom right"),
        _ring,
    ),
    "stain": Artefact(
        "the colours of the two stains, whatever their amounts, and the colour of the lightest "
        "pixels",
        "The stain or the scanner's white tells the classes apart",
        ("stain 1 red", "stain 1 green", "stain 1 blue", "stain 2 red", "stain 2 green",
         "stain 2 blue", "white red", "white green", "white blue"),
        _stain,
        of_colour=True,
    ),
    "white": Artefact(
        "the colour of the lightest pixels",
        "The colour of the light tells the classes apart",
        ("white red", "white green", "white blue"),
        _white,
        of_colour=True,
    ),
    "calipers": Artefact(
        "number and area of small marks that are far brighter than what surrounds them, such as "
        "calipers and letters",
        "Bright marks such as calipers tell the classes apart",
        ("marks", "crosses", "marked share", "brightest mark"),
        _calipers,
    ),
}  # fmt: skip
"""Artefacts by name, as the tables of the domains list them."""
