"""`balancer gan-train`: DCGANs for the classes that have to grow, on training images alone."""

import logging
import math
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

import gan
from balancer.config import BalancerConfig
from balancer.data.index import Index, load_index
from balancer.data.io import Pixels
from balancer.errors import ConfigurationError, Diverged, IntegrityError, Interrupted
from balancer.imaging.pixels import GREY
from balancer.imaging.preprocess import recorded
from balancer.quality.snapshot_scorer import Lite0Scorer
from balancer.ratio import TargetRatio, plan_synthesis
from balancer.resources import check_accelerator, on_cpu_with_bf16
from balancer.results import StageResult, new_result, standing_result, write_result
from balancer.synthetic.dcgan import load_dcgan, trainer_options, training_seconds_per_image
from balancer.synthetic.records import GanTrainMetrics, GeneratorMetrics, Membership, Snapshot
from balancer.team import together
from balancer.workspace import Workspace

log = logging.getLogger(__name__)
T = TypeVar("T")

_CLASSES = "classes"
"""Key, in the settings of a result, of the classes that shared a network."""

LENGTH_OF_SHARED = 1.4
"""Images shown to a network of several classes, as a multiple of those for one class."""


def run(
    config: BalancerConfig,
    workspace: Workspace,
    *,
    force: bool = False,
    classes: Sequence[str] = (),
    dry_run: bool = False,
) -> StageResult[GanTrainMetrics]:
    """Train the generators that the target ratio needs: a network for each class, or one for all.

    Args:
        config: Sections `gan`, `synthesis` (ratio and networks), `hardware` and `seed` are used.
        workspace: Reads `index/`, writes `gan/<class>/`.
        force: Train again even if a finished or unfinished generator exists.
        classes: Train these instead of the classes below the target ratio.
        dry_run: Return an estimate of the minutes for each class, and train none.

    Raises:
        ConfigurationError: An unknown class, or an existing generator has other settings.
        IntegrityError: The unfinished training is damaged.
        Interrupted: A signal stopped training; the same call resumes it.
        EnvironmentFault: Training diverged, or the accelerator is missing.
    """
    check_accelerator(config.hardware)
    index = load_index(workspace.index_dir)
    if "saturation" in config.gan.augment and index.preprocessing.channels == GREY:
        raise ConfigurationError(
            "gan.augment should name transforms of grey images, which this index has, but names "
            "saturation; leave it out, or prepare with data.channels=3."
        )
    labels = list(classes) or _classes_to_grow(config, index)
    unknown = sorted(set(labels) - set(index.classes))
    if unknown:
        raise ConfigurationError(
            f"--class should name one of {', '.join(index.classes)}, not {', '.join(unknown)}."
        )
    if not labels:
        log.info("Every class reaches %s already; no GAN is needed.", config.synthesis.ratio)
    shared = _share_network(labels, config)
    if dry_run:
        if config.hardware.precision == "32-true" and on_cpu_with_bf16(config.hardware):
            log.info(
                "This processor has bf16 in hardware: --precision bf16-mixed would be quicker; "
                "whether the images are as good was not measured."
            )
        minutes = training_seconds_per_image(config) * config.gan.images_shown / 60
        if shared:
            minutes *= LENGTH_OF_SHARED / len(labels)
        plan = GanTrainMetrics(
            classes={},
            planned_minutes=dict.fromkeys(labels, minutes),
            **({"one_network": True} if shared else {}),
        )
        settings = _settings(config)
        return new_result("gan-train", settings=settings, inputs={}, seconds=0, metrics=plan)
    if shared:
        results = _train_shared(labels, config, workspace, index, force)
    else:
        results = {label: _train(label, config, workspace, index, force) for label in labels}
    return new_result(
        "gan-train",
        settings=_settings(config),
        inputs={"index": index.index_hash},
        seconds=sum(result.seconds for result in results.values()),
        metrics=GanTrainMetrics(
            classes={
                label: result.metrics.model_copy(update={"folder": str(workspace.gan_dir(label))})
                for label, result in results.items()
            }
        ),
    )


def summary(result: StageResult[GanTrainMetrics]) -> list[RenderableType]:
    """Lay out a result for the terminal."""
    minutes = result.metrics.planned_minutes
    whole = f" one network in {sum(minutes.values()):.1f} minutes"
    what = f"Would train{whole if result.metrics.one_network else ''}"
    planned = Table("class", "minutes", title=f"{what}, by a few steps measured here")
    for label, share in minutes.items():
        planned.add_row(Text(label), f"{share:.1f}")
    table = Table(
        "class", "images shown", "minutes", "images/s", "kept after", "KID", "folder",
        title="Generators",
    )  # fmt: skip
    for label, metrics in result.metrics.classes.items():
        table.add_row(
            Text(label),
            f"{metrics.images_shown:,}",
            f"{metrics.seconds / 60:.1f}",
            f"{metrics.images_per_second:.0f}",
            *_snapshot(metrics),
            Text(metrics.folder or ""),
        )
    return [shown for shown in (planned, table) if shown.row_count]


