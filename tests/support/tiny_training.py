"""A training of seconds, for the tests of the classifier's training."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

import classifier
from classifier.config import ClassifierConfig
from classifier.module import ClassifierModule
from classifier.tables import ArrayTable
from classifier.trainer import TrainingHardware
from classifier.training import ClassifierResult

CPU = TrainingHardware("cpu")
TINY = ClassifierConfig(
    model="bam-cnn",
    input_size=16,
    batch_size=8,
    learning_rate=3e-3,
    ema_half_life=0,
    keep="best",
    views=("plain",),
    calibration="none",
)


def table(n: int, seed: int) -> ArrayTable:
    """Class 1 is bright on the left, class 0 on the right."""
    rng = np.random.default_rng(seed)
    labels = np.arange(n, dtype=np.int64) % 2
    images = rng.integers(0, 120, (n, 16, 16), dtype=np.uint8)
    for image, label in zip(images, labels, strict=True):
        image[:, :8] += np.uint8(60 * label)
        image[:, 8:] += np.uint8(60 * (1 - label))
    return ArrayTable.of(images, labels)


def train(out: Path, config: ClassifierConfig = TINY, **changes: Any) -> ClassifierResult:
    options: dict[str, Any] = {
        "class_names": ["right", "left"],
        "n_steps": 6,
        "steps_per_epoch": 3,
        "seed": 0,
        "out_dir": out,
        "hardware": CPU,
        "provenance": {"split": "abc"},
    }
    tables = {"train": table(20, 1), "val": table(10, 2)}
    tables = {name: changes.pop(name, value) for name, value in tables.items()}
    return classifier.train(tables["train"], tables["val"], config, **{**options, **changes})


def weights(result: ClassifierResult) -> dict[str, torch.Tensor]:
    stored = load_file(result.checkpoint / "classifier.safetensors")
    return {name.removeprefix("0."): value for name, value in stored.items()}


def skewed(n: int = 20) -> ArrayTable:
    """Three images of class 0 for one of class 1."""
    return ArrayTable.of(
        table(n, 1).sources[0], (np.arange(n, dtype=np.int64) % 4 == 3).astype(np.int64)
    )


def spied_batches(monkeypatch: pytest.MonkeyPatch) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Every batch that a training is given from here on."""
    batches: list[tuple[torch.Tensor, torch.Tensor]] = []
    original = ClassifierModule.training_step

    def spy(self: ClassifierModule, batch: Any, batch_idx: int) -> torch.Tensor:
        batches.append(batch)
        return original(self, batch, batch_idx)

    monkeypatch.setattr(ClassifierModule, "training_step", spy)
    return batches
