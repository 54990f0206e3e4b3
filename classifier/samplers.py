"""Batches with exact shares of classes, or of any other strata; for any torch `DataLoader`.

The idea is the batch re-balancing of COVID-Net (Wang 2020, 2003.09871), which draws a fixed share
of each batch from the rare class. With independent draws some images come often and others never;
here each stratum is an endless sequence of fresh permutations.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import Sampler

Integers = NDArray[np.integer]
Visit = tuple[int, int]
"""(Number of earlier uses of the image, its row)."""


class BalancedBatchSampler(Sampler[list[int]]):
    """Row numbers of batches in which every stratum has a fixed share.

    If batch_size * share is not a whole number, each batch has that number rounded down or up; the
    rounding error is carried over to the next batch, so that the shares of many batches are exact.
    No row of a stratum is repeated before all others of it have been used.

    The rows of a batch depend on the seed, the other arguments and the number of the batch alone.
    A second iteration gives the same batches; with `first` increased by `n_batches` the next epoch
    continues after this one. The rows of a batch are sorted by stratum, so every n-th row of it, as
    one of n processes would take, has the same shares.

    Example:
        >>> from classifier import BalancedBatchSampler
        >>> labels = [0, 0, 0, 0, 0, 0, 1, 1]
        >>> batches = BalancedBatchSampler(labels, batch_size=4, n_batches=3, seed=0)
        >>> [[labels[row] for row in batch] for batch in batches]
        [[0, 0, 1, 1], [0, 0, 1, 1], [0, 0, 1, 1]]

    Args:
        strata: Whole number of each row of the data set, (N,): its class, or class and origin as
            one number.
        batch_size: Number of rows per batch; at least one for each stratum.
        n_batches: Number of batches.
        shares: Share of each stratum, above 0, together 1; None: equal shares.
        seed: Seed for the permutations; not negative.
        first: Number of the first batch.

    Raises:
        ValueError: There are no strata, the shares do not match them or do not sum to 1, or the
            batch is too small.
    """

    def __init__(
        self,
        strata: Sequence[int] | Integers,
        batch_size: int,
        n_batches: int,
        shares: Mapping[int, float] | None = None,
        seed: int = 0,
        *,
        first: int = 0,
    ) -> None:
        self._strata = np.asarray(strata)
        if self._strata.ndim != 1 or self._strata.dtype.kind not in "iu" or not self._strata.size:
            raise ValueError(
                "strata should be one whole number per row but are "
                f"{self._strata.dtype} {self._strata.shape}; give one for each image."
            )
        if min(n_batches, first, seed) < 0:
            raise ValueError(
                "n_batches, first and seed should be 0 or more but are "
                f"{n_batches}, {first} and {seed}; leave out the sign."
            )
        names = [int(name) for name in np.unique(self._strata)]
        if batch_size < len(names):
            raise ValueError(
                f"A batch should have room for each of {len(names)} strata but holds "
                f"{batch_size}; make batches larger."
            )
        self._shares = _exact_shares(names, shares)
        self._batch_size, self._seed = batch_size, seed
        self._numbers = range(first, first + n_batches)

    def __len__(self) -> int:
        return len(self._numbers)

    def __iter__(self) -> Iterator[list[int]]:
        for batch in self.visits():
            yield [row for _, row in batch]

    def visits(self) -> Iterator[list[Visit]]:
        """Yield the same batches, each row with the number of its earlier uses."""
        rows = [
            _EndlessRows(np.flatnonzero(self._strata == name), self._seed, number)
            for number, name in enumerate(self._shares)
        ]
        start = [0] * len(rows)
        sizes = _batch_sizes(list(self._shares.values()), self._batch_size)
        for number in range(self._numbers.stop):
            size = next(sizes)
            if number >= self._numbers.start:
                yield [
                    visit
                    for row, begin, n in zip(rows, start, size, strict=True)
                    for visit in map(row.at, range(begin, begin + n))
                ]
            start = [begin + n for begin, n in zip(start, size, strict=True)]


class _EndlessRows:
    """Rows of one stratum, in one fresh permutation after the other."""

    def __init__(self, rows: NDArray[np.int64], seed: int, stratum: int) -> None:
        self._rows, self._seed = rows, seed
        # The first stratum is drawn like a whole table without strata.
        self._spawn_key = (1, stratum) if stratum else ()
        self._visit, self._order = -1, rows

    def at(self, position: int) -> Visit:
        """Return the row at a position of the endless sequence; fast for positions in order."""
        visit, within = divmod(position, len(self._rows))
        if visit != self._visit:
            source = np.random.SeedSequence((self._seed, visit), spawn_key=self._spawn_key)
            self._visit = visit
            self._order = self._rows[np.random.default_rng(source).permutation(len(self._rows))]
        return visit, int(self._order[within])


def _exact_shares(names: Sequence[int], shares: Mapping[int, float] | None) -> dict[int, Fraction]:
    """Return shares as fractions that sum to 1: 0.3 is three tenths, not the nearest float."""
    if shares is None:
        return dict.fromkeys(names, Fraction(1, len(names)))
    for stratum in sorted(set(shares) ^ set(names)):
        found = "has no rows" if stratum in shares else "has no share"
        raise ValueError(
            f"shares should be for the strata {names}, but stratum {stratum} {found}; "
            "name every stratum that occurs and no other."
        )
    given = [float(shares[name]) for name in names]
    if not all(0 < share <= 1 for share in given) or abs(math.fsum(given) - 1) > 1e-9:
        raise ValueError(
            f"shares should each be above 0 and sum to 1, but {given} sum to "
            f"{math.fsum(given):g}; divide each by the sum."
        )
    exact = [Fraction(share).limit_denominator(10**9) for share in given]
    return {name: share / sum(exact) for name, share in zip(names, exact, strict=True)}


def _batch_sizes(shares: Sequence[Fraction], batch_size: int) -> Iterator[list[int]]:
    """Yield the number of rows of each stratum in batch 0, 1, 2 and so on, without end.

    Each stratum has its quota rounded down; the rows left go to the strata with the greatest
    debt, an earlier stratum first. All numbers are whole, so no error accumulates.
    """
    unit = math.lcm(*(share.denominator for share in shares))
    quotas = [int(share * batch_size * unit) for share in shares]  # in 1/unit of a row
    floors, rests = [q // unit for q in quotas], [q % unit for q in quotas]
    n_left = batch_size - sum(floors)
    owed = [0] * len(shares)
    while True:
        owed = [debt + rest for debt, rest in zip(owed, rests, strict=True)]
        # A whole quota is never rounded.
        candidates = [number for number, rest in enumerate(rests) if rest]
        rounded_up = sorted(candidates, key=lambda number: -owed[number])[:n_left]
        sizes = list(floors)
        for number in rounded_up:
            owed[number] -= unit
            sizes[number] += 1
        yield sizes
