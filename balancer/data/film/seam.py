"""Does a film break off along a row? A damaged JPEG decodes to bands that do not fit each other."""

import cv2
import numpy as np

from balancer.data.io import Pixels

_APART = 2
_JUMP = 14
_ENDS = 0.2
"""Collimators have edges too, but near the ends of a film."""
_AROUND = 8
_LEAST_SIDE = 96
"""So that there are rows around every one between the ends."""


def seam_strength(film: Pixels) -> float:
    """Share of the columns that jump at the row where most do, beyond what is usual around it.

    Args:
        film: uint8 (H, W), without borders.

    Returns:
        In [0, 1]; 0 for films under 96 px.
    """
    height, width = film.shape
    if min(height, width) < _LEAST_SIDE:
        return 0.0
    difference = cv2.absdiff(film[_APART:], film[:-_APART])
    _, jump = cv2.threshold(difference, _JUMP, 1, cv2.THRESH_BINARY)
    jumps = cv2.reduce(jump, 1, cv2.REDUCE_SUM, dtype=cv2.CV_32S).ravel() / width
    ends = int(_ENDS * len(jumps))
    row = ends + int(jumps[ends : len(jumps) - ends].argmax())
    around = np.sort(jumps[row - _AROUND : row + _AROUND + 1])
    return float(max(0.0, jumps[row] - around[_AROUND]))
