"""Lay one image over another by their local features, and compare what both show."""

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from balancer.data.copies.local_features import LocalFeatures, descriptor_distance
from balancer.data.film.fingerprint import Floats
from balancer.data.io import Pixels

_NEAR = descriptor_distance(0.6)
_PIXELS_OFF, _TRIES, _CONFIDENCE = 4.0, 1000, 0.995
_LEAST_INLIERS = 10
"""Number of features that must fit; fewer also fit by chance between two chests."""
_SMALLEST, _MOST_STRETCH = 0.4, 1.6
"""Least zoom (the greatest is its inverse), and largest ratio of the zooms along two axes."""
_SIDE = 96
_LOCAL_MEAN, _LOCAL_CONTRAST, _FLAT = 5.0, 7.0, 3.0
_EVEN_VARIANCE, _EVEN_SQUARE = 2.0, 5
"""Variance below which the surroundings of a pixel are even, and side of the least even square."""
_VISIBLE = 1.0
_LEAST_OVERLAP = 0.2
_STEPS, _STEP_CHANGE = 30, 1e-4

Affine = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Overlay:
    """The second of two images over the first.

    Attributes:
        similarity: Correlation of local contrast where both show something, in [-1, 1].
        inliers: Number of features that fit.
        overlap: Share of the first image that is compared, in [0, 1].
        degrees: Turn of the second against the first, in (-180, 180].
        zoom: Size of the second against the first.
    """

    similarity: float
    inliers: int
    overlap: float
    degrees: float
    zoom: float


def overlay(first: LocalFeatures, second: LocalFeatures) -> Overlay | None:
    """Register the second image to the first.

    A similarity transform is fitted to the features that match (RANSAC), and refined as an affine
    one by the enhanced correlation coefficient (Evangelidis and Psarakis 2008). Even areas, such
    as a frame or the corners that a turn leaves, are not compared.

    Args:
        first: Features of the first image.
        second: Features of the second, mirrored where that is to be tried.

    Returns:
        None if too few features fit, or too little is left to compare.
    """
    fitted = _fit(first, second)
    if fitted is None:
        return None
    affine, inliers = fitted
    one, one_scale = _small(first.image)
    other, other_scale = _small(second.image)
    affine[:, :2] *= one_scale / other_scale
    affine[:, 2] *= one_scale
    shown, other_shown = _uneven(one), _uneven(other)
    best = _compare(one, other, shown, other_shown, affine)
    refined = _refine(_even_contrast(one, shown)[0], _even_contrast(other, other_shown)[0], affine)
    if refined is not None:
        again = _compare(one, other, shown, other_shown, refined)
        if again[0] > best[0]:
            best, affine = again, refined
    similarity, overlap = best
    if overlap < _LEAST_OVERLAP:
        return None
    return Overlay(
        similarity=similarity,
        inliers=inliers,
        overlap=overlap,
        degrees=float(np.degrees(np.arctan2(affine[1, 0], affine[0, 0]))),
        zoom=float(1 / np.sqrt(abs(np.linalg.det(affine[:, :2])))),
    )


def _fit(first: LocalFeatures, second: LocalFeatures) -> tuple[Affine, int] | None:
    if min(len(first.points), len(second.points)) < _LEAST_INLIERS:
        return None
    matches = [
        (match.queryIdx, match.trainIdx)
        for match in cv2.BFMatcher(cv2.NORM_L2, crossCheck=True).match(
            first.descriptors, second.descriptors
        )
        if match.distance < _NEAR
    ]
    if len(matches) < _LEAST_INLIERS:
        return None
    here, there = np.array(matches).T
    affine, fits = cv2.estimateAffinePartial2D(
        second.points[there],
        first.points[here],
        method=cv2.RANSAC,
        ransacReprojThreshold=_PIXELS_OFF,
        maxIters=_TRIES,
        confidence=_CONFIDENCE,
    )
    if affine is None or not _plausible(affine) or int(fits.sum()) < _LEAST_INLIERS:
        return None
    return np.asarray(affine, np.float64), int(fits.sum())


