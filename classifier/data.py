"""From image tables to batches: order, transforms and loaders of a training."""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import lightning as L
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from classifier.config import ClassifierConfig
from classifier.losses import batch_shares
from classifier.phases import PlannedPhase, phase_at
from classifier.samplers import BalancedBatchSampler, Visit
from classifier.tables import ArrayTable, planes, prepare
from classifier.transforms import TrainTransform

Sample = tuple[Tensor, int]


@dataclass(frozen=True, slots=True)
class Pretraining:
    """First part of a training, on other images.

    Example:
        >>> import numpy as np
        >>> from classifier import ArrayTable, Pretraining
        >>> noise = np.random.default_rng(0).integers(0, 256, (6, 32, 32), dtype=np.uint8)
        >>> Pretraining(ArrayTable.of(noise, [0, 1] * 3), share=0.5).n_steps(40)
        20

    Attributes:
        table: Images that these steps read.
        share: Share of the optimizer steps, at least 0 and below 1.

    Raises:
        ValueError: The share is outside this range.
    """

    table: ArrayTable
    share: float

    def __post_init__(self) -> None:
        if not 0 <= self.share < 1:
            raise ValueError(
                f"Pretraining should have a share of the steps from 0 to below 1, not {self.share};"
                " leave some for the training itself."
            )

    def n_steps(self, total: int) -> int:
        """Return the number of steps: the share of `total`, rounded.

        Raises:
            ValueError: No step is left for the training itself.
        """
        steps = round(self.share * total)
        if steps >= total:
            raise ValueError(
                f"Pretraining for {self.share:g} of {total} steps leaves none for the training "
                "itself; give it a smaller share."
            )
        return steps


class TrainSet(Dataset[Sample]):
    """Training images after transforms; item (visit, index) is uint8 (C, S, S) and a label.

    Args:
        table: The images.
        config: The recipe; its `contrast` and `augment` are used.
        seed: Seed for the transforms.
        side: S.
        transformed: Class numbers whose images are transformed; None: all.
    """

    def __init__(
        self,
        table: ArrayTable,
        config: ClassifierConfig,
        seed: int,
        *,
        side: int,
        transformed: frozenset[int] | None = None,
    ) -> None:
        self._table, self._side, self._contrast = table, side, config.contrast
        self._transform = TrainTransform(config.augment, seed)
        self._transformed = transformed

    def __len__(self) -> int:
        return len(self._table)

    def __getitem__(self, key: Visit) -> Sample:
        visit, index = key
        stored, label = self._table[index]
        image = prepare(stored, self._side, self._contrast)
        if self._transformed is None or label in self._transformed:
            image = self._transform(image, visit=visit, index=index)
        return torch.from_numpy(planes(image)), label


class EvaluationSet(Dataset[Sample]):
    """Images without random transforms; item i is uint8 (C, S, S) and a label.

    Args:
        table: The images.
        side: S.
        contrast: Contrast of the recipe: `none` or `clahe`.
    """

    def __init__(self, table: ArrayTable, side: int, contrast: str) -> None:
        self._table, self._side, self._contrast = table, side, contrast

    def __len__(self) -> int:
        return len(self._table)

    def __getitem__(self, index: int) -> Sample:
        image, label = self._table[index]
        return torch.from_numpy(planes(prepare(image, self._side, self._contrast))), label


