"""Random affine, grey-level and mirror changes of an image: the one place that uses albumentations.

Its last free version, 2.0.8, is no longer developed, and its native parts are bounded in
`pyproject.toml`. `tests/support/opencv_augmentation.py` makes the same pixels with OpenCV alone,
which the tests compare: it takes the place of this module once albumentations cannot be installed.
"""

import os
import warnings
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

# Read when albumentations is imported: without it, the import asks a server for newer versions.
os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"

import albumentations as A
import cv2

Pixels = NDArray[np.uint8]


@dataclass(frozen=True, kw_only=True)
class Augmentation:
    """Random changes of a grey image, drawn from a seed.

    Areas that move in from outside are black, like the unexposed border of a radiograph. A draw is
    a function of its seed alone, in every process.

    Attributes:
        rotation: Largest rotation in degrees, either way.
        shift: Largest shift as a share of the side.
        zoom: Largest change of scale as a share, drawn for both axes.
        warp_probability: Probability of rotation, shift and zoom.
        brightness: Largest change of brightness and of contrast as a share of the range.
        brightness_probability: Probability of that.
        horizontal_flip: Probability.
        vertical_flip: Probability.
    """

    rotation: float
    shift: float
    zoom: float
    warp_probability: float
    brightness: float
    brightness_probability: float = 1.0
    horizontal_flip: float = 0.0
    vertical_flip: float = 0.0
    _compose: A.Compose = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Build the transforms."""
        with warnings.catch_warnings():
            # Albumentations only warns of an unknown argument, and then ignores it.
            warnings.simplefilter("error", UserWarning)
            object.__setattr__(self, "_compose", A.Compose(self._transforms()))

    def __call__(self, image: Pixels, *, seed: int) -> Pixels:
        """Change an image, uint8 (H, W); the result has its shape."""
        self._compose.set_random_seed(seed)
        return np.asarray(self._compose(image=image)["image"], np.uint8)

    def with_mask(self, image: Pixels, mask: Pixels, *, seed: int) -> tuple[Pixels, Pixels]:
        """Change an image and its mask alike: both uint8 (H, W), the mask of few values."""
        self._compose.set_random_seed(seed)
        changed = self._compose(image=image, mask=mask)
        return np.asarray(changed["image"], np.uint8), np.asarray(changed["mask"], np.uint8)

    def _transforms(self) -> list[A.BasicTransform]:
        transforms: list[A.BasicTransform] = []
        if self.rotation or self.shift or self.zoom:
            transforms.append(
                A.Affine(
                    rotate=(-self.rotation, self.rotation),
                    translate_percent=(-self.shift, self.shift),
                    scale=(1 - self.zoom, 1 + self.zoom),
                    interpolation=cv2.INTER_LINEAR,
                    mask_interpolation=cv2.INTER_NEAREST,
                    border_mode=cv2.BORDER_CONSTANT,
                    fill=0,
                    fill_mask=0,
                    p=self.warp_probability,
                )
            )
        if self.brightness:
            limit = (-self.brightness, self.brightness)
            transforms.append(
                A.RandomBrightnessContrast(
                    brightness_limit=limit, contrast_limit=limit, p=self.brightness_probability
                )
            )
        if self.horizontal_flip:
            transforms.append(A.HorizontalFlip(p=self.horizontal_flip))
        if self.vertical_flip:
            transforms.append(A.VerticalFlip(p=self.vertical_flip))
        return transforms
