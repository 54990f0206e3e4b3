"""Local features of an image (SIFT), by which a turned, zoomed or framed copy is recognised.

The thumbnails of `balancer.data.film.fingerprint` are compared as a whole and so only in the four
flips; corners and blobs keep their surroundings however the picture is turned or cut.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from balancer.data.film.fingerprint import Floats
from balancer.data.io import Pixels

SIDE = 192
"""Long side in pixels at which features are found."""
_MOST = 200
_CONTRAST, _EDGE = 0.01, 15
"""Least contrast of a feature, and most elongation; the soft shadows of a film need mild limits."""
_CLIP, _TILES = 3.0, (4, 4)
_SCALE = 510.0
"""Factor by which descriptors of length 1 become bytes."""
_LENGTH = 128


def _mirrored_order() -> NDArray[np.intp]:
    """Order of the 4 x 4 histograms of 8 directions in the descriptor of a mirrored image."""
    bins = np.arange(_LENGTH).reshape(4, 4, 8)
    return bins[::-1][:, :, -np.arange(8) % 8].reshape(-1)


_MIRRORED = _mirrored_order()


@dataclass(frozen=True, slots=True)
class LocalFeatures:
    """Features of an image, and the image at the size at which they were found.

    Attributes:
        image: uint8 (H, W), the long side `SIDE`.
        points: Places x, y of K features, float32 (K, 2).
        descriptors: Surroundings of each, uint8 (K, 128); their roots are compared (RootSIFT,
            Arandjelovic and Zisserman 2012).
    """

    image: Pixels
    points: Floats
    descriptors: Pixels

    def mirrored(self) -> "LocalFeatures":
        """Return the features of the image mirrored left to right, without a new search."""
        points = self.points.copy()
        points[:, 0] = self.image.shape[1] - 1 - points[:, 0]
        return LocalFeatures(
            np.ascontiguousarray(self.image[:, ::-1]),
            points,
            np.ascontiguousarray(self.descriptors[:, _MIRRORED]),
        )


def local_features(pixels: Pixels) -> LocalFeatures:
    """Find the features of an image.

    Args:
        pixels: uint8 (H, W).

    Returns:
        At most 200 features, the strongest; an even image has none.
    """
    image = _shrunk(pixels)
    even = cv2.createCLAHE(_CLIP, _TILES).apply(image)  # the exposure then matters little
    found, descriptors = cv2.SIFT.create(
        nfeatures=_MOST, contrastThreshold=_CONTRAST, edgeThreshold=_EDGE
    ).detectAndCompute(even, None)
    if descriptors is None:
        return LocalFeatures(image, np.zeros((0, 2), np.float32), np.zeros((0, _LENGTH), np.uint8))
    points = np.array([point.pt for point in found[:_MOST]], np.float32)
    share = descriptors[:_MOST] / np.maximum(descriptors[:_MOST].sum(axis=1, keepdims=True), 1e-6)
    scaled = np.clip(np.round(np.sqrt(share) * _SCALE), 0, 255).astype(np.uint8)
    return LocalFeatures(image, points, scaled)


def descriptor_distance(of_unit_length: float) -> float:
    """Return a distance of descriptors of length 1 in the units of `LocalFeatures.descriptors`."""
    return of_unit_length * _SCALE


def _shrunk(pixels: Pixels) -> Pixels:
    height, width = pixels.shape
    scale = SIDE / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(pixels, size, interpolation=how), np.uint8)
