"""`balancer synthesize`: plans, then makes exactly the images that are missing."""

import json
import logging
from collections import Counter
from math import ceil
from pathlib import Path
from typing import Any

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from balancer.config import BalancerConfig
from balancer.data.index import Index, load_index
from balancer.errors import ConfigurationError
from balancer.manifest import SyntheticRecord, fingerprint, table_bytes
from balancer.quality.extractors import load_extractor
from balancer.quality.screen import LIMITS, Screen
from balancer.ratio import ClassPlan, TargetRatio, plan_synthesis
from balancer.resources import inference_device, require_free_space
from balancer.results import UntypedResult, new_result, perform, standing_result
from balancer.synthetic.gates import load_generator_for, load_synthetic
from balancer.synthetic.write import Screening, write_images
from balancer.workspace import Workspace
from gan.checkpoint import LoadedGenerator

log = logging.getLogger(__name__)


def run(
    config: BalancerConfig, workspace: Workspace, *, force: bool = False, dry_run: bool = False
) -> UntypedResult:
    """Bring every class of the training split to the target ratio.

    Args:
        config: Sections `synthesis`, `gate`, `seed` and `hardware.accelerator` are used.
        workspace: Reads `index/` and `gan/<class>/`, writes `synthetic/`.
        force: Replace images made with other settings.
        dry_run: Return the plan and make nothing.

    Raises:
        ConfigurationError: The plan needs more than `synthesis.max_images`.
        MissingStage: There is no index, or no generator for a class that has to grow.
        IntegrityError: A generator is damaged, or saw images that are not training images today.
        DataError: Too few of the images pass the screen.
        EnvironmentFault: The disk has no room for the plan.
    """
    index = load_index(workspace.index_dir)
    plans = plan_synthesis(index.counts("train"), TargetRatio.parse(config.synthesis.ratio))
    settings = settings_of(config)
    plan = {"ratio": config.synthesis.ratio, "plan": [_row(plan) for plan in plans]}
    growing = [plan for plan in plans if plan.to_make]
    if dry_run or not growing:
        if not growing:
            log.info("Every class reaches %s already; nothing to make.", config.synthesis.ratio)
            if workspace.synthetic_dir.exists():
                log.warning(
                    "The images in %s were made for another ratio and stay there; remove the "
                    "folder if you do not want them.",
                    workspace.synthetic_dir,
                )
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
        load_synthetic(workspace, index)  # refuses what was changed since
        return standing

    def work(folder: Path) -> dict[str, Any]:
        records = [
            record
            for class_plan in growing
            for record in write_images(
                generators[class_plan.label],
                class_plan.label,
                count=class_plan.to_make,
                folder=folder,
                device=inference_device(config.hardware),
                screen=_screen(class_plan.label, generators, config, workspace, index),
                most=_most(config, class_plan),
            )
        ]
        table = table_bytes(records, SyntheticRecord)
        (folder / "manifest.csv").write_bytes(table)
        _write_lineage(folder, generators)
        return plan | {
            "made": len(records),
            "manifest": fingerprint(table),
            "screening": {p.label: _screening(p.label, records) for p in growing},
        }

    return perform("synthesize", workspace, directory, settings=settings, inputs=inputs, work=work)


def settings_of(config: BalancerConfig) -> dict[str, Any]:
    """What the images depend on besides the generators, JSON types."""
    return {"ratio": config.synthesis.ratio, "screen": _screen_settings(config)}


def summary(result: UntypedResult) -> list[RenderableType]:
    """What the terminal shows of a result: the arithmetic, and what the screen let through."""
    ratio = result.metrics["ratio"]
    table = Table("class", "real", "target", "to make", "total", title=f"Target {ratio}")
    for row in result.metrics["plan"]:
        cells = (row[key] for key in ("class", "real", "target", "to_make", "total"))
        table.add_row(*(Text(str(cell)) for cell in cells))
    meaning = f"{ratio} is the largest class : every other class, in the training split."
    return [table, meaning, *map(_kept, result.metrics.get("screening", {}).items())]


def _kept(entry: tuple[str, dict[str, Any]]) -> Text:
    label, screening = entry
    reasons = ", ".join(f"{reason} {n:,}" for reason, n in screening["rejected"].items())
    return Text(
        f"{label}: {screening['accepted']:,} of {screening['made']:,} images made were accepted "
        f"({screening['keep_rate']:.1%}){f'; rejected: {reasons}' if reasons else ''}."
    )


def _screening(label: str, records: list[SyntheticRecord]) -> dict[str, Any]:
    made = [record for record in records if record.label == label]
    accepted = sum(record.accepted for record in made)
    return {
        "made": len(made),
        "accepted": accepted,
        "keep_rate": accepted / len(made),
        "rejected": dict(sorted(Counter(r.reason for r in made if not r.accepted).items())),
    }


def _screen_settings(config: BalancerConfig) -> dict[str, Any]:
    """What decides which images are accepted; limits of reasons not looked for do not."""
    reasons = config.synthesis.screen
    if not reasons:
        return {"reasons": []}
    return {
        "reasons": list(reasons),
        "seed": config.seed,
        "max_attempts": config.synthesis.max_attempts,
    } | {key: getattr(config.gate, key) for reason in reasons for key in LIMITS[reason]}


def _screen(
    label: str,
    generators: dict[str, LoadedGenerator],
    config: BalancerConfig,
    workspace: Workspace,
    index: Index,
) -> Screening | None:
    if not config.synthesis.screen:
        return None
    size = generators[label].config.image_size
    screen = Screen(
        label,
        {name: index.pixels(size, "train", name) for name in index.classes},
        index.pixels(size, "val", label),
        extractor=load_extractor("lite0"),
        gate=config.gate,
        reasons=config.synthesis.screen,
        seed=config.seed,
        cache=workspace.feature_cache_dir,
    )
    return screen.reasons


def _most(config: BalancerConfig, plan: ClassPlan) -> int:
    return ceil(plan.to_make * (config.synthesis.max_attempts if config.synthesis.screen else 1))


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
    most = sum(_most(config, plan) for plan in growing)
    require_free_space(workspace.root, most * per_image, f"up to {most:,} images")


def _write_lineage(folder: Path, generators: dict[str, LoadedGenerator]) -> None:
    lineage = {
        label: {
            "checkpoint": loaded.checkpoint_hash,
            "training_ids": [*loaded.metadata.training_ids, *loaded.metadata.companion_ids],
        }
        for label, loaded in generators.items()
    }
    (folder / "lineage.json").write_text(json.dumps(lineage, indent=2) + "\n", encoding="utf-8")
