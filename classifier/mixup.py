"""Mixup (Zhang 2018, 1710.09412): training on weighted means of pairs of images and labels."""

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

_STREAM = (2,)  # apart from the streams of the batch order (none and 1), which have the same keys


@dataclass(frozen=True, slots=True)
class Mixup:
    """Mixes each batch with itself, one share for all of its images.

    Attributes:
        alpha: The share of the first image is drawn from Beta(alpha, alpha); above 0.
        n_classes: Width of the soft labels.
        seed: What is drawn depends on it and the step alone.
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
    """Weighted means of the rows of a batch and of their partners.

    Args:
        values: (N, ...), any dtype.
        partners: Row number of each row's partner, int64 (N,).
        share: Weight of the row itself, in [0, 1].

    Returns:
        float32 (N, ...).
    """
    whole = values.float()
    return share * whole + (1 - share) * whole[partners]
