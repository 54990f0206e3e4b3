"""Random streams that are functions of their key.

There is no state to save: the numbers of step 17 depend only on the seed and on 17, so a run that
was killed and resumed draws the same numbers as an uninterrupted one.
"""

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
import torch
from torch import Tensor


class Purpose(IntEnum):
    """Purpose of a stream; streams of different purposes are independent."""

    WEIGHTS = 0
    ORDER = 1
    STEP = 2
    GRID = 3
    STATISTICS = 4
    SAMPLE = 5
    WALK = 6
    SELECTION = 7


def random_stream(
    purpose: Purpose, seed: int, *key: int, device: torch.device | str = "cpu"
) -> torch.Generator:
    """Return a generator whose numbers depend only on the arguments.

    Args:
        purpose: Purpose of the numbers.
        seed: Seed for the run, at least 0.
        *key: Counters such as step and rank, each at least 0.
        device: Device of the numbers.
    """
    word = np.random.SeedSequence([purpose, seed, *key]).generate_state(1, np.uint32)[0]
    return torch.Generator(device=device).manual_seed(int(word))


@dataclass(frozen=True, slots=True)
class BatchRandom:
    """Random numbers for the images of a batch that several processes share.

    Each process draws for the whole batch and keeps the numbers of its own images, so that an image
    gets the same numbers however many processes there are.

    Attributes:
        stream: Random stream, equal in all processes.
        rank: Number of this process; its images are every `ranks`-th of the batch, from this one.
        ranks: Number of processes.
    """

    stream: torch.Generator
    rank: int = 0
    ranks: int = 1

    def normal(self, count: int, width: int) -> Tensor:
        """Draw from the standard normal: float32 (count, width), for `count` own images."""
        return self._own(
            torch.randn(count * self.ranks, width, generator=self.stream, device=self.stream.device)
        )

    def uniform(self, count: int) -> Tensor:
        """Draw one number per own image in [0, 1): float32 (count, 1, 1, 1)."""
        shape = (count * self.ranks, 1, 1, 1)
        return self._own(torch.rand(shape, generator=self.stream, device=self.stream.device))

    def integers(self, count: int, low: int, high: int) -> Tensor:
        """Draw one integer per own image in [low, high]: int64 (count, 1, 1)."""
        shape = (count * self.ranks, 1, 1)
        return self._own(
            torch.randint(low, high + 1, shape, generator=self.stream, device=self.stream.device)
        )

    def _own(self, numbers: Tensor) -> Tensor:
        return numbers[self.rank :: self.ranks]
