"""A monotone learning curve, a - b n^-c with b >= 0 and c > 0, and its inverse.

Power laws describe how error falls with the number of training images (Hestness 2017,
arXiv 1712.00409). The curve is used only between the numbers of images that were measured.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
_EXPONENTS = np.geomspace(0.05, 3.0, 40)
"""Exponents that are tried; at the smallest the curve is almost a straight line over log n."""


@dataclass(frozen=True, slots=True)
class PowerCurves:
    """B curves over the same numbers of images.

    Attributes:
        lowest: Smallest number of images.
        highest: Largest number.
        top: a, float (B,).
        scale: b, float (B,), at least 0.
        exponent: c, float (B,).
    """

    lowest: float
    highest: float
    top: Floats
    scale: Floats
    exponent: Floats

    def at(self, n: float) -> Floats:
        """Return the values at a number of images: float (B,)."""
        return np.asarray(self.top - self.scale * n**-self.exponent, np.float64)

    def inverse(self, values: Floats) -> Floats:
        """Return the smallest number of images at which each curve reaches its value.

        Args:
            values: float (B,).

        Returns:
            float (B,): `inf` above the value at `highest`, `-inf` below that at `lowest`, since the
            curve is not known there.
        """
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            n = (self.scale / (self.top - values)) ** (1 / self.exponent)
        inside = np.clip(np.where(np.isfinite(n), n, self.highest), self.lowest, self.highest)
        found = np.where(values > self.at(self.highest), np.inf, inside)
        return np.where(values < self.at(self.lowest), -np.inf, found)


def fit_curves(sizes: Floats, values: Floats) -> PowerCurves:
    """Fit one curve to each row, by least squares over a grid of exponents.

    Args:
        sizes: Numbers of images, float (M,), ascending and positive, M >= 3.
        values: Values at these numbers, float (B, M).

    Returns:
        The curves; a row that falls gets a constant, b = 0.
    """
    values = np.atleast_2d(values)
    means = values.mean(1, keepdims=True)
    centred = values - means
    best = np.full(len(values), np.inf)
    scale = np.zeros(len(values))
    exponent = np.full(len(values), _EXPONENTS[-1])
    shift = np.zeros(len(values))
    for candidate in _EXPONENTS:
        x = sizes**-candidate
        x_centred = x - x.mean()
        slope = np.minimum(centred @ x_centred / (x_centred @ x_centred), 0.0)
        error = ((centred - slope[:, None] * x_centred) ** 2).sum(1)
        better = error < best - 1e-15
        best = np.where(better, error, best)
        scale = np.where(better, -slope, scale)
        exponent = np.where(better, candidate, exponent)
        shift = np.where(better, -slope * x.mean(), shift)
    return PowerCurves(
        lowest=float(sizes[0]),
        highest=float(sizes[-1]),
        top=means[:, 0] + shift,
        scale=scale,
        exponent=exponent,
    )