def _snapshot(metrics: GeneratorMetrics) -> tuple[str, str]:
    if metrics.selected is None:
        return f"{metrics.images_shown:,}", "-"
    return f"{metrics.selected.images_shown:,}", f"{metrics.selected.kid:.3f}"


def _classes_to_grow(config: BalancerConfig, index: Index) -> list[str]:
    ratio = TargetRatio.parse(config.synthesis.ratio)
    return [plan.label for plan in plan_synthesis(index.counts("train"), ratio) if plan.to_make]


def _settings(config: BalancerConfig) -> dict[str, Any]:
    return {
        "seed": config.seed,
        "gan": config.gan.model_dump(mode="json"),
        "precision": config.hardware.precision,
    }


def _share_network(labels: Sequence[str], config: BalancerConfig) -> bool:
    """Return True if the classes are to be learnt by one network."""
    if len(labels) < 2 or config.synthesis.networks == "per-class":
        return False
    if config.gan.companion_share:
        raise ConfigurationError(
            "synthesis.networks=shared needs gan.companion_share=0, since all classes share the "
            f"network already, but it is {config.gan.companion_share:g}; set one of them."
        )
    return True


def _train(
    label: str, config: BalancerConfig, workspace: Workspace, index: Index, force: bool
) -> StageResult[GeneratorMetrics]:
    directory = workspace.gan_dir(label)
    unfinished = workspace.unfinished_gan_dir(label)
    settings = _settings(config)
    existing = _standing(label, settings, workspace, index, force)
    if existing is not None:
        return existing
    log.info("Training a DCGAN on %d images of %s; see %s",
             len(index.select("train", label)), label, unfinished)  # fmt: skip
    fit = _resumed(lambda: _fit(label, config, workspace, index), unfinished, force)
    result = _write(label, fit, unfinished, settings, index)
    workspace.replace(directory, unfinished)
    return result


def _train_shared(
    labels: Sequence[str], config: BalancerConfig, workspace: Workspace, index: Index, force: bool
) -> dict[str, StageResult[GeneratorMetrics]]:
    """Train one network on the classes and on the largest one, which they learn from."""
    settings = _settings(config) | {_CLASSES: sorted(labels)}
    found = {label: _standing(label, settings, workspace, index, force) for label in labels}
    standing = {label: result for label, result in found.items() if result is not None}
    if len(standing) == len(labels):
        return standing
    directory = workspace.unfinished_shared_gan_dir
    log.info("Training one DCGAN on %d classes; see %s", len(labels), directory)
    fits = _resumed(lambda: _fit_shared(labels, config, workspace, index), directory, force)
    results = {
        label: _write(label, fits[label], directory / label, settings, index) for label in labels
    }
    for label in labels:
        for name in ("metrics.csv", "losses.png"):
            shutil.copy2(directory / name, directory / label / name)
        workspace.gan_dir(label).parent.mkdir(exist_ok=True)
        workspace.replace(workspace.gan_dir(label), directory / label)
    shutil.rmtree(directory)
    return results


def _standing(
    label: str, settings: dict[str, Any], workspace: Workspace, index: Index, force: bool
) -> StageResult[GeneratorMetrics] | None:
    existing = standing_result(
        workspace.gan_dir(label),
        GeneratorMetrics,
        settings=settings,
        inputs={"index": index.index_hash},
        force=force,
        keep_on_new_inputs=True,
    )
    if existing is not None:
        load_dcgan(label, workspace, index)  # refuses a generator that was damaged since
    return existing


def _resumed(fit: Callable[[], T], unfinished: Path, force: bool) -> T:
    """Train, or resume what is in a folder; with force, start again where that is damaged."""
    try:
        return fit()
    except gan.GeneratorCheckpointError as error:
        if not force:
            raise IntegrityError(
                f"The unfinished training in {unfinished} cannot be resumed: {error} "
                "Add --force to start again."
            ) from error
        # Only now: --force too resumes an unfinished training with the same settings.
        shutil.rmtree(unfinished)
        return fit()


