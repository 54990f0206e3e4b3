"""Random changes of training images: transforms of each image, and mixup of each batch.

Both depend on the seed and the position in the training alone, not on the number of workers.
"""

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from classifier.augmentation import Augmentation
from classifier.config import AugmentConfig
from classifier.tables import Image

_STREAM = (2,)  # apart from the streams of the batch order (none and 1), which have the same keys


class TrainTransform:
    """Affine, brightness and mirror changes of an image, drawn from (seed, visit, index).

    The draw is a function of the image's position in the training alone. It does not depend on the
    class or on real and synthetic, so the black border reveals neither, unless a recipe transforms
    one class alone.

    Args:
        config: Ranges and probabilities.
        seed: Seed for the draws.
    """

    def __init__(self, config: AugmentConfig, seed: int) -> None:
        self._augment = Augmentation(
            rotation=config.rotation_degrees,
            shift=config.shift,
            zoom=config.zoom,
            warp_probability=config.warp_probability,
            brightness=config.brightness,
            horizontal_flip=config.horizontal_flip,
            vertical_flip=config.vertical_flip,
        )
        self._seed = seed

    def __call__(self, image: Image, *, visit: int, index: int) -> Image:
        """Transform one image.

        Args:
            image: uint8 (S, S) or (S, S, 3).
            visit: Number of times that the training has used this image before.
            index: Row of the image in the table.

        Returns:
            uint8 of the same shape.
        """
        state = np.random.SeedSequence((self._seed, visit, index)).generate_state(1)
        return self._augment(image, seed=int(state[0]))


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
            images: uint8 (N, C, S, S).
            labels: int64 (N,).
            step: Number of the optimizer step.

        Returns:
            Images float32 (N, C, S, S) in [0, 255] and soft labels float32 (N, n_classes).
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
