"""`balancer quality`: how close the generated images come to real ones."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from balancer.config import BalancerConfig
from balancer.data.cache import open_cache
from balancer.data.dataset import Index, load_index
from balancer.data.synthetic import load_synthetic, synthetic_fingerprint
from balancer.manifest import ImageRecord, SyntheticRecord
from balancer.quality.extractors import load_extractor
from balancer.quality.measure import measure
from balancer.report.plots import save_image_grid
from balancer.results import StageResult, perform, standing_result
from balancer.workspace import Workspace

log = logging.getLogger(__name__)

_GRID = 64


def run(config: BalancerConfig, workspace: Workspace, *, force: bool = False) -> StageResult:
    """Measure the synthetic images of each class against real training and validation images.

    Args:
        config: Section `quality` and `seed` are used.
        workspace: Reads `index/` and `synthetic/`, writes `quality/`.
        force: Measure again whatever stands there.

    Raises:
        MissingStage: There is no index, or there are no synthetic images.
        EnvironmentFault: The weights of a wanted extractor are not on this machine.
    """
    index = load_index(workspace.index_dir)
    records = load_synthetic(workspace, index)
    # The size that the images have, whatever size a generator trained today would have.
    size = min(record.width for record in records)
    settings = {
        "seed": config.seed,
        "image_size": size,
        "quality": config.quality.model_dump(mode="json"),
    }
    inputs = {"index": index.index_hash, "synthetic": synthetic_fingerprint(records)}
    directory = workspace.quality_dir
    standing = standing_result(directory, settings=settings, inputs=inputs, force=force)
    if standing is not None:
        return standing

    def work(folder: Path) -> dict[str, Any]:
        labels = sorted({record.label for record in records})
        return {
            "classes": {
                label: _measure(label, records, size, config, workspace, index, folder)
                for label in labels
            }
        }

    return perform("quality", workspace, directory, settings=settings, inputs=inputs, work=work)


def check(config: BalancerConfig) -> None:
    """Refuse an extractor that is not here, before anything is made for it to measure.

    Raises:
        EnvironmentFault: Its weights are not on this machine.
    """
    for name in config.quality.extractors:
        load_extractor(name, inception_weights=config.quality.inception_weights)


def summary(result: StageResult) -> list[RenderableType]:
    """What the terminal shows of a result."""
    table = Table(
        "class", "reference", "metric", "value", "at the same n", "real against real", "n",
        title="Generated against real images (lower is closer)",
    )  # fmt: skip
    for label, entry in result.metrics["classes"].items():
        for reference, metrics in entry["against"].items():
            for name, metric in metrics.items():
                table.add_row(Text(label), reference, Text(name), *_cells(metric))
    return [table]


def _cells(metric: dict[str, Any]) -> tuple[str, str, str, str]:
    value = f"{metric['value']:.3f}"
    if "interval" in metric:
        low, high = metric["interval"]
        value += f" ({low:.3f} to {high:.3f})"
    if not metric.get("reliable", True):
        value += " unreliable"
    same_n = metric["same_n"]
    if same_n is None:
        return value, "-", "-", f"{metric['n_fake']}/{metric['n_reference']}"
    floor = f"{same_n['real_against_real']:.3f}"
    counts = f"{metric['n_fake']}/{metric['n_reference']} ({same_n['n']})"
    return value, f"{same_n['value']:.3f}", floor, counts


def _measure(
    label: str,
    records: list[SyntheticRecord],
    size: int,
    config: BalancerConfig,
    workspace: Workspace,
    index: Index,
    folder: Path,
) -> dict[str, Any]:
    """Both references of one class, and a sheet of generated beside real training images."""
    real = index.image_set(size)
    chosen = [record for record in records if record.label == label]
    chosen = chosen[: config.quality.max_images]
    pixels = open_cache(workspace.synthetic_dir, workspace.synthetic_dir, records, size)
    fake = pixels[_rows(records, {record.path for record in chosen})]
    against: dict[str, Any] = {}
    for split, name in (("train", "training"), ("val", "validation")):
        paths = {record.path for record in index.select(split, label)}
        reference = real.pixels[_rows(real.records, paths)]
        if split == "train":
            save_image_grid(fake[:_GRID], folder / f"generated-{label}.png")
            save_image_grid(reference[:_GRID], folder / f"real-{label}.png")
        against[name] = _against(fake, reference, config, workspace)
    return {"n": len(chosen), "against": against}


def _against(
    fake: np.ndarray, reference: np.ndarray, config: BalancerConfig, workspace: Workspace
) -> dict[str, Any]:
    measured: dict[str, Any] = {}
    for name in config.quality.extractors:
        extractor = load_extractor(name, inception_weights=config.quality.inception_weights)
        measured |= measure(
            fake,
            reference,
            extractor=extractor,
            subsets=config.quality.kid_subsets,
            subset_size=config.quality.kid_subset_size,
            seed=config.seed,
            cache=workspace.feature_cache_dir,
        )
    return measured


def _rows(records: Sequence[ImageRecord], paths: set[str]) -> list[int]:
    return [row for row, record in enumerate(records) if record.path in paths]
