"""Random streams that are functions of their key.

There is no state to save: the numbers of step 17 depend only on the seed and on 17, so a run that
was killed and resumed draws the same numbers as an uninterrupted one.
"""

from enum import IntEnum

import numpy as np
import torch


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
