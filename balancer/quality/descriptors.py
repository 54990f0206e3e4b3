"""Descriptors of images that need no network: edge directions, and pixel statistics."""

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from balancer.imaging.pixels import luma

Images = NDArray[np.uint8]
Floats = NDArray[np.float32]

_SIDE, _CELLS, _BINS = 64, 8, 9
_BORDER = 1 / 16

STATISTICS = (
    "mean", "standard deviation", "1st percentile", "median", "99th percentile", "black share",
    "white share", "sharpness", "gradient", "border mean", "border deviation", "corner mean",
)  # fmt: skip


def edge_histograms(images: Images) -> Floats:
    """Compute histograms of oriented gradients (Dalal and Triggs 2005), at 64 px.

    8 x 8 cells, 9 unsigned directions with linear votes, blocks of 2 x 2 cells of norm 1:
    insensitive to brightness and contrast, and independent of any training.

    Args:
        images: uint8 (N, S, S).

    Returns:
        float32 (N, 1764), of norm at most 42: 1 per number, as a kernel over d expects.
    """
    return np.stack([_edge_histogram(image) for image in luma(images)])


def trivial_statistics(images: Images) -> NDArray[np.float64]:
    """Compute statistics that could give a generated image away, regardless of anatomy.

    Args:
        images: uint8 (N, S, S).

    Returns:
        float64 (N, 12), columns as named in `STATISTICS`.
    """
    return np.array([_statistics(image) for image in luma(images)], np.float64)


def _edge_histogram(image: NDArray[np.uint8]) -> Floats:
    pixels: NDArray[Any] = image.astype(np.float32)
    if len(image) != _SIDE:
        way = cv2.INTER_AREA if len(image) > _SIDE else cv2.INTER_LINEAR
        pixels = cv2.resize(pixels, (_SIDE, _SIDE), interpolation=way)
    right, down = (cv2.Sobel(pixels, cv2.CV_32F, dx, 1 - dx) for dx in (1, 0))
    place = np.arctan2(down, right) % np.pi / np.pi * _BINS
    lower = np.floor(place)
    vote = np.hypot(right, down)
    cells = np.empty((_CELLS, _CELLS, _BINS), np.float32)
    for direction in range(_BINS):
        share = np.where(lower % _BINS == direction, 1 - (place - lower), 0)
        share += np.where((lower + 1) % _BINS == direction, place - lower, 0)
        votes = (vote * share).astype(np.float32)
        cells[..., direction] = cv2.resize(votes, (_CELLS, _CELLS), interpolation=cv2.INTER_AREA)
    blocks = np.concatenate((cells[:-1, :-1], cells[1:, :-1], cells[:-1, 1:], cells[1:, 1:]), -1)
    blocks /= np.linalg.norm(blocks, axis=-1, keepdims=True) + 1e-6
    flat: Floats = blocks.ravel() * np.sqrt(_BINS * 4, dtype=np.float32)
    return flat


def _statistics(image: NDArray[np.uint8]) -> list[float]:
    pixels = image.astype(np.float32)
    width = max(1, round(len(image) * _BORDER))
    inside = np.zeros(image.shape, bool)
    inside[width:-width, width:-width] = True
    border = pixels[~inside]
    corners = pixels[[0, 0, -1, -1], [0, -1, 0, -1]]
    gradient = np.hypot(*(cv2.Sobel(pixels, cv2.CV_32F, dx, 1 - dx) for dx in (1, 0)))
    sharpness = np.log1p(cv2.Laplacian(pixels, cv2.CV_32F).var())
    return [
        pixels.mean(), pixels.std(), *np.quantile(pixels, (0.01, 0.5, 0.99)),
        (image == 0).mean(), (image == 255).mean(), sharpness, gradient.mean(),
        border.mean(), border.std(), corners.mean(),
    ]  # fmt: skip
