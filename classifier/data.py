"""From image tables to batches: order, transforms and loaders of a training run."""

from collections.abc import Iterator

import lightning as L
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from classifier.config import ClassifierConfig
from classifier.tables import ImageTable, resize
from classifier.transforms import TrainTransform

Sample = tuple[Tensor, int]
Visit = tuple[int, int]
"""(how often the image has been shown before, its row)."""


class TrainSet(Dataset[Sample]):
    """Training images after transforms; item (visit, index) is uint8 (1, S, S) and a label."""

    def __init__(self, table: ImageTable, config: ClassifierConfig, seed: int) -> None:
        self._table = table
        self._side = config.input_size
        self._transform = TrainTransform(config.augment, seed)

    def __len__(self) -> int:
        return len(self._table)

    def __getitem__(self, key: Visit) -> Sample:
        visit, index = key
        image, label = self._table[index]
        image = self._transform(resize(image, self._side), visit=visit, index=index)
        return torch.from_numpy(image)[None], label


class EvaluationSet(Dataset[Sample]):
    """Images as they are, resized only; item i is uint8 (1, S, S) and a label."""

    def __init__(self, table: ImageTable, input_size: int) -> None:
        self._table = table
        self._side = input_size

    def __len__(self) -> int:
        return len(self._table)

    def __getitem__(self, index: int) -> Sample:
        image, label = self._table[index]
        # A copy: torch will not wrap the read-only pages of a memory map.
        return torch.from_numpy(resize(image, self._side).copy())[None], label


class BatchOrder(Sampler[list[Visit]]):
    """Batches of optimizer steps `first` to `last` (exclusive) of a run.

    The run reads one endless row of fresh permutations of the images in full batches, so its number
    of steps does not hang on the number of images. Which images a step sees depends on the seed
    and the step alone.
    """

    def __init__(
        self,
        n_images: int,
        batch_size: int,
        *,
        first: int,
        last: int,
        seed: int,
        rank: int = 0,
        n_ranks: int = 1,
    ) -> None:
        self._n_images, self._batch_size, self._seed = n_images, batch_size, seed
        self._steps = range(first, last)
        self._share = slice(rank, None, n_ranks)

    def __len__(self) -> int:
        return len(self._steps)

    def __iter__(self) -> Iterator[list[Visit]]:
        visit, order = -1, np.empty(0, np.int64)
        for step in self._steps:
            batch: list[Visit] = []
            for place in range(step * self._batch_size, (step + 1) * self._batch_size):
                if place // self._n_images != visit:
                    visit = place // self._n_images
                    order = np.random.default_rng((self._seed, visit)).permutation(self._n_images)
                batch.append((visit, int(order[place % self._n_images])))
            yield batch[self._share]


class Loaders(L.LightningDataModule):
    """Loaders of one run; each epoch of Lightning gets its own steps of the order."""

    def __init__(
        self,
        config: ClassifierConfig,
        train: ImageTable,
        val: ImageTable,
        *,
        n_steps: int,
        steps_per_epoch: int,
        seed: int,
    ) -> None:
        super().__init__()
        self._train_set = TrainSet(train, config, seed)
        self._val_set = EvaluationSet(val, config.input_size)
        self._num_workers = config.num_workers
        self._n_steps, self._steps_per_epoch, self._seed = n_steps, steps_per_epoch, seed
        self.batch_size = min(config.batch_size, len(train))

    def train_dataloader(self) -> DataLoader[Sample]:
        """Batches of the current epoch: uint8 (N, 1, S, S) and int64 (N,)."""
        trainer = self.trainer
        if trainer is None:
            raise RuntimeError("Loaders belong to a Trainer; pass them to Trainer.fit.")
        first = trainer.current_epoch * self._steps_per_epoch
        order = BatchOrder(
            len(self._train_set),
            self.batch_size,
            first=first,
            last=min(first + self._steps_per_epoch, self._n_steps),
            seed=self._seed,
            rank=trainer.global_rank,
            n_ranks=trainer.world_size,
        )
        # Its own generator: workers must not move the global one, which dropout draws from.
        return DataLoader(
            self._train_set,
            batch_sampler=order,
            num_workers=self._num_workers,
            generator=torch.Generator(),
        )

    def val_dataloader(self) -> DataLoader[Sample]:
        """Validation images in order; every rank reads all of them, for they are few."""
        return evaluation_loader(self._val_set)


def evaluation_loader(images: EvaluationSet) -> DataLoader[Sample]:
    """Batches of untransformed images in order: uint8 (N, 1, S, S) and int64 (N,)."""
    return DataLoader(images, batch_size=64, generator=torch.Generator())
