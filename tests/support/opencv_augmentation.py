"""`classifier.augmentation` with OpenCV alone: the same draws, and so the same pixels."""

import random
from dataclasses import dataclass

import cv2
import numpy as np

from classifier.augmentation import Pixels


@dataclass(frozen=True, kw_only=True)
class OpenCVAugmentation:
    """See `classifier.augmentation.Augmentation`; every change draws from the seed afresh."""

    rotation: float
    shift: float
    zoom: float
    warp_probability: float
    brightness: float
    brightness_probability: float = 1.0
    horizontal_flip: float = 0.0
    vertical_flip: float = 0.0

    def __call__(self, image: Pixels, *, seed: int) -> Pixels:
        return self.with_mask(image, image, seed=seed)[0]

    def with_mask(self, image: Pixels, mask: Pixels, *, seed: int) -> tuple[Pixels, Pixels]:
        if self.rotation or self.shift or self.zoom:
            draw = random.Random(seed)
            if _happens(draw, self.warp_probability):
                matrix = self._matrix(image.shape, draw)
                image = _warped(image, matrix, cv2.INTER_LINEAR)
                mask = _warped(mask, matrix, cv2.INTER_NEAREST)
        draw = random.Random(seed)
        if self.brightness and _happens(draw, self.brightness_probability):
            factor = 1 + draw.uniform(-self.brightness, self.brightness)
            offset = 255 * draw.uniform(-self.brightness, self.brightness)
            levels = np.arange(256, dtype=np.float32) * np.float32(factor) + np.float32(offset)
            image = cv2.LUT(image, np.clip(levels, 0, 255).astype(np.uint8))
        if _happens(random.Random(seed), self.horizontal_flip):
            image, mask = cv2.flip(image, 1), cv2.flip(mask, 1)
        if _happens(random.Random(seed), self.vertical_flip):
            image, mask = cv2.flip(image, 0), cv2.flip(mask, 0)
        return image, mask

    def _matrix(self, shape: tuple[int, ...], draw: random.Random) -> np.ndarray:
        """Scale and rotate about the centre, then shift by whole pixels: float64 (2, 3)."""
        height, width = shape
        across, down = (
            int(draw.uniform(-self.shift, self.shift) * side) for side in (width, height)
        )
        for _ in ("x", "y"):  # shear, which is off, takes its draws
            draw.uniform(0, 0)
        wide, high = (draw.uniform(1 - self.zoom, 1 + self.zoom) for _ in ("x", "y"))
        angle = np.deg2rad(draw.uniform(-self.rotation, self.rotation) % 360)
        x, y = width / 2 - 0.5, height / 2 - 0.5
        cos, sin = np.cos(angle), np.sin(angle)
        to_centre = np.array([[1, 0, -x], [0, 1, -y], [0, 0, 1]])
        scaled = np.array([[wide, 0, 0], [0, high, 0], [0, 0, 1]])
        turned = np.array([[cos, sin, 0], [-sin, cos, 0], [0, 0, 1]])
        shifted = np.array([[1, 0, across], [0, 1, down], [0, 0, 1]])
        back = np.array([[1, 0, x], [0, 1, y], [0, 0, 1]])
        return (back @ shifted @ turned @ scaled @ to_centre)[:2]


def _happens(draw: random.Random, probability: float) -> bool:
    """Draw once, unless the answer is certain."""
    return probability >= 1 or (probability > 0 and draw.random() < probability)


def _warped(image: Pixels, matrix: np.ndarray, interpolation: int) -> Pixels:
    if np.allclose(matrix, np.eye(3)[:2]):
        return image
    size = (image.shape[1], image.shape[0])
    return cv2.warpAffine(
        image, matrix, size, flags=interpolation, borderMode=cv2.BORDER_CONSTANT, borderValue=0
    )
