"""Costs of training on this machine, measured in a few steps."""

import contextlib
import logging
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import classifier
from balancer.config import BalancerConfig
from balancer.resources import training_hardware
from balancer.synthetic.dcgan import training_seconds_per_image
from balancer.team import together
from classifier.tables import ArrayTable

_STEPS = (2, 8)


@dataclass(frozen=True, slots=True)
class Rates:
    """Costs on this machine, with the threads of this process.

    Attributes:
        step: Seconds of one optimizer step of the classifier.
        gan_image: Seconds of one image shown to the GAN.
    """

    step: float
    gan_image: float


def measure_rates(config: BalancerConfig) -> Rates:
    """Train both networks for a few steps, on noise."""
    with _quiet(), tempfile.TemporaryDirectory() as folder:
        short, long = (_classifier_seconds(config, steps, Path(folder)) for steps in _STEPS)
        step = max(1e-4, (long - short) / (_STEPS[1] - _STEPS[0]))
        return Rates(step, training_seconds_per_image(config))


def _classifier_seconds(config: BalancerConfig, steps: int, folder: Path) -> float:
    side = config.classifier_image_size
    rng = np.random.default_rng(0)
    size = config.classifier.batch_size * 2
    table = ArrayTable.of(
        rng.integers(0, 256, (size, side, side), dtype=np.uint8),
        np.arange(size, dtype=np.int64) % 2,
    )
    alone = {"head_epochs": 0, "phases": (), "patience": 0, "calibration": "none"}
    recipe = config.classifier.model_copy(update=alone)
    few = ArrayTable.of(table.sources[0][:4], table.labels[:4])
    return together(
        classifier.train,
        table,
        few,
        recipe,
        class_names=["a", "b"],
        n_steps=steps,
        steps_per_epoch=steps,
        seed=0,
        out_dir=folder / str(steps),
        hardware=training_hardware(config.hardware),
    ).seconds


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    loggers = [logging.getLogger(name) for name in ("gan", "classifier")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