def _plausible(affine: Affine) -> bool:
    large, small = np.linalg.svd(affine[:, :2], compute_uv=False)
    within = small > _SMALLEST and large < 1 / _SMALLEST
    return bool(within and large < _MOST_STRETCH * small)


def _small(image: Pixels) -> tuple[Pixels, float]:
    scale = _SIDE / max(image.shape)
    height, width = (max(8, round(side * scale)) for side in image.shape)
    return np.asarray(cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)), scale


def _uneven(image: Pixels) -> Pixels:
    """Return 255 where an image shows something, 0 in even squares of some pixels."""
    grey = image.astype(np.float32)
    mean = cv2.blur(grey, (3, 3))
    low = (cv2.blur(grey * grey, (3, 3)) - mean * mean < _EVEN_VARIANCE).astype(np.uint8)
    around = _EVEN_SQUARE
    low = np.pad(low, around, constant_values=1)
    square = np.ones((_EVEN_SQUARE, _EVEN_SQUARE), np.uint8)
    # The second step takes the edge between a frame and the picture.
    even = cv2.dilate(cv2.morphologyEx(low, cv2.MORPH_OPEN, square), np.ones((3, 3), np.uint8))
    return np.asarray(255 - 255 * even[around:-around, around:-around], np.uint8)


def _compare(
    one: Pixels, other: Pixels, shown: Pixels, other_shown: Pixels, affine: Affine
) -> tuple[float, float]:
    """Return the similarity and the overlap; nothing is cut or smoothed across a mask's edge."""
    size = (one.shape[1], one.shape[0])
    laid = np.asarray(cv2.warpAffine(other, affine, size), np.uint8)
    both = np.where(cv2.warpAffine(other_shown, affine, size) > 250, shown, np.uint8(0))
    if not both.any():
        return 0.0, 0.0
    even, contrast = _even_contrast(one, both)
    even_laid, contrast_laid = _even_contrast(laid, both)
    seen = (both > 0) & (contrast > _VISIBLE) & (contrast_laid > _VISIBLE)
    overlap = float(seen.mean())
    if overlap < _LEAST_OVERLAP:
        return 0.0, overlap
    left, right = (part[seen] - part[seen].mean() for part in (even, even_laid))
    norm = math.sqrt(float((left * left).sum()) * float((right * right).sum()))
    return float((left * right).sum()) / max(norm, 1e-9), overlap


def _even_contrast(image: Pixels, shown: Pixels) -> tuple[Floats, Floats]:
    """Subtract the local mean and divide by the local contrast; return the result and the latter.

    Both are means over the shown pixels alone, so that the edge of a frame does not count.
    """
    mask = (shown > 0).astype(np.float32)
    grey = image.astype(np.float32)
    mean = _blurred(grey * mask, _LOCAL_MEAN) / np.maximum(_blurred(mask, _LOCAL_MEAN), 1e-3)
    detail = np.asarray((grey - mean) * mask, np.float32)
    share = np.maximum(_blurred(mask, _LOCAL_CONTRAST), 1e-3)
    contrast = np.sqrt(_blurred(detail * detail, _LOCAL_CONTRAST) / share)
    return np.asarray(detail / (contrast + _FLAT), np.float32), contrast


def _refine(one: Floats, other: Floats, affine: Affine) -> Affine | None:
    """Refine the transform by all pixels; None if that leads nowhere plausible."""
    into = cv2.invertAffineTransform(affine).astype(np.float32)
    until = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, _STEPS, _STEP_CHANGE)
    try:
        _, found = cv2.findTransformECC(one, other, into, cv2.MOTION_AFFINE, until)
    except cv2.error:  # its way of saying that the steps do not converge
        return None
    back = np.asarray(found, np.float64)
    if not np.isfinite(back).all() or abs(np.linalg.det(back[:, :2])) < 1e-6:
        return None
    refined = np.asarray(cv2.invertAffineTransform(back), np.float64)
    return refined if _plausible(refined) else None


def _blurred(image: Floats, sigma: float) -> Floats:
    return np.asarray(cv2.GaussianBlur(image, (0, 0), sigma, borderType=cv2.BORDER_REFLECT))
