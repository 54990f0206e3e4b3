"""Random streams that are functions of their key.

Nothing here has a state to save: what step 17 draws depends on the seed and on 17 alone, so a run
that was killed and resumed draws what an uninterrupted one draws.
"""

from enum import IntEnum

import numpy as np
import torch


class Purpose(IntEnum):
    """What a stream is for; streams of different purposes are independent."""

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
    """A generator whose draws depend on the arguments alone.

    Args:
        purpose: Separates the uses of one seed.
        seed: The run's seed, at least 0.
        *key: Counters such as step and rank, each at least 0.
        device: Where the numbers are drawn.
    """
    word = np.random.SeedSequence([purpose, seed, *key]).generate_state(1, np.uint32)[0]
    return torch.Generator(device=device).manual_seed(int(word))
