"""`balancer synthesize`: plans, then makes exactly the images that are missing."""

import hashlib
import json
import logging
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import RenderableType
from rich.table import Table

from balancer.config import BalancerConfig
from balancer.data.dataset import load_index
from balancer.data.io import png_bytes
from balancer.data.synthetic import load_generator_for
from balancer.errors import ConfigurationError
from balancer.manifest import SYNTHETIC, SyntheticRecord, fingerprint, table_bytes
from balancer.ratio import ClassPlan, TargetRatio, plan_synthesis
from balancer.resources import inference_device, require_free_space
from balancer.results import StageResult, new_result, perform, standing_result
from balancer.workspace import Workspace
from gan.checkpoint import LoadedGenerator
from gan.sample import generate

log = logging.getLogger(__name__)

_ENCODERS = 2
_BATCHES_AHEAD = 4


def run(
    config: BalancerConfig, workspace: Workspace, *, force: bool = False, dry_run: bool = False
) -> StageResult:
    """Bring every class of the training split to the target ratio.

    Args:
        config: Sections `synthesis` and `hardware.accelerator` are used.
        workspace: Reads `index/` and `gan/<class>/`, writes `synthetic/`.
        force: Replace images made with other settings.
        dry_run: Return the plan and make nothing.

    Raises:
        ConfigurationError: The plan needs more than `synthesis.max_images`.
        MissingStage: There is no index, or no generator for a class that has to grow.
        IntegrityError: A generator is damaged, or saw images that are not training images today.
        EnvironmentFault: The disk has no room for the plan.
    """
    index = load_index(workspace.index_dir)
    plans = plan_synthesis(index.counts("train"), TargetRatio.parse(config.synthesis.ratio))
    settings = {"ratio": config.synthesis.ratio}
    plan = {"ratio": config.synthesis.ratio, "plan": [_row(plan) for plan in plans]}
    growing = [plan for plan in plans if plan.to_make]
    if dry_run or not growing:
        if not growing:
            log.info("Every class reaches %s already; nothing to make.", config.synthesis.ratio)
        return new_result("synthesize", settings=settings, inputs={}, seconds=0, metrics=plan)
    _check_size(config, workspace, growing)
    generators = {plan.label: load_generator_for(plan.label, workspace, index) for plan in growing}
    inputs = {
        "index": index.index_hash,
        "generators": {label: loaded.checkpoint_hash for label, loaded in generators.items()},
    }
    directory = workspace.synthetic_dir
    standing = standing_result(directory, settings=settings, inputs=inputs, force=force)
    if standing is not None:
        return standing

    def work(folder: Path) -> dict[str, Any]:
        records = [
            record
            for class_plan in growing
            for record in _make(class_plan, generators[class_plan.label], config, folder)
        ]
        table = table_bytes(records, SyntheticRecord)
        (folder / "manifest.csv").write_bytes(table)
        _write_lineage(folder, generators)
        return plan | {"made": len(records), "manifest": fingerprint(table)}

    return perform("synthesize", workspace, directory, settings=settings, inputs=inputs, work=work)


def summary(result: StageResult) -> list[RenderableType]:
    """What the terminal shows of a result: the arithmetic."""
    title = f"Training split, target {result.metrics['ratio']} (largest class : every other)"
    table = Table("class", "real", "target", "to make", "total", title=title)
    for row in result.metrics["plan"]:
        table.add_row(*(f"{row[key]}" for key in ("class", "real", "target", "to_make", "total")))
    return [table]


def _row(plan: ClassPlan) -> dict[str, object]:
    return {
        "class": plan.label,
        "real": plan.real,
        "target": plan.target,
        "to_make": plan.to_make,
        "total": plan.total,
    }


def _check_size(config: BalancerConfig, workspace: Workspace, growing: list[ClassPlan]) -> None:
    needed = sum(plan.to_make for plan in growing)
    if needed > config.synthesis.max_images:
        raise ConfigurationError(
            f"The ratio {config.synthesis.ratio} needs {needed:,} images, more than "
            f"synthesis.max_images={config.synthesis.max_images:,}; ask for a looser ratio or "
            "raise the limit."
        )
    # A PNG of noise is as large as its pixels; file systems round up to blocks of 4 KiB.
    per_image = config.gan.image_size**2 + 4096
    require_free_space(workspace.root, needed * per_image, f"{needed:,} images")


def _make(
    plan: ClassPlan, loaded: LoadedGenerator, config: BalancerConfig, folder: Path
) -> Iterator[SyntheticRecord]:
    """Write the images of one class; encoding runs beside the generator."""
    (folder / plan.label).mkdir()
    batches = generate(
        loaded,
        start=0,
        count=plan.to_make,
        seed=loaded.metadata.seed,
        device=inference_device(config.hardware),
    )
    log.info("Making %d images of %s", plan.to_make, plan.label)
    with ThreadPoolExecutor(_ENCODERS) as pool:
        waiting: list[Future[list[SyntheticRecord]]] = []
        for first, images in batches:
            waiting.append(
                pool.submit(_write, images, first, plan.label, loaded.checkpoint_hash, folder)
            )
            if len(waiting) > _BATCHES_AHEAD:
                yield from waiting.pop(0).result()
        for future in waiting:
            yield from future.result()


def _write(
    images: np.ndarray, first: int, label: str, checkpoint: str, folder: Path
) -> list[SyntheticRecord]:
    return [
        _write_one(image, number, label, checkpoint, folder)
        for number, image in enumerate(images, first)
    ]


def _write_one(
    image: np.ndarray, number: int, label: str, checkpoint: str, folder: Path
) -> SyntheticRecord:
    marks = {"Synthetic": "true", "Checkpoint": checkpoint, "Seed": str(number)}
    content = png_bytes(image, marks)
    path = Path(label, f"{number:06d}.png")
    (folder / path).write_bytes(content)
    return SyntheticRecord(
        image_id=hashlib.sha256(content).hexdigest(),
        path=path.as_posix(),
        label=label,
        group=f"synthetic-{checkpoint[:12]}-{number:06d}",
        source="dcgan",
        width=image.shape[1],
        height=image.shape[0],
        split="train",
        origin=SYNTHETIC,
        seed=number,
        checkpoint=checkpoint,
        accepted=True,
        reason="",
    )


def _write_lineage(folder: Path, generators: dict[str, LoadedGenerator]) -> None:
    lineage = {
        label: {
            "checkpoint": loaded.checkpoint_hash,
            "training_ids": list(loaded.metadata.training_ids),
        }
        for label, loaded in generators.items()
    }
    (folder / "lineage.json").write_text(json.dumps(lineage, indent=2) + "\n", encoding="utf-8")