def _write(
    label: str, fit: gan.GANResult, folder: Path, settings: dict[str, Any], index: Index
) -> StageResult[GeneratorMetrics]:
    """Write the result of a finished training into its folder."""
    if fit.interrupted_by is not None:
        raise Interrupted(
            fit.interrupted_by,
            f"Stopped after {fit.images_shown:,} images; run the same command again to resume.",
        )
    selected = None if fit.selected is None else _record(fit.selected)
    result = new_result(
        "gan-train",
        settings=settings,
        inputs={"index": index.index_hash},
        seconds=fit.seconds,
        metrics=GeneratorMetrics(
            label=label,
            training_images=len(index.select("train", label)),
            images_shown=fit.images_shown,
            seconds=fit.seconds,
            images_per_second=fit.images_per_second,
            selected=selected,
            stop_reason=fit.stop_reason,
            membership=None if selected is None else _membership(selected, index, label),
        ),
    )
    write_result(folder, result)
    return result


def _record(evaluation: gan.SnapshotEvaluation) -> Snapshot:
    values = {name: getattr(evaluation, name) for name in Snapshot.model_fields}
    recall = None if math.isnan(evaluation.recall) else evaluation.recall
    return Snapshot.model_validate(values | {"recall": recall})


def _membership(selected: Snapshot, index: Index, label: str) -> Membership:
    return Membership(
        auroc=selected.membership_auroc,
        n_training=len(index.select("train", label)),
        n_validation=len(index.select("val", label)),
    )


def _fit(label: str, config: BalancerConfig, workspace: Workspace, index: Index) -> gan.GANResult:
    size = config.gan.image_size
    training = index.pixels(size, "train", label)
    companion = _companion(label, config, index)
    try:
        return together(
            gan.train,
            training,
            config.gan,
            out_dir=workspace.unfinished_gan_dir(label),
            seed=config.seed,
            provenance=_provenance(label, index, companion),
            trainer_options=trainer_options(config.hardware),
            validation=_validation(label, training, config, workspace, index),
            companions=index.pixels(size, "train", companion) if companion else None,
            progress=_wants_bar(),
        )
    except gan.GANDiverged as error:
        raise Diverged(f"Training the GAN of {label} diverged: {error}") from error


def _fit_shared(
    labels: Sequence[str], config: BalancerConfig, workspace: Workspace, index: Index
) -> dict[str, gan.GANResult]:
    counts = index.counts("train")
    largest = max(sorted(counts), key=lambda name: counts[name])
    images = {
        label: index.pixels(config.gan.image_size, "train", label)
        for label in dict.fromkeys([*labels, largest])
    }
    scored = {
        label: _validation(label, images[label], config, workspace, index) for label in labels
    }
    length = round(config.gan.images_shown * LENGTH_OF_SHARED)
    try:
        return together(
            gan.train_classes,
            images,
            config.gan.model_copy(update={"images_shown": length}),
            out_dir=workspace.unfinished_shared_gan_dir,
            seed=config.seed,
            provenance={label: _provenance(label, index) for label in images},
            trainer_options=trainer_options(config.hardware),
            validation={label: one for label, one in scored.items() if one is not None},
            progress=_wants_bar(),
        )
    except gan.GANDiverged as error:
        raise Diverged(f"Training the GAN of {len(labels)} classes diverged: {error}") from error


def _provenance(label: str, index: Index, companion: str | None = None) -> gan.Provenance:
    companions = index.select("train", companion) if companion else []
    return gan.Provenance(
        class_name=label,
        index_hash=index.index_hash,
        training_ids=tuple(record.image_id for record in index.select("train", label)),
        companion_ids=tuple(record.image_id for record in companions),
        preprocessing=recorded(index.preprocessing),
    )


def _wants_bar() -> bool:
    return logging.getLogger("gan").isEnabledFor(logging.INFO)


def _companion(label: str, config: BalancerConfig, index: Index) -> str | None:
    """Return the largest other class of the training split, if the recipe asks for one."""
    if not config.gan.companion_share:
        return None
    counts = {name: n for name, n in index.counts("train").items() if name != label}
    return max(sorted(counts), key=lambda name: counts[name])


def _validation(
    label: str, training: Pixels, config: BalancerConfig, workspace: Workspace, index: Index
) -> gan.Validation | None:
    held_out = index.pixels(config.gan.image_size, "val", label)
    if not config.gan.evaluate_every:
        return None
    if min(len(held_out), len(training)) < 2:
        log.warning(
            "%s has %d validation image(s), too few to choose a snapshot by: the last one is kept.",
            label,
            len(held_out),
        )
        return None
    scorer = Lite0Scorer(training, held_out, cache=workspace.feature_cache_dir)
    return gan.Validation(held_out, scorer)
