"""Drawn stand-ins for films, and folders of them."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from balancer.config import BalancerConfig, load_config
from balancer.data.index import Index, load_index
from balancer.stages import prepare
from balancer.workspace import Workspace


def film(seed: int, size: int = 48) -> np.ndarray:
    """A smooth random image, uint8 (size, size); two seeds share nothing."""
    coarse = np.random.default_rng(seed).integers(0, 256, (12, 12), dtype=np.uint8)
    return np.asarray(Image.fromarray(coarse).resize((size, size), Image.Resampling.BICUBIC))


def save(path: Path, pixels: np.ndarray, **options: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, **options)
    return path


def class_folders(root: Path, counts: Mapping[str, int], *, first_seed: int = 0) -> Path:
    """`root/<class>/<n>.png`; every image is another film."""
    seed = first_seed
    for label, count in counts.items():
        for number in range(count):
            save(root / label / f"{number:03}.png", film(seed))
            seed += 1
    return root


def configured(root: Path, *assignments: str) -> BalancerConfig:
    return load_config(assignments=assignments, options={"data.root": str(root)})


def in_workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path / "workspace")


def index_of(root: Path, workspace: Workspace, *assignments: str) -> Index:
    prepare.run(configured(root, *assignments), workspace, force=True)
    return load_index(workspace.index_dir)


def audit_of(workspace: Workspace) -> dict[str, Any]:
    audit: dict[str, Any] = json.loads((workspace.index_dir / "audit.json").read_text())
    return audit


def warnings_of(workspace: Workspace) -> str:
    return "\n".join(audit_of(workspace)["warnings"])
