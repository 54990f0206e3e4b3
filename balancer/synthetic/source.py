"""The interface of a source of synthetic images; the rest of the program uses nothing else."""

from collections.abc import Generator
from contextlib import closing
from typing import Protocol

import numpy as np
import torch

from balancer.data.io import Pixels, resize_square
from balancer.synthetic.records import ClassLineage

Batches = Generator[tuple[int, Pixels], None, None]
"""Number of the first image of a batch, and the batch: uint8 (B, S, S)."""


class SyntheticSource(Protocol):
    """Numbered synthetic images of one class; image n is the same whenever it is drawn.

    A new kind of source is a file with this protocol and an entry in
    `balancer.synthetic.catalog.SOURCES`. Whoever opens a source checks that it may be used with
    today's training split.
    """

    @property
    def name(self) -> str:
        """Kind of source, such as `dcgan`; the column `source` of the manifest."""

    @property
    def image_size(self) -> int:
        """Side of its images in pixels."""

    @property
    def fingerprint(self) -> str:
        """SHA-256, hex, of all that decides its images."""

    @property
    def checkpoint(self) -> str | None:
        """SHA-256, hex, of the weights; image `number` can be drawn again from them.

        None where there are none: the manifest then has neither seed nor checkpoint.
        """

    @property
    def lineage(self) -> ClassLineage:
        """Origin of its images, and the real images that it was made from."""

    def draw(self, start: int, count: int, device: torch.device | str = "cpu") -> Batches:
        """Draw images number `start` to `start + count - 1`, in this order.

        Args:
            start: Number of the first image, at least 0.
            count: Number of images.
            device: Device that draws, for sources that compute their images.

        Raises:
            DataError: The source holds fewer images.
        """


def draw_resized(source: SyntheticSource, count: int, size: int) -> Pixels:
    """Draw the first images of a source at another size: uint8 (count, size, size)."""
    with closing(source.draw(0, count)) as batches:
        images = [image for _, batch in batches for image in batch]
    return np.stack([resize_square(image, size) for image in images])
