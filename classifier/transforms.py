"""Random transforms of training images, the same for a seed whatever the number of workers."""

import os
import warnings

import numpy as np

# Read when albumentations is imported: without it, the import asks a server for newer versions.
os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"

import albumentations as A
import cv2

from classifier.config import AugmentConfig
from classifier.tables import Image


class TrainTransform:
    """Affine, grey-level and mirror changes of a grey image, drawn from (seed, visit, index).

    Albumentations keeps one generator per process, so its workers would all draw alike and repeat
    themselves each epoch. Seeding before every image makes the draw a function of the image's place
    in the run alone.

    What moves in from outside is black, as the unexposed border of a radiograph is. The draw knows
    nothing of the class or of real and synthetic, so the border tells nothing either, unless a
    recipe asks for transforms of one class alone.
    """

    def __init__(self, config: AugmentConfig, seed: int) -> None:
        self._compose = A.Compose(_transforms(config))
        self._seed = seed

    def __call__(self, image: Image, *, visit: int, index: int) -> Image:
        """Transform one image.

        Args:
            image: uint8 (S, S).
            visit: How many times the run has shown this image before.
            index: Its row in the table.

        Returns:
            uint8 (S, S).
        """
        state = np.random.SeedSequence((self._seed, visit, index)).generate_state(1)
        self._compose.set_random_seed(int(state[0]))
        return np.asarray(self._compose(image=image)["image"], np.uint8)


def _transforms(config: AugmentConfig) -> list[A.BasicTransform]:
    with warnings.catch_warnings():
        # Albumentations only warns of an argument that it does not know, and then ignores it.
        warnings.simplefilter("error", UserWarning)
        transforms: list[A.BasicTransform] = []
        if config.rotation_degrees or config.shift or config.zoom:
            transforms.append(
                A.Affine(
                    rotate=(-config.rotation_degrees, config.rotation_degrees),
                    translate_percent=(-config.shift, config.shift),
                    scale=(1 - config.zoom, 1 + config.zoom),
                    interpolation=cv2.INTER_LINEAR,
                    border_mode=cv2.BORDER_CONSTANT,
                    fill=0,
                    p=config.warp_probability,
                )
            )
        if config.brightness:
            limit = (-config.brightness, config.brightness)
            transforms.append(
                A.RandomBrightnessContrast(brightness_limit=limit, contrast_limit=limit, p=1.0)
            )
        if config.horizontal_flip:
            transforms.append(A.HorizontalFlip(p=config.horizontal_flip))
        if config.vertical_flip:
            transforms.append(A.VerticalFlip(p=config.vertical_flip))
        return transforms
