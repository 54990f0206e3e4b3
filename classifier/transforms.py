"""Random changes of training images: transforms of each image, and mixup of each batch.

Both depend on the seed and the position in the training alone, not on the number of workers.
"""

import os
import warnings
from dataclasses import dataclass

import numpy as np

# Read when albumentations is imported: without it, the import asks a server for newer versions.
os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"

import albumentations as A
import cv2
import torch
import torch.nn.functional as F
from torch import Tensor

from classifier.config import AugmentConfig
from classifier.tables import Image

_STREAM = (2,)  # apart from the streams of the batch order (none and 1), which have the same keys


class TrainTransform:
    """Affine, grey-level and mirror changes of a grey image, drawn from (seed, visit, index).

    Albumentations keeps one generator per process, so its workers would all draw alike and repeat
    themselves each epoch. Seeding before every image makes the draw a function of the image's
    position in the training alone.

    Pixels from outside the image are black, like the unexposed border of a radiograph. The draw
    does not depend on the class or on real and synthetic, so the border reveals neither, unless a
    recipe transforms one class alone.

    Args:
        config: Ranges and probabilities.
        seed: Seed for the draws.
    """

    def __init__(self, config: AugmentConfig, seed: int) -> None:
        self._compose = A.Compose(_transforms(config))
        self._seed = seed

    def __call__(self, image: Image, *, visit: int, index: int) -> Image:
        """Transform one image.

        Args:
            image: uint8 (S, S).
            visit: Number of times that the training has used this image before.
            index: Row of the image in the table.

        Returns:
            uint8 (S, S).
        """
        state = np.random.SeedSequence((self._seed, visit, index)).generate_state(1)
        self._compose.set_random_seed(int(state[0]))
        return np.asarray(self._compose(image=image)["image"], np.uint8)


@dataclass(frozen=True, slots=True)
class Mixup:
    """Mixup (Zhang 2018, 1710.09412) of a batch with itself, one share for all of its images.

    Attributes:
        alpha: Parameter of Beta(alpha, alpha), the distribution of the share; above 0.
        n_classes: Width of the soft labels.
        seed: Seed for the draws.
    """

    alpha: float
    n_classes: int
    seed: int

    def __call__(self, images: Tensor, labels: Tensor, *, step: int) -> tuple[Tensor, Tensor]:
        """Mix a batch.

        Args:
            images: uint8 (N, 1, S, S).
            labels: int64 (N,).
            step: Number of the optimizer step.

        Returns:
            Images float32 (N, 1, S, S) in [0, 255] and soft labels float32 (N, n_classes).
        """
        source = np.random.SeedSequence((self.seed, step), spawn_key=_STREAM)
        rng = np.random.default_rng(source)
        share = float(rng.beta(self.alpha, self.alpha))
        partners = torch.from_numpy(rng.permutation(len(images))).to(images.device)
        soft = F.one_hot(labels, self.n_classes)
        return mix(images, partners, share), mix(soft, partners, share)


def mix(values: Tensor, partners: Tensor, share: float) -> Tensor:
    """Return weighted means of the rows of a batch and of their partners.

    Args:
        values: (N, ...), any dtype.
        partners: Row number of each row's partner, int64 (N,).
        share: Weight of the row itself, in [0, 1].

    Returns:
        float32 (N, ...).
    """
    whole = values.float()
    return share * whole + (1 - share) * whole[partners]


def _transforms(config: AugmentConfig) -> list[A.BasicTransform]:
    with warnings.catch_warnings():
        # Albumentations only warns of an unknown argument, and then ignores it.
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
