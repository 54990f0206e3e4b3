"""`balancer quality`: how close the generated images come to real ones."""

import logging
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import RenderableType
from rich.table import Table

from balancer.config import BalancerConfig
from balancer.data.cache import open_cache
from balancer.data.dataset import Index, load_index
from balancer.data.synthetic import load_synthetic
from balancer.manifest import SyntheticRecord
from balancer.quality.distances import measure
from balancer.quality.extractors import create_extractor
from balancer.report.plots import save_image_grid
from balancer.results import StageResult, perform, standing_result
from balancer.workspace import Workspace

log = logging.getLogger(__name__)

_GRID = 64


def run(config: BalancerConfig, workspace: Workspace, *, force: bool = False) -> StageResult:
    """Measure the synthetic images of each class against real training and validation images.

    Args:
        config: Sections `quality`, `gan.image_size` and `seed` are used.
        workspace: Reads `index/` and `synthetic/`, writes `quality/`.
        force: Measure again whatever stands there.

    Raises:
        MissingStage: There is no index, or there are no synthetic images.
        EnvironmentFault: The weights of a wanted extractor are not on this machine.
    """
    index = load_index(workspace.index_dir)
    records = load_synthetic(workspace, index)
    settings = {"seed": config.seed, "quality": config.quality.model_dump(mode="json")}
    manifest = [record.image_id for record in records]
    inputs = {"index": index.fingerprint, "synthetic": _fingerprint(manifest)}
    directory = workspace.quality_dir
    standing = standing_result(directory, settings=settings, inputs=inputs, force=force)
    if standing is not None:
        return standing

    def work(folder: Path) -> dict[str, Any]:
        labels = sorted({record.label for record in records})
        return {
            "classes": {
                label: _measure(label, records, config, workspace, index, folder)
                for label in labels
            }
        }

    return perform("quality", workspace, directory, settings=settings, inputs=inputs, work=work)
