"""Endless sequence of training images; each step takes the next batch."""

from collections.abc import Iterator, Sequence

import torch
from lightning.pytorch import LightningDataModule
from torch import Tensor

from gan.randomness import Purpose, random_stream


class ImageStream(LightningDataModule):
    """Epochs in random order, cut into full batches that may span two epochs.

    Position p of the sequence is image order(p // n)[p % n], so the position is the sampler's
    whole state. Companions are the last images of each batch, and have their own sequence.

    Several processes share each batch: image i is that of process i % ranks, so that all see equal
    shares of both.

    Args:
        images: uint8 (n, C, S, S).
        seed: Seed for the orders.
        batch_size: Number of images per step, all ranks together, at most n.
        start: First position, the number of images shown so far.
        stop: Position that the last step reaches.
        companions: uint8 (m, C, S, S), images of another class.
        n_companions: Number of companions per batch.
    """

    def __init__(
        self,
        images: Tensor,
        *,
        seed: int,
        batch_size: int,
        start: int,
        stop: int,
        companions: Tensor | None = None,
        n_companions: int = 0,
    ) -> None:
        super().__init__()
        self.images = images
        self.seed = seed
        self.batch_size = batch_size
        self.start = start
        self.stop = stop
        self.companions = companions
        self.n_companions = n_companions

    def train_dataloader(self) -> "_Batches":
        """Return the batches of this rank."""
        if self.trainer is None:
            return _Batches(self, rank=0, ranks=1)
        return _Batches(self, rank=self.trainer.global_rank, ranks=self.trainer.world_size)

    def batch(self, position: int) -> Tensor:
        """Return the `batch_size` images of all ranks from a position: uint8 (B, C, S, S)."""
        if self.companions is None:
            return self._take(self.images, position, self.batch_size)
        step, own = position // self.batch_size, self.batch_size - self.n_companions
        return torch.cat(
            (
                self._take(self.images, step * own, own),
                self._take(self.companions, step * self.n_companions, self.n_companions),
            )
        )

    def _take(self, images: Tensor, position: int, count: int) -> Tensor:
        n = len(images)
        epochs = range(position // n, (position + count - 1) // n + 1)
        orders = torch.cat([self._order(epoch, n) for epoch in epochs])
        first = position - epochs[0] * n
        return images[orders[first : first + count]]

    def _order(self, epoch: int, n: int) -> Tensor:
        random = random_stream(Purpose.ORDER, self.seed, epoch)
        return torch.randperm(n, generator=random)


class ClassStream(ImageStream):
    """The same of several classes in turn: position p is of class p % K, the p // K-th of its own.

    Each class has its own sequence of epochs, so that all are shown equally often.

    Args:
        images: uint8 (n, C, S, S) for each of K classes.
        seed: Seed for the orders.
        batch_size: Number of images per step, all ranks together.
        start: First position, the number of images shown so far.
        stop: Position that the last step reaches.
    """

    def __init__(
        self, images: Sequence[Tensor], *, seed: int, batch_size: int, start: int, stop: int
    ) -> None:
        super().__init__(images[0], seed=seed, batch_size=batch_size, start=start, stop=stop)
        self.classes = tuple(images)

    def batch(self, position: int) -> Tensor:
        """Return the `batch_size` images of all ranks from a position: uint8 (B, C, S, S)."""
        k = len(self.classes)
        labels = classes_in_turn(position, self.batch_size, k)
        batch = self.images.new_empty(self.batch_size, *self.images.shape[1:])
        for number, images in enumerate(self.classes):
            rows = (labels == number).nonzero().flatten()
            if len(rows):
                first = (position + int(rows[0])) // k
                batch[rows] = self._take(images, first, len(rows))
        return batch


def classes_in_turn(position: int, count: int, classes: int) -> Tensor:
    """Return the class of each image from a position on: int64 (count,)."""
    return torch.arange(position, position + count) % classes


class _Batches:
    """Batches of one rank; not a DataLoader, because the images are in memory."""

    def __init__(self, stream: ImageStream, *, rank: int, ranks: int) -> None:
        self._stream = stream
        self._own = slice(rank, None, ranks)

    def __len__(self) -> int:
        return max(0, -(-(self._stream.stop - self._stream.start) // self._stream.batch_size))

    def __iter__(self) -> Iterator[Tensor]:
        for step in range(len(self)):
            position = self._stream.start + step * self._stream.batch_size
            yield self._stream.batch(position)[self._own]
