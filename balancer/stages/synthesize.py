"""`balancer synthesize`: plan, then draw exactly the images that are missing."""

import logging
from collections import Counter
from collections.abc import Mapping
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
from balancer.quality.choice import SCREENER
from balancer.quality.extractors import load_extractor
from balancer.quality.screen import LIMITS, Screen
from balancer.ratio import ClassPlan, TargetRatio, plan_synthesis
from balancer.resources import inference_device, require_free_space
from balancer.results import StageResult, new_result, perform, standing_result
from balancer.synthetic.card import write_card
from balancer.synthetic.catalog import open_source
from balancer.synthetic.gates import MANIFEST_NAME, load_synthetic, write_lineage
from balancer.synthetic.records import PlanRow, ScreeningCounts, SynthesizeMetrics, bracketed
from balancer.synthetic.source import SyntheticSource
from balancer.synthetic.write import FindReasons, write_images
from balancer.workspace import Workspace

log = logging.getLogger(__name__)


def run(
    config: BalancerConfig, workspace: Workspace, *, force: bool = False, dry_run: bool = False
) -> StageResult[SynthesizeMetrics]:
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
    rows = tuple(PlanRow.of(plan) for plan in plans)
    growing = [plan for plan in plans if plan.to_make]
    if dry_run or not growing:
        if not growing:
            log.info("Every class reaches %s already; nothing to make.", config.synthesis.ratio)
            if workspace.synthetic_dir.exists():
                log.warning(
                    "The images in %s were made for another ratio and are left unchanged; remove "
                    "the folder if you do not want them.",
                    workspace.synthetic_dir,
                )
        plan = SynthesizeMetrics(ratio=config.synthesis.ratio, plan=rows)
        return new_result("synthesize", settings=settings, inputs={}, seconds=0, metrics=plan)
    _check_count(config, growing)
    sources = {plan.label: open_source(plan.label, config, workspace, index) for plan in growing}
    _check_space(config, workspace, growing, sources)
    inputs = {
        "index": index.index_hash,
        "generators": {label: source.fingerprint for label, source in sources.items()},
    }
    earlier = dict(inputs)  # earlier versions did not note the extractor of the screen
    if config.synthesis.screen:
        inputs["extractors"] = {SCREENER: load_extractor(SCREENER).weights_sha256}
    directory = workspace.synthetic_dir
    existing = standing_result(
        directory,
        SynthesizeMetrics,
        settings=settings,
        inputs=inputs,
        force=force,
        earlier_inputs=earlier,
    )
    if existing is not None:
        load_synthetic(workspace, index)  # refuses images that were changed since
        return existing

    def work(folder: Path) -> SynthesizeMetrics:
        records = [
            record
            for plan in growing
            for record in write_images(
                sources[plan.label],
                plan.label,
                count=plan.to_make,
                folder=folder,
                device=inference_device(config.hardware),
                find_reasons=_screen(plan.label, sources, config, workspace, index),
                most=_most(config, plan),
            )
        ]
        table = table_bytes(records, SyntheticRecord)
        (folder / MANIFEST_NAME).write_bytes(table)
        lineage = {label: source.lineage for label, source in sources.items()}
        write_lineage(folder, lineage)
        write_card(folder, folder, records, lineage, ratio=config.synthesis.ratio)
        outside = {label: one.source for label, one in lineage.items() if one.name is not None}
        return SynthesizeMetrics(
            ratio=config.synthesis.ratio,
            plan=rows,
            made=len(records),
            manifest=fingerprint(table),
            screening={plan.label: _screening(plan.label, records) for plan in growing},
            **({"outside": outside} if outside else {}),
        )

    return perform("synthesize", workspace, directory, settings=settings, inputs=inputs, work=work)


def settings_of(config: BalancerConfig) -> dict[str, Any]:
    """Return all that the images depend on besides their sources, JSON types."""
    return {"ratio": config.synthesis.ratio, "screen": _screen_settings(config)}


def summary(result: StageResult[SynthesizeMetrics]) -> list[RenderableType]:
    """Lay out a result for the terminal: the plan, and the screen's decisions."""
    metrics = result.metrics
    table = Table("class", "real", "target", "to make", "total", title=f"Target {metrics.ratio}")
    for row in metrics.plan:
        cells = (row.label, row.real, row.target, row.to_make, row.total)
        table.add_row(*(Text(str(cell)) for cell in cells))
    meaning = f"{metrics.ratio} is the largest class : every other class, in the training split."
    outside = [Text(f"Images of {words}.") for words in [bracketed(metrics.outside)[2:-1]] if words]
    return [table, meaning, *outside, *(_counts(*entry) for entry in metrics.screening.items())]


def _counts(label: str, counts: ScreeningCounts) -> Text:
    reasons = ", ".join(f"{reason} {n:,}" for reason, n in counts.rejected.items())
    return Text(
        f"{label}: {counts.accepted:,} of {counts.made:,} images made were accepted "
        f"({counts.keep_rate:.1%}){f'; rejected: {reasons}' if reasons else ''}."
    )


def _screening(label: str, records: list[SyntheticRecord]) -> ScreeningCounts:
    made = [record for record in records if record.label == label]
    accepted = sum(record.accepted for record in made)
    return ScreeningCounts(
        made=len(made),
        accepted=accepted,
        keep_rate=accepted / len(made),
        rejected=dict(sorted(Counter(r.reason for r in made if not r.accepted).items())),
    )


def _screen_settings(config: BalancerConfig) -> dict[str, Any]:
    """Return what decides which images are accepted; limits of unused reasons do not."""
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
    sources: Mapping[str, SyntheticSource],
    config: BalancerConfig,
    workspace: Workspace,
    index: Index,
) -> FindReasons | None:
    if not config.synthesis.screen:
        return None
    size = sources[label].image_size
    screen = Screen(
        label,
        {name: index.pixels(size, "train", name) for name in index.classes},
        index.pixels(size, "val", label),
        extractor=load_extractor(SCREENER),
        gate=config.gate,
        reasons=config.synthesis.screen,
        seed=config.seed,
        cache=workspace.feature_cache_dir,
    )
    return screen.reasons


def _most(config: BalancerConfig, plan: ClassPlan) -> int:
    return ceil(plan.to_make * (config.synthesis.max_attempts if config.synthesis.screen else 1))


def _check_count(config: BalancerConfig, growing: list[ClassPlan]) -> None:
    needed = sum(plan.to_make for plan in growing)
    if needed > config.synthesis.max_images:
        raise ConfigurationError(
            f"The ratio {config.synthesis.ratio} needs {needed:,} images, more than "
            f"synthesis.max_images={config.synthesis.max_images:,}; ask for a looser ratio or "
            "raise the limit."
        )


def _check_space(
    config: BalancerConfig,
    workspace: Workspace,
    growing: list[ClassPlan],
    sources: Mapping[str, SyntheticSource],
) -> None:
    # A PNG of noise is as large as its pixels; file systems round up to blocks of 4 KiB.
    most = {plan.label: _most(config, plan) for plan in growing}
    needed = sum(n * (sources[label].image_size ** 2 + 4096) for label, n in most.items())
    require_free_space(workspace.root, needed, f"up to {sum(most.values()):,} images")
