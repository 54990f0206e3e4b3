"""Images of a workspace's generators, each beside the training image it resembles most."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from balancer.data.index import Index
from balancer.data.io import Pixels
from balancer.errors import BalancerError, sentence_of
from balancer.quality.aligned import nearest_aligned
from balancer.synthetic.gates import load_generator_for
from balancer.workspace import Workspace
from gan.checkpoint import LoadedGenerator
from gan.sampling import BLOCK, block_of_latents, generate
from gan.transforms import to_uint8

N_DIRECTIONS = 4
MOST_IMAGES = 32


@dataclass(frozen=True, slots=True)
class Made:
    """A generated image and what it comes closest to.

    Attributes:
        title: What it is.
        pixels: uint8 (S, S).
        closest: uint8 (S, S), the training image most alike in aligned pixels.
        correlation: With that image.
        is_copy: The correlation reaches the limit of near copies.
    """

    title: str
    pixels: Pixels
    closest: Pixels
    correlation: float
    is_copy: bool


class Studio:
    """One generator, and the training images of its class.

    Args:
        loaded: The generator.
        training: uint8 (N, S, S), what it was trained on.
        near_copy: Correlation in aligned pixels from which on an image is a near copy.
    """

    def __init__(self, loaded: LoadedGenerator, training: Pixels, near_copy: float) -> None:
        self.label = loaded.metadata.class_name
        self.checkpoint = loaded.checkpoint_hash
        self.images_shown = loaded.metadata.images_shown
        self.n_training = len(training)
        self._loaded = loaded
        self._training = training
        self._near_copy = near_copy
        self._directions = main_directions(loaded)

    def make(self, first: int, count: int) -> list[Made]:
        """Images number `first` to `first + count - 1`, the very ones that `synthesize` makes."""
        seed = self._loaded.metadata.seed
        batches = list(generate(self._loaded, start=first, count=count, seed=seed))
        images = np.concatenate([images for _, images in batches])
        return self._compared(images, [f"image {first + place}" for place in range(len(images))])

    def walk(self, first: int, last: int, steps: int) -> Pixels:
        """From one image to another along a great circle: uint8 (steps, S, S)."""
        shares = np.linspace(0, 1, steps)
        return self._draw(torch.stack([self._between(first, last, share) for share in shares]))

    def at(self, first: int, last: int, share: float, amounts: Sequence[float]) -> Made:
        """One image: on the way from `first` to `last`, then moved along the main directions.

        Args:
            first: Number of an image.
            last: Number of another.
            share: 0 at the first, 1 at the last.
            amounts: Steps along the main directions, in standard deviations of a latent.
        """
        latent = self._between(first, last, share)
        latent = latent + torch.tensor(amounts, dtype=torch.float32) @ self._directions
        title = f"between images {first} and {last}, {share:.0%} of the way"
        return self._compared(self._draw(latent[None]), [title])[0]

    def _between(self, first: int, last: int, share: float) -> Tensor:
        start, end = self._latent(first), self._latent(last)
        angle = torch.arccos(torch.cosine_similarity(start, end, dim=0).clamp(-1, 1))
        if angle < 1e-4:
            return start
        return (torch.sin((1 - share) * angle) * start + torch.sin(share * angle) * end) / (
            torch.sin(angle)
        )

    def _latent(self, number: int) -> Tensor:
        """Latent of an image, float32 (latent_dim,)."""
        block, row = divmod(number, BLOCK)
        loaded = self._loaded
        return block_of_latents(loaded.config.latent_dim, loaded.metadata.seed, block)[row]

    def _draw(self, latents: Tensor) -> Pixels:
        with torch.inference_mode():
            images = to_uint8(self._loaded.generator(latents))
        return np.asarray(images.squeeze(1).numpy(), np.uint8)

    def _compared(self, images: Pixels, titles: Sequence[str]) -> list[Made]:
        found = nearest_aligned(images, self._training)
        return [
            Made(
                title=title,
                pixels=image,
                closest=np.array(self._training[row]),
                correlation=float(correlation),
                is_copy=bool(correlation >= self._near_copy),
            )
            for title, image, row, correlation in zip(
                titles, images, found.rows, found.correlations, strict=True
            )
        ]


def main_directions(loaded: LoadedGenerator, n: int = N_DIRECTIONS) -> Tensor:
    """Directions of the latent space that change the first layer most.

    They are the leading right singular vectors of its weights (SeFa, Shen and Zhou 2021,
    arXiv 2007.06600).

    Returns:
        float32 (n, latent_dim), orthonormal; the largest entry of each is positive.
    """
    weights = loaded.generator.project.weight.detach()[:, : loaded.config.latent_dim]
    # Of the small square matrix, whose eigenvectors these are.
    values, vectors = torch.linalg.eigh((weights.T @ weights).double())
    directions = vectors[:, values.argsort(descending=True)[:n]].T
    largest = directions.abs().argmax(dim=1, keepdim=True)
    signed: Tensor = directions * directions.gather(1, largest).sign()
    return signed.float()


def open_studios(
    workspace: Workspace, index: Index | None, *, near_copy: float
) -> tuple[dict[str, Studio], list[str]]:
    """Every generator of a workspace.

    Args:
        workspace: Its `gan/*/` are read.
        index: Today's; None: there is none, so that no generator can be checked.
        near_copy: See `Studio`.

    Returns:
        Class to its studio, and a sentence for each generator that cannot be used.
    """
    studios, problems = {}, []
    for label in () if index is None else index.classes:
        if not workspace.gan_dir(label).is_dir() or index is None:
            continue
        try:
            loaded = load_generator_for(label, workspace, index)
            training = index.pixels(loaded.config.image_size, "train", label)
            studios[label] = Studio(loaded, training, near_copy)
        except BalancerError as error:
            problems.append(sentence_of(error))
    return studios, problems
