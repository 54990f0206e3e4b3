"""Learning-rate range test (Smith 2017, 1506.01186), by Lightning's Tuner."""

import tempfile
from dataclasses import dataclass

import numpy as np
import torch
from lightning.pytorch.tuner.tuning import Tuner
from numpy.typing import NDArray
from torch import Tensor

from classifier.config import ClassifierConfig
from classifier.data import Loaders
from classifier.losses import loss_function
from classifier.models import build, model_card
from classifier.module import Batch, ClassifierModule
from classifier.phases import PlannedPhase
from classifier.tables import ArrayTable, check_table
from classifier.trainer import TrainingHardware, new_trainer, quiet
from classifier.transforms import Mixup

_BEGINNING = 5
"""Number of first steps to ignore: their running average is not yet stable."""


@dataclass(frozen=True, slots=True)
class RateSearch:
    """Losses of a short training whose learning rate grows from step to step.

    Attributes:
        rates: float64 (K,), rising by equal factors from the second on.
        losses: float64 (K,), smoothed training losses, without those that are not finite.
        suggestion: Rate at which the loss falls fastest per factor of the rate; None if it never
            falls.
    """

    rates: NDArray[np.float64]
    losses: NDArray[np.float64]
    suggestion: float | None


class _WithoutAlarm(ClassifierModule):
    """Training in which a loss that diverges is no error: it ends the search."""

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        images, labels = batch
        if self._mixup is not None:
            images, labels = self._mixup(images, labels, step=self.global_step)
        loss: Tensor = self._loss(self.network(images), labels)
        return loss

    def on_validation_epoch_end(self) -> None:
        self._outputs.clear()


def find_learning_rate(
    config: ClassifierConfig,
    train: ArrayTable,
    *,
    n_classes: int,
    seed: int,
    hardware: TrainingHardware = TrainingHardware(),  # noqa: B008 - frozen
    n_steps: int = 100,
    lowest: float = 1e-7,
    greatest: float = 1.0,
) -> RateSearch:
    """Train all layers for a few steps with rates from low to high, and record the loss.

    Args:
        config: The recipe; its own rates are not used.
        train: Training images.
        n_classes: Number of class names.
        seed: Seed for initial weights, order and transforms.
        hardware: Device and precision.
        n_steps: Largest number of optimizer steps; a loss of four times the lowest one ends the
            search.
        lowest: First rate.
        greatest: Last rate.

    Raises:
        ValueError: The table is empty, or the model cannot be built (`ModelError`).
    """
    check_table(train, n_classes, "training")
    loss = loss_function(config, np.bincount(train.labels, minlength=n_classes))
    with torch.random.fork_rng(devices=range(torch.cuda.device_count())), quiet():
        torch.manual_seed(seed)
        config = config.with_sizes(model_card(config.model).input_size)
        network = build(config, n_classes, channels=train.channels)
        side = network.preprocessing.input_size
        phases = (PlannedPhase(0, n_steps, side, 1.0, config.learning_rate),)
        loaders = Loaders(
            config,
            train,
            train,
            n_classes=n_classes,
            phases=phases,
            steps_per_epoch=n_steps,
            seed=seed,
        )
        module = _WithoutAlarm(
            network,
            config,
            phases=phases,
            steps_per_epoch=n_steps,
            loss=loss,
            mixup=Mixup(config.mixup_alpha, n_classes, seed) if config.mixup_alpha else None,
        )
        with tempfile.TemporaryDirectory() as folder:
            trainer = new_trainer(hardware, n_steps, limit_val_batches=0, default_root_dir=folder)
            found = Tuner(trainer).lr_find(
                module,
                datamodule=loaders,
                min_lr=lowest,
                max_lr=greatest,
                num_training=n_steps,
                update_attr=False,
            )
    if found is None:
        raise ValueError("Lightning gave no result of the learning-rate search.")
    rates = np.asarray(found.results["lr"], np.float64)
    losses = np.asarray(found.results["loss"], np.float64)
    finite = np.isfinite(losses)
    finite[:_BEGINNING] = False
    return RateSearch(rates[finite], losses[finite], steepest(rates[finite], losses[finite]))


def steepest(rates: NDArray[np.float64], losses: NDArray[np.float64]) -> float | None:
    """Return the rate at which the loss falls fastest over the logarithm of the rate.

    Lightning's own suggestion uses the slope over the rate itself, where noise at the first, tiny
    rates dominates.

    Args:
        rates: float64 (K,), rising.
        losses: float64 (K,), smoothed here by a running mean of five.

    Returns:
        None for fewer than ten losses, or if the loss never falls.
    """
    if len(losses) < 2 * _BEGINNING:
        return None
    smooth = np.convolve(np.pad(losses, 2, mode="edge"), np.full(5, 0.2), mode="valid")
    slopes = np.gradient(smooth, np.log(rates))[:-1]
    steepest_at = int(np.argmin(slopes))
    return float(rates[steepest_at]) if slopes[steepest_at] < 0 else None
