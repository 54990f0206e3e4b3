"""Nearest images by their pixels, regardless of shift, flip and brightness.

All chest radiographs share their large shapes, and noise has no shape at all, so the band between
the two is compared: the difference of two Gaussian blurs.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from balancer.imaging.pixels import luma

Images = NDArray[np.uint8]
Floats = NDArray[np.float32]

FINE_SIDE, COARSE_SIDE = 64, 32
REACH = 3 / 32
"""Largest shift, as a share of the side."""
FINE_SIGMA, COARSE_SIGMA = 1 / 64, 4 / 64
"""Standard deviations of the two blurs, as shares of the side."""
_CHUNK = 512


@dataclass(frozen=True, slots=True)
class NearestImages:
    """The most similar reference of each image.

    Attributes:
        rows: int64 (N,), positions among the references.
        correlations: float32 (N,), correlations of the best alignment, at most 1.
    """

    rows: NDArray[np.int64]
    correlations: Floats


def nearest_aligned(images: Images, references: Images, *, same_set: bool = False) -> NearestImages:
    """Find the reference most like each image, at the best shift and flip.

    The search runs at 32 px; the correlation with the reference found is computed at 64 px.

    Args:
        images: uint8 (N, S, S) or (N, S, S, 3), of which the brightness is compared.
        references: The same, M images, M >= 1; M >= 2 for the same set.
        same_set: True if both are the same images; no image is then its own neighbour.
    """
    fine, fine_references = _band(luma(images)), _band(luma(references))
    coarse, coarse_references = _shrink(fine), _shrink(fine_references)
    rows = np.empty(len(images), np.int64)
    for start in range(0, len(images), _CHUNK):
        chunk = slice(start, start + _CHUNK)
        similar = _best_correlations(coarse[chunk], coarse_references)
        if same_set:
            own = np.arange(start, start + len(similar))
            similar[np.arange(len(similar)), own] = -np.inf
        rows[chunk] = similar.argmax(axis=1)
    return NearestImages(rows, _refined(fine, coarse, fine_references[rows]))


def _refined(fine: Floats, coarse: Floats, found: Floats) -> Floats:
    """Compute the correlations with the references found, each in its best view at 32 px."""
    by_view = [_best_pairwise(coarse, _shrink(view)) for view in _views(found)]
    best = np.argmax(by_view, axis=0)
    chosen = found.copy()
    for number, view in enumerate(_views(found)):
        chosen[best == number] = view[best == number]
    return _best_pairwise(fine, chosen)


def _band(images: Images) -> Floats:
    """Keep the middle frequencies: float32 (N, F, F) with F = min(S, 64)."""
    side = min(images.shape[1], FINE_SIDE)
    bands = np.empty((len(images), side, side), np.float32)
    for row, image in enumerate(images):
        pixels = image.astype(np.float32)
        if len(image) != side:
            pixels = cv2.resize(pixels, (side, side), interpolation=cv2.INTER_AREA)
        fine, coarse = (
            cv2.GaussianBlur(pixels, (0, 0), sigma * side) for sigma in (FINE_SIGMA, COARSE_SIGMA)
        )
        bands[row] = fine - coarse
    return bands


def _shrink(bands: Floats) -> Floats:
    side = min(bands.shape[1], COARSE_SIDE)
    return np.stack(
        [cv2.resize(band, (side, side), interpolation=cv2.INTER_AREA) for band in bands]
    )


def _best_correlations(images: Floats, references: Floats) -> Floats:
    """Find the largest correlation over all views and shifts, float32 (N, M)."""
    centre, *_ = _windows(images, reach=0, margin=_reach(images))
    best = np.full((len(images), len(references)), -1, np.float32)
    for view in _views(references):
        for window in _windows(view, reach=_reach(view), margin=_reach(view)):
            np.maximum(best, centre @ window.T, out=best)
    return best


def _best_pairwise(images: Floats, references: Floats) -> Floats:
    """Find the largest correlation of image i with reference i over all shifts, float32 (N,)."""
    centre, *_ = _windows(images, reach=0, margin=_reach(images))
    best = np.full(len(images), -1, np.float32)
    for window in _windows(references, reach=_reach(references), margin=_reach(references)):
        np.maximum(best, np.einsum("ij,ij->i", centre, window), out=best)
    return best


def _views(bands: Floats) -> Iterator[Floats]:
    """Yield them unchanged, mirrored, upside down, and both."""
    mirrored = bands[:, :, ::-1]
    yield from (bands, mirrored, bands[:, ::-1], mirrored[:, ::-1])


def _windows(bands: Floats, *, reach: int, margin: int) -> Iterator[Floats]:
    """Yield windows of side S - 2 margin, shifted by up to `reach`, of mean 0 and norm 1, flat."""
    side = bands.shape[1] - 2 * margin
    shifts = range(margin - reach, margin + reach + 1)
    for top in shifts:
        for left in shifts:
            window = bands[:, top : top + side, left : left + side].reshape(len(bands), -1)
            window = window - window.mean(axis=1, keepdims=True)
            norms = np.linalg.norm(window, axis=1, keepdims=True)
            # A flat image correlates with nothing.
            yield np.divide(window, norms, out=np.zeros_like(window), where=norms > 1e-6)


def _reach(bands: Floats) -> int:
    return round(int(bands.shape[1]) * REACH)
