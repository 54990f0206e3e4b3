"""Find lung fields of frontal films without training, and judge how far to trust them.

Dark regions are searched on either side of the spine at several thresholds, the one most like a
lung is taken, and its outline is replaced by a smooth closed path. Nothing is learnt, so that it
works on any set; it fails on dense opacities, children and rotated films, where `quality` is low.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from balancer.imaging.lungs.candidates import (
    SIDE,
    Ground,
    largest_part,
    measure_shape,
    open_share,
    prepare_ground,
    rough_lung,
)
from balancer.imaging.lungs.contour import refine_lungs
from balancer.imaging.pixels import Pixels

NO_LUNGS = "no lungs"
ONE_LUNG = "one lung"
BORDER = "touches the border"
AREA = "implausible area"
UNEQUAL = "unequal lungs"
HEIGHTS = "lungs at different heights"
FAINT = "faint outline"
RAGGED = "ragged outline"
FLAGS = (NO_LUNGS, ONE_LUNG, BORDER, AREA, UNEQUAL, HEIGHTS, FAINT, RAGGED)
"""All values of `LungField.flags`."""

DOUBTFUL = 0.5
"""Quality below which a mask should be checked."""

_MIDDLE, _WIDTH, _OPEN = 0.35, 0.15, 2.0
"""Score of a lung that gets the quality 0.5, how fast quality rises around it, and how much an open
outline takes from a score. Set by eye, on contact sheets of films of three public sets."""
_SMALLEST, _LARGEST = 0.10, 0.48
"""Smallest and largest area of both lungs of a chest film, as shares of the film."""
_ONE_LUNG_QUALITY = 0.2
_SPECK = 0.005


@dataclass(frozen=True, slots=True)
class LungField:
    """The lungs of a film.

    Attributes:
        mask: bool (H, W), true in the lungs, without heart and mediastinum.
        quality: In [0, 1]; below `DOUBTFUL` the mask should be checked, 0 where it is empty.
        flags: Oddities of the mask, of `FLAGS`.
    """

    mask: NDArray[np.bool_]
    quality: float
    flags: tuple[str, ...]


def segment_lungs(pixels: Pixels) -> LungField:
    """Find the lungs of a frontal chest film.

    Args:
        pixels: uint8 (H, W), bones bright, upright.

    Returns:
        The mask at the film's resolution, with its quality. The same film gives the same mask.

    Raises:
        ValueError: The pixels are not uint8 (H, W).
    """
    if pixels.dtype != np.uint8 or pixels.ndim != 2 or not pixels.size:
        raise ValueError(f"a film should be uint8 (H, W), not {pixels.dtype} {pixels.shape}")
    ground = prepare_ground(pixels)
    rough = [(side, rough_lung(ground, side)) for side in (-1, 1)]
    found = [(side, region) for side, region in rough if region is not None]
    regions = refine_lungs(found, ground)
    field = np.zeros((SIDE, SIDE), np.uint8)
    for region in regions:
        field |= region
    height, width = pixels.shape
    soft = cv2.GaussianBlur(field.astype(np.float32), (0, 0), 0.7)
    mask = cv2.resize(soft, (width, height), interpolation=cv2.INTER_LINEAR) >= 0.5
    if not mask.any():
        return LungField(np.zeros_like(mask), 0.0, (NO_LUNGS,))
    return LungField(mask, *_judged(regions, ground))


def dice(one: NDArray[np.bool_], other: NDArray[np.bool_]) -> float:
    """Return the Dice coefficient of two masks, 2 |A and B| / (|A| + |B|); 1 if both are empty.

    Dice, L. R. (1945), Measures of the amount of ecologic association between species.
    """
    total = int(one.sum()) + int(other.sum())
    return 2 * int((one & other).sum()) / total if total else 1.0


def judge_mask(pixels: Pixels, mask: NDArray[np.bool_]) -> tuple[float, tuple[str, ...]]:
    """Judge the mask of another method, such as a network, as `segment_lungs` judges its own.

    Args:
        pixels: uint8 (H, W).
        mask: bool (H, W).

    Returns:
        Quality in [0, 1], and flags.
    """
    ground = prepare_ground(pixels)
    small = cv2.resize(mask.astype(np.float32), (SIDE, SIDE), interpolation=cv2.INTER_AREA) >= 0.5
    regions = []
    for side in (-1, 1):
        half = (small & ground.half(side)).astype(np.uint8)
        region = largest_part(half)
        if region.mean() >= _SPECK:
            regions.append(region)
    return _judged(regions, ground)


def _judged(regions: Sequence[Pixels], ground: Ground) -> tuple[float, tuple[str, ...]]:
    if not regions:
        return 0.0, (NO_LUNGS,)
    shapes = [measure_shape(region, ground) for region in regions]
    opened = [open_share(region, ground) for region in regions]
    score = min(shape.score - _OPEN * share for shape, share in zip(shapes, opened, strict=True))
    quality = float(1 / (1 + np.exp((_MIDDLE - score) / _WIDTH)))
    flags: list[str] = []
    area = sum(shape.area for shape in shapes)
    if len(shapes) < 2:
        flags.append(ONE_LUNG)
        quality = min(quality, _ONE_LUNG_QUALITY)
    else:
        small, large = sorted(shape.area for shape in shapes)
        if small < 0.45 * large:
            flags.append(UNEQUAL)
            quality *= 0.6
        if _overlap(*regions) < 0.55:
            flags.append(HEIGHTS)
            quality *= 0.6
    if not _SMALLEST < area < _LARGEST:
        flags.append(AREA)
        quality *= 0.6
    if any(shape.touching > 0.04 for shape in shapes):
        flags.append(BORDER)
    if any(shape.contrast < 0.3 for shape in shapes) or max(opened) > 0.1:
        flags.append(FAINT)
    if any(shape.solidity < 0.75 for shape in shapes):
        flags.append(RAGGED)
    ordered = tuple(flag for flag in FLAGS if flag in flags)
    return round(quality, 3), ordered


def _overlap(left: Pixels, right: Pixels) -> float:
    """Return the rows that both lungs reach, as a share of those that either reaches."""
    one, other = left.any(axis=1), right.any(axis=1)
    return float((one & other).sum() / max(int((one | other).sum()), 1))
