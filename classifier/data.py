"""From image tables to batches: order, transforms and loaders of a training run."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import lightning as L
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from classifier.config import ClassifierConfig
from classifier.samplers import BalancedBatchSampler, Visit
from classifier.tables import Image, ImageTable, resize
from classifier.transforms import TrainTransform

Sample = tuple[Tensor, int]


@dataclass(frozen=True, slots=True)
class Pretraining:
    """A first phase of a training run, on other images.

    Attributes:
        table: What it reads.
        share: Its share of the optimizer steps, at least 0 and below 1.

    Raises:
        ValueError: The share is not within these limits.
    """

    table: ImageTable
    share: float

    def __post_init__(self) -> None:
        if not 0 <= self.share < 1:
            raise ValueError(
                f"Pretraining should have a share of the steps from 0 to below 1, not {self.share};"
                " leave some for the training itself."
            )

    def n_steps(self, total: int) -> int:
        """Steps of the phase: the share, rounded.

        Raises:
            ValueError: None would be left for the training itself.
        """
        steps = round(self.share * total)
        if steps >= total:
            raise ValueError(
                f"Pretraining for {self.share:g} of {total} steps leaves none for the training "
                "itself; give it a smaller share."
            )
        return steps


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

    The run reads one endless row of fresh permutations of the images in full batches, or one such
    row per stratum, each with the same share of every batch. So its number of steps does not hang
    on the number of images. Which images a step sees depends on the seed and the step alone.

    Args:
        n_images: Rows of the table.
        batch_size: Images per step, all ranks together.
        first: Number of the first step.
        last: Number after that of the last step.
        seed: Of the permutations.
        strata: A number per row, int64 (n_images,); None: one stratum.
        offset: Added to all row numbers.
        rank: Number of this process.
        n_ranks: Number of processes; they share each batch.
    """

    def __init__(
        self,
        n_images: int,
        batch_size: int,
        *,
        first: int,
        last: int,
        seed: int,
        strata: NDArray[np.int64] | None = None,
        offset: int = 0,
        rank: int = 0,
        n_ranks: int = 1,
    ) -> None:
        strata = np.zeros(n_images, np.int64) if strata is None else strata
        self._batches = BalancedBatchSampler(
            strata, batch_size, last - first, seed=seed, first=first
        )
        self._offset = offset
        self._share = slice(rank, None, n_ranks)

    def __len__(self) -> int:
        return len(self._batches)

    def __iter__(self) -> Iterator[list[Visit]]:
        for batch in self._batches.visits():
            yield [(visit, row + self._offset) for visit, row in batch[self._share]]


class _OneAfterTheOther(Sampler[list[Visit]]):
    """Batches of several orders."""

    def __init__(self, *orders: BatchOrder) -> None:
        self._orders = orders

    def __len__(self) -> int:
        return sum(map(len, self._orders))

    def __iter__(self) -> Iterator[list[Visit]]:
        return itertools.chain.from_iterable(self._orders)


class _Joined:
    """The rows of one `ImageTable`, then those of another."""

    def __init__(self, first: ImageTable, second: ImageTable) -> None:
        self._first, self._second = first, second
        self.labels: NDArray[np.int64] = np.concatenate([first.labels, second.labels])

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int, /) -> tuple[Image, int]:
        n_first = len(self._first)
        return self._first[index] if index < n_first else self._second[index - n_first]


class Loaders(L.LightningDataModule):
    """Loaders of one run; each epoch of Lightning gets its own steps of the order.

    Attributes:
        batch_size: Images per step in both phases, no more than the training table has.
        pretraining_steps: First steps, which read the table of the pretraining.
    """

    def __init__(
        self,
        config: ClassifierConfig,
        train: ImageTable,
        val: ImageTable,
        *,
        n_steps: int,
        steps_per_epoch: int,
        seed: int,
        pretrain: Pretraining | None = None,
    ) -> None:
        super().__init__()
        self._tables = [train] if pretrain is None else [train, pretrain.table]
        # Training images come first: their transforms are then drawn as without a pretraining.
        whole = train if pretrain is None else _Joined(train, pretrain.table)
        self._train_set = TrainSet(whole, config, seed)
        self._val_set = EvaluationSet(val, config.input_size)
        self._num_workers = config.num_workers
        self._balanced = config.batches == "balanced"
        self._n_steps, self._steps_per_epoch, self._seed = n_steps, steps_per_epoch, seed
        self.batch_size = min(config.batch_size, len(train))
        self.pretraining_steps = 0 if pretrain is None else pretrain.n_steps(n_steps)
        self._order(0, n_steps)  # refuses batches that are too small before anything is trained

    def train_dataloader(self) -> DataLoader[Sample]:
        """Batches of the current epoch: uint8 (N, 1, S, S) and int64 (N,)."""
        trainer = self.trainer
        if trainer is None:
            raise RuntimeError("Loaders belong to a Trainer; pass them to Trainer.fit.")
        first = trainer.current_epoch * self._steps_per_epoch
        last = min(first + self._steps_per_epoch, self._n_steps)
        order = self._order(first, last, rank=trainer.global_rank, n_ranks=trainer.world_size)
        # Its own generator: workers must not move the global one, which dropout draws from.
        return DataLoader(
            self._train_set,
            batch_sampler=order,
            num_workers=self._num_workers,
            generator=torch.Generator(),
        )

    def _order(
        self, first: int, last: int, *, rank: int = 0, n_ranks: int = 1
    ) -> _OneAfterTheOther:
        """Steps `first` to `last` of the run; each phase counts its own from 0."""
        cut = self.pretraining_steps
        phases = [(max(first - cut, 0), max(last - cut, 0)), (min(first, cut), min(last, cut))]
        orders = [
            BatchOrder(
                len(table),
                self.batch_size,
                first=begin,
                last=end,
                seed=self._seed,
                strata=table.labels if self._balanced else None,
                offset=0 if number == 0 else len(self._tables[0]),
                rank=rank,
                n_ranks=n_ranks,
            )
            for number, (table, (begin, end)) in enumerate(zip(self._tables, phases, strict=False))
        ]
        return _OneAfterTheOther(*reversed(orders))

    def val_dataloader(self) -> DataLoader[Sample]:
        """Validation images in order; every rank reads all of them, for they are few."""
        return evaluation_loader(self._val_set)


def evaluation_loader(images: EvaluationSet) -> DataLoader[Sample]:
    """Batches of untransformed images in order: uint8 (N, 1, S, S) and int64 (N,)."""
    return DataLoader(images, batch_size=64, generator=torch.Generator())
