"""A recipe and images small enough for tests."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

import gan

PROVENANCE = gan.Provenance(class_name="covid", index_hash="abc", training_ids=("01", "02"))


def recipe(**changes: Any) -> gan.GANConfig:
    values: dict[str, Any] = {
        "image_size": 32,
        "latent_dim": 8,
        "generator_filters": 4,
        "discriminator_filters": 4,
        "batch_size": 8,
        "companion_share": 0,
        "evaluate_every": 24,
        "evaluation_images": 16,
        "images_shown": 96,
        "grid_every": 48,
        "checkpoint_every": 40,
    }
    return gan.GANConfig(**(values | changes))


def noise(n: int = 20, side: int = 32) -> Tensor:
    random = torch.Generator().manual_seed(1)
    return torch.randint(0, 256, (n, 1, side, side), dtype=torch.uint8, generator=random)


def train(out_dir: Path, *, images: Tensor | None = None, **changes: Any) -> gan.GANResult:
    options = {"accelerator": "cpu"} | changes.pop("trainer_options", {})
    seed = changes.pop("seed", 3)
    provenance = changes.pop("provenance", PROVENANCE)
    extra = {key: changes.pop(key) for key in ("validation", "companions") if key in changes}
    return gan.train(
        noise() if images is None else images,
        recipe(**changes),
        out_dir=out_dir,
        seed=seed,
        provenance=provenance,
        trainer_options=gan.GANTrainerOptions(**options),
        **extra,
    )


@dataclass(frozen=True)
class ListedScores:
    """Scorer that returns the listed KIDs in turn, also across resumed trainings."""

    kids: tuple[float, ...]
    diversities: tuple[float, ...] = ()
    seen: list[int] = field(default_factory=list)

    def __call__(self, images: NDArray[Any], /) -> gan.SnapshotScores:
        assert images.shape == (16, 32, 32)
        turn = len(self.seen)
        self.seen.append(turn)
        diversity = self.diversities[turn] if self.diversities else 1.0
        return gan.SnapshotScores(kid=self.kids[turn], diversity=diversity, closer_to_training=0.5)


def watched(*kids: float, diversities: tuple[float, ...] = ()) -> gan.Validation:
    return gan.Validation(noise(9), ListedScores(kids, diversities=diversities))
