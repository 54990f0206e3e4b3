"""Images of a workspace's generators, each beside the training image most like it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from balancer.data.index import Index
from balancer.data.io import Pixels
from balancer.errors import BalancerError, sentence_of
from balancer.quality.aligned import nearest_aligned
from balancer.synthetic.dcgan import DcganSource, load_dcgan
from balancer.synthetic.latents import LatentSpace
from balancer.workspace import Workspace

MOST_IMAGES = 32


@dataclass(frozen=True, slots=True)
class Made:
    """A synthetic image and the training image most like it.

    Attributes:
        title: Caption.
        pixels: uint8 (S, S).
        closest: uint8 (S, S), the training image most alike in aligned pixels.
        correlation: Correlation with that image.
        is_copy: Whether the correlation reaches the limit of near copies.
    """

    title: str
    pixels: Pixels
    closest: Pixels
    correlation: float
    is_copy: bool


class Studio:
    """One generator, and the training images of its class.

    Args:
        label: The class.
        source: The generator.
        training: uint8 (N, S, S), its training images.
        near_copy: Correlation in aligned pixels at or above which an image is a near copy.
    """

    def __init__(self, label: str, source: DcganSource, training: Pixels, near_copy: float) -> None:
        self.label = label
        self.checkpoint = source.checkpoint
        self.images_shown = source.loaded.metadata.images_shown
        self.n_training = len(training)
        self._source = source
        self._training = training
        self._near_copy = near_copy
        self._latents = LatentSpace(source)

    def make(self, first: int, count: int) -> list[Made]:
        """Draw images number `first` to `first + count - 1`, the same as `synthesize` does."""
        images = np.concatenate([images for _, images in self._source.draw(first, count)])
        return self._compared(images, [f"image {first + place}" for place in range(len(images))])

    def walk(self, first: int, last: int, steps: int) -> Pixels:
        """Draw images from one to another along a great circle: uint8 (steps, S, S)."""
        return self._latents.path(first, last, steps)

    def at(self, first: int, last: int, share: float, amounts: Sequence[float]) -> Made:
        """Draw one image between two others, moved along the main directions.

        Args:
            first: Number of an image.
            last: Number of another.
            share: Position between them: 0 at the first, 1 at the last.
            amounts: Steps along the main directions, in standard deviations of a latent.
        """
        title = f"between images {first} and {last}, {share:.0%} of the way"
        return self._compared(self._latents.point(first, last, share, amounts), [title])[0]

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


def open_studios(
    workspace: Workspace, index: Index | None, *, near_copy: float
) -> tuple[dict[str, Studio], list[str]]:
    """Open every generator of a workspace.

    Args:
        workspace: Workspace with generators in `gan/*/`.
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
            source = load_dcgan(label, workspace, index)
            training = index.pixels(source.image_size, "train", label)
            studios[label] = Studio(label, source, training, near_copy)
        except BalancerError as error:
            problems.append(sentence_of(error))
    return studios, problems