class BatchOrder(Sampler[list[Visit]]):
    """Batches of optimizer steps `first` to `last` (exclusive) of a training.

    The training reads an endless sequence of fresh permutations of the images in full batches, or
    one such sequence per stratum, each with a fixed share of every batch. So the number of steps
    does not depend on the number of images. The images of a step depend on the seed and the step
    alone.

    Args:
        n_images: Number of rows of the table.
        batch_size: Number of images per step, all ranks together.
        first: Number of the first step.
        last: Number of the last step, plus 1.
        seed: Seed for the permutations.
        strata: Stratum of each row, int64 (n_images,); None: one stratum.
        shares: Share of each stratum in every batch; None: equal shares.
        offset: Number added to all row numbers.
        rank: Number of this process.
        n_ranks: Number of processes; each batch is divided among them.
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
        shares: Mapping[int, float] | None = None,
        offset: int = 0,
        rank: int = 0,
        n_ranks: int = 1,
    ) -> None:
        strata = np.zeros(n_images, np.int64) if strata is None else strata
        self._batches = BalancedBatchSampler(
            strata, batch_size, last - first, shares, seed, first=first
        )
        self._offset = offset
        self._share = slice(rank, None, n_ranks)

    def __len__(self) -> int:
        return len(self._batches)

    def __iter__(self) -> Iterator[list[Visit]]:
        for batch in self._batches.visits():
            yield [(visit, row + self._offset) for visit, row in batch[self._share]]


class _Chain(Sampler[list[Visit]]):
    """Batches of several orders, one order after the other."""

    def __init__(self, *orders: BatchOrder) -> None:
        self._orders = orders

    def __len__(self) -> int:
        return sum(map(len, self._orders))

    def __iter__(self) -> Iterator[list[Visit]]:
        return itertools.chain.from_iterable(self._orders)


class Loaders(L.LightningDataModule):
    """Loaders of one training; each epoch of Lightning gets its own steps of the order.

    Args:
        config: The recipe.
        train: Training images.
        val: Validation images.
        n_classes: Number of class names.
        phases: Phases that together are the training.
        steps_per_epoch: Number of steps between two validations.
        seed: Seed for order and transforms.
        pretrain: Images that the first steps read instead of `train`.
        rarest: Number of the rare class; None: the class with the fewest images in `train`.

    Attributes:
        batch_size: Number of images per step, at most that of the training table.
        pretraining_steps: Number of first steps, which read the table of the pretraining.
    """

    def __init__(
        self,
        config: ClassifierConfig,
        train: ArrayTable,
        val: ArrayTable,
        *,
        n_classes: int,
        phases: Sequence[PlannedPhase],
        steps_per_epoch: int,
        seed: int,
        pretrain: Pretraining | None = None,
        rarest: int | None = None,
    ) -> None:
        super().__init__()
        self._tables = [train] if pretrain is None else [train, pretrain.table]
        # Training images come first, so that their transforms are the same without a pretraining.
        self._whole = train if pretrain is None else ArrayTable.join(train, pretrain.table)
        self._val = val
        self._config, self._n_classes = config, n_classes
        self._phases, self._n_steps = phases, phases[-1].last
        self._steps_per_epoch, self._seed = steps_per_epoch, seed
        counts = np.bincount(train.labels, minlength=n_classes)
        present = np.where(counts > 0, counts, len(train.labels) + 1)
        self._rarest = int(np.argmin(present)) if rarest is None else rarest
        only = frozenset([self._rarest])
        self._transformed = only if config.augment.classes == "rare" else None
        self.batch_size = min(config.batch_size, len(train))
        self.pretraining_steps = 0 if pretrain is None else pretrain.n_steps(self._n_steps)
        self._order(0, self._n_steps)  # refuse batches that are too small before any training

    def check_ranks(self, n_ranks: int) -> None:
        """Refuse a number of processes that cannot have equal shares of a batch.

        Raises:
            ValueError: The batch size is no multiple of it.
        """
        if self.batch_size % n_ranks:
            raise ValueError(
                f"The {self.batch_size} images of a batch should be divided evenly among "
                f"{n_ranks} devices, but cannot be; set classifier.batch_size to a multiple of "
                f"{n_ranks}, or use fewer devices."
            )

    def train_dataloader(self) -> DataLoader[Sample]:
        """Return batches of the current epoch: uint8 (N, C, S, S) and int64 (N,)."""
        trainer = self.trainer
        if trainer is None:
            raise RuntimeError("Loaders belong to a Trainer; pass them to Trainer.fit.")
        first = trainer.current_epoch * self._steps_per_epoch
        last = min(first + self._steps_per_epoch, self._n_steps)
        order = self._order(first, last, rank=trainer.global_rank, n_ranks=trainer.world_size)
        images = TrainSet(
            self._whole,
            self._config,
            self._seed,
            side=phase_at(self._phases, first).input_size,
            transformed=self._transformed,
        )
        # Its own generator: workers must not change the global one, which dropout draws from.
        return DataLoader(
            images,
            batch_sampler=order,
            num_workers=self._config.num_workers,
            generator=torch.Generator(),
        )

    def _order(self, first: int, last: int, *, rank: int = 0, n_ranks: int = 1) -> _Chain:
        """Return steps `first` to `last`; pretraining and training each count theirs from 0."""
        cut = self.pretraining_steps
        phases = [(max(first - cut, 0), max(last - cut, 0)), (min(first, cut), min(last, cut))]
        orders = [
            BatchOrder(
                len(table),
                self.batch_size,
                first=begin,
                last=end,
                seed=self._seed,
                strata=None if self._config.batches == "natural" else table.labels,
                shares=batch_shares(
                    self._config,
                    np.bincount(table.labels, minlength=self._n_classes),
                    rarest=self._rarest,
                ),
                offset=0 if number == 0 else len(self._tables[0]),
                rank=rank,
                n_ranks=n_ranks,
            )
            for number, (table, (begin, end)) in enumerate(zip(self._tables, phases, strict=False))
        ]
        return _Chain(*reversed(orders))

    def val_dataloader(self) -> DataLoader[Sample]:
        """Return validation images in order; every rank reads all of them, because they are few.

        They have the size of the images that the epoch trained on.
        """
        step = 0 if self.trainer is None else max(self.trainer.global_step - 1, 0)
        side = phase_at(self._phases, step).input_size
        return evaluation_loader(EvaluationSet(self._val, side, self._config.contrast))


def evaluation_loader(images: EvaluationSet) -> DataLoader[Sample]:
    """Return batches of untransformed images in order: uint8 (N, C, S, S) and int64 (N,)."""
    return DataLoader(images, batch_size=64, generator=torch.Generator())
