"""The latent space of a DCGAN: images between two others, and directions that change an image."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from balancer.data.io import Pixels
from balancer.synthetic.dcgan import DcganSource
from gan.sampling import BLOCK, block_of_latents
from gan.transforms import to_pictures, to_uint8

N_DIRECTIONS = 4


class LatentSpace:
    """The latents of a source's images, and paths between them.

    Args:
        source: The generator.
    """

    def __init__(self, source: DcganSource) -> None:
        self._loaded = source.loaded
        self.directions = main_directions(source)

    def path(self, first: int, last: int, steps: int) -> Pixels:
        """Draw images from number `first` to `last`, along a great circle: uint8 (steps, S, S)."""
        shares = np.linspace(0, 1, steps)
        return self._draw(torch.stack([self._between(first, last, share) for share in shares]))

    def point(self, first: int, last: int, share: float, amounts: Sequence[float]) -> Pixels:
        """Draw one image of such a path, moved along the main directions: uint8 (1, S, S).

        Args:
            first: Number of the image at share 0.
            last: Number of the image at share 1.
            share: Position between them.
            amounts: Steps along the main directions, in standard deviations of a latent.
        """
        latent = self._between(first, last, share)
        latent = latent + torch.tensor(amounts, dtype=torch.float32) @ self.directions
        return self._draw(latent[None])

    def _between(self, first: int, last: int, share: float) -> Tensor:
        start, end = self._latent(first), self._latent(last)
        angle = torch.arccos(torch.cosine_similarity(start, end, dim=0).clamp(-1, 1))
        if angle < 1e-4:
            return start
        return (torch.sin((1 - share) * angle) * start + torch.sin(share * angle) * end) / (
            torch.sin(angle)
        )

    def _latent(self, number: int) -> Tensor:
        """Return the latent of an image, float32 (latent_dim,)."""
        block, row = divmod(number, BLOCK)
        loaded = self._loaded
        return block_of_latents(loaded.config.latent_dim, loaded.metadata.seed, block)[row]

    def _draw(self, latents: Tensor) -> Pixels:
        with torch.inference_mode():
            images = to_uint8(self._loaded.generator(latents))
        return to_pictures(images)


def main_directions(source: DcganSource, n: int = N_DIRECTIONS) -> Tensor:
    """Find the directions of the latent space that change the first layer most.

    They are the leading right singular vectors of its weights (SeFa, Shen and Zhou 2021,
    arXiv 2007.06600).

    Returns:
        float32 (n, latent_dim), orthonormal; the largest entry of each is positive.
    """
    loaded = source.loaded
    weights = loaded.generator.project.weight.detach()[:, : loaded.config.latent_dim]
    # Of the small square matrix, whose eigenvectors these are.
    values, vectors = torch.linalg.eigh((weights.T @ weights).double())
    directions = vectors[:, values.argsort(descending=True)[:n]].T
    largest = directions.abs().argmax(dim=1, keepdim=True)
    signed: Tensor = directions * directions.gather(1, largest).sign()
    return signed.float()
