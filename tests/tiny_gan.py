"""A recipe and images small enough for tests."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from gan.config import GANConfig
from gan.train import FitResult, fit

PROVENANCE = {"class_name": "covid", "index_hash": "abc", "training_ids": ["01", "02"]}


def recipe(**changes: Any) -> GANConfig:
    values: dict[str, Any] = {
        "image_size": 32,
        "latent_dim": 8,
        "generator_filters": 4,
        "discriminator_filters": 4,
        "batch_size": 8,
        "images_shown": 96,
        "grid_every": 48,
        "checkpoint_every": 40,
    }
    return GANConfig(**(values | changes))


def noise(n: int = 20, side: int = 32) -> Tensor:
    random = torch.Generator().manual_seed(1)
    return torch.randint(0, 256, (n, 1, side, side), dtype=torch.uint8, generator=random)


def train(out_dir: Path, *, images: Tensor | None = None, **changes: Any) -> FitResult:
    options = {"accelerator": "cpu"} | changes.pop("trainer_options", {})
    seed = changes.pop("seed", 3)
    provenance = changes.pop("provenance", PROVENANCE)
    return fit(
        recipe(**changes),
        noise() if images is None else images,
        out_dir=out_dir,
        seed=seed,
        provenance=provenance,
        trainer_options=options,
    )
