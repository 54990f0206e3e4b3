"""A moving average of the weights, which is what is validated and kept."""

from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import WeightAveraging
from torch import Tensor


class MovingAverage(WeightAveraging):
    """Exponential moving average of weights and batch statistics (Polyak averaging).

    Its memory grows with the run: after n averaged steps the past weighs (1 + n) / (10 + n), until
    that exceeds what the half-life allows, so that a short run is not an average of its start.

    Lightning's own callback gives the current weights back before the module sees the end of the
    validation; here they come back after it, so that what was validated can be kept.

    Args:
        half_life: Optimizer steps after which past weights weigh half.
    """

    def __init__(self, half_life: float) -> None:
        longest = 0.5 ** (1 / half_life)

        def average(averaged: Tensor, current: Tensor, n_averaged: Tensor | int) -> Tensor:
            n = float(n_averaged)
            return torch.lerp(
                averaged.float(), current.float(), 1 - min(longest, (1 + n) / (10 + n))
            )

        super().__init__(avg_fn=average)

    def on_validation_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Keep the averaged weights in place until the module has seen them."""

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Give the current weights back."""
        super().on_validation_epoch_end(trainer, pl_module)


def averaging(half_life: float) -> list[Any]:
    """The callback, or none for a half-life of 0."""
    return [MovingAverage(half_life)] if half_life else []
