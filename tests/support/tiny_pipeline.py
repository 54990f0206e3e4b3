"""A whole run small enough for tests: drawn chests at 32 px, a small GAN, a small CNN."""

import json
from pathlib import Path
from typing import Any

from balancer.config import BalancerConfig, load_config
from samples.phantom import write_samples

TINY = (
    "gan.image_size=32",
    "gan.generator_filters=4",
    "gan.discriminator_filters=4",
    "gan.images_shown=64",
    "gan.batch_size=8",
    "gan.evaluation_images=16",
    "synthesis.screen=[near-copy]",
    "classifier.model=bam-cnn",
    "classifier.input_size=32",
    "classifier.epochs=1",
    "classifier.batch_size=16",
    "evaluation.bootstrap_samples=100",
    "hardware.accelerator=cpu",
)


def draw_folder(folder: Path, n_covid: int = 16, n_normal: int = 60, size: int = 40) -> Path:
    write_samples(folder, n_covid=n_covid, n_normal=n_normal, size=size)
    return folder


def config_for(data: Path, *changes: str) -> BalancerConfig:
    return load_config(assignments=[*TINY, *changes], options={"data.root": data})


def arguments(data: Path, workspace: Path, *changes: str) -> list[str]:
    assignments = [word for change in (*TINY, *changes) for word in ("--set", change)]
    return ["--data", str(data), "-w", str(workspace), *assignments]


def metrics_of(directory: Path) -> Any:
    return json.loads((directory / "result.json").read_text())["metrics"]


def tree(root: Path) -> dict[str, bytes]:
    files = (path for path in root.rglob("*") if path.is_file())
    return {str(path.relative_to(root)): path.read_bytes() for path in files}
