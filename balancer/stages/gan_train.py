"""`balancer gan-train`: one DCGAN for each class that has to grow, on training images alone."""

import logging
import shutil
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

import gan
from balancer.config import BalancerConfig
from balancer.data.index import Index, load_index
from balancer.data.io import Pixels
from balancer.errors import ConfigurationError, Diverged, IntegrityError, Interrupted
from balancer.imaging.preprocess import recorded
from balancer.quality.selection import SnapshotJudge
from balancer.ratio import TargetRatio, plan_synthesis
from balancer.resources import check_accelerator
from balancer.results import UntypedResult, new_result, standing_result, write_result
from balancer.synthetic.gates import load_generator_for
from balancer.workspace import Workspace

log = logging.getLogger(__name__)


def run(
    config: BalancerConfig,
    workspace: Workspace,
    *,
    force: bool = False,
    classes: Sequence[str] = (),
) -> UntypedResult:
    """Train the generators that the target ratio needs.

    Args:
        config: Sections `gan`, `synthesis.ratio`, `hardware` and `seed` are used.
        workspace: Reads `index/`, writes `gan/<class>/`.
        force: Train again even if a finished or unfinished generator stands there.
        classes: Train these instead of the classes below the target ratio.

    Raises:
        ConfigurationError: An unknown class, or other settings than those of what stands there.
        IntegrityError: The unfinished training that stands there is damaged.
        Interrupted: A signal stopped training; the same call goes on.
        EnvironmentFault: Training diverged, or the accelerator is not there.
    """
    check_accelerator(config.hardware)
    index = load_index(workspace.index_dir)
    labels = list(classes) or _classes_to_grow(config, index)
    unknown = sorted(set(labels) - set(index.classes))
    if unknown:
        raise ConfigurationError(
            f"--class wants one of {', '.join(index.classes)}, but found {', '.join(unknown)}."
        )
    if not labels:
        log.info("Every class reaches %s already; no GAN is needed.", config.synthesis.ratio)
    results = {label: _train(label, config, workspace, index, force) for label in labels}
    return new_result(
        "gan-train",
        settings=_settings(config),
        inputs={"index": index.index_hash},
        seconds=sum(result.seconds for result in results.values()),
        metrics={
            "classes": {
                label: result.metrics | {"folder": str(workspace.gan_dir(label))}
                for label, result in results.items()
            }
        },
    )


def summary(result: UntypedResult) -> list[RenderableType]:
    """What the terminal shows of a result."""
    table = Table(
        "class", "images shown", "minutes", "images/s", "kept after", "KID", "folder",
        title="Generators",
    )  # fmt: skip
    for label, metrics in result.metrics["classes"].items():
        table.add_row(
            Text(label),
            f"{metrics['images_shown']:,}",
            f"{metrics['seconds'] / 60:.1f}",
            f"{metrics['images_per_second']:.0f}",
            *_snapshot(metrics),
            Text(metrics["folder"]),
        )
    return [table] if table.row_count else []


def _snapshot(metrics: dict[str, Any]) -> tuple[str, str]:
    selected = metrics["selected"]
    if selected is None:
        return f"{metrics['images_shown']:,}", "-"
    return f"{selected['images_shown']:,}", f"{selected['kid']:.3f}"


def _classes_to_grow(config: BalancerConfig, index: Index) -> list[str]:
    ratio = TargetRatio.parse(config.synthesis.ratio)
    return [plan.label for plan in plan_synthesis(index.counts("train"), ratio) if plan.to_make]


def _settings(config: BalancerConfig) -> dict[str, Any]:
    return {
        "seed": config.seed,
        "gan": config.gan.model_dump(mode="json"),
        "precision": config.hardware.precision,
    }


def _train(
    label: str, config: BalancerConfig, workspace: Workspace, index: Index, force: bool
) -> UntypedResult:
    directory = workspace.gan_dir(label)
    unfinished = workspace.unfinished_gan_dir(label)
    settings, inputs = _settings(config), {"index": index.index_hash}
    standing = standing_result(
        directory, settings=settings, inputs=inputs, force=force, keep_on_new_inputs=True
    )
    if standing is not None:
        load_generator_for(label, workspace, index)  # refuses what was damaged since
        return standing
    records = index.select(split="train", label=label)
    log.info("Training a DCGAN on %d images of %s; see %s", len(records), label, unfinished)
    ids = [record.image_id for record in records]
    try:
        fit = _fit(label, config, workspace, index, ids)
    except gan.GeneratorCheckpointError as error:
        if not force:
            raise IntegrityError(
                f"The unfinished training in {unfinished} cannot go on: {error} "
                "Add --force to start again."
            ) from error
        # Only now: an unfinished training of these very settings goes on under --force too.
        shutil.rmtree(unfinished)
        fit = _fit(label, config, workspace, index, ids)
    if fit.interrupted_by is not None:
        raise Interrupted(
            fit.interrupted_by,
            f"Stopped after {fit.images_shown:,} of {config.gan.images_shown:,} images; "
            "the same command goes on from there.",
        )
    result = new_result(
        "gan-train",
        settings=settings,
        inputs=inputs,
        seconds=fit.seconds,
        metrics={
            "class": label,
            "training_images": len(records),
            "images_shown": fit.images_shown,
            "seconds": fit.seconds,
            "images_per_second": fit.images_per_second,
            "selected": None if fit.selected is None else asdict(fit.selected),
            "stop_reason": fit.stop_reason,
            "membership": _membership(fit, index, label),
        },
    )
    write_result(unfinished, result)
    workspace.replace(directory, unfinished)
    return result


def _membership(fit: gan.GANResult, index: Index, label: str) -> dict[str, float | int] | None:
    """How well the discriminator tells its training images from validation images."""
    if fit.selected is None:
        return None
    return {
        "auroc": fit.selected.membership_auroc,
        "n_training": len(index.select("train", label)),
        "n_validation": len(index.select("val", label)),
    }


def _fit(
    label: str,
    config: BalancerConfig,
    workspace: Workspace,
    index: Index,
    training_ids: list[str],
) -> gan.GANResult:
    size = config.gan.image_size
    training = index.pixels(size, "train", label)
    companion = _companion(label, config, index)
    companions = index.select("train", companion) if companion else []
    unfinished = workspace.unfinished_gan_dir(label)
    try:
        return gan.train(
            training,
            config.gan,
            out_dir=unfinished,
            seed=config.seed,
            provenance=gan.Provenance(
                class_name=label,
                index_hash=index.index_hash,
                training_ids=tuple(training_ids),
                companion_ids=tuple(record.image_id for record in companions),
                preprocessing=recorded(index.preprocessing),
            ),
            trainer_options=gan.GANTrainerOptions(**config.hardware.model_dump()),
            validation=_validation(label, training, config, workspace, index),
            companions=index.pixels(size, "train", companion) if companion else None,
            progress=logging.getLogger("gan").isEnabledFor(logging.INFO),
        )
    except gan.GANDiverged as error:
        raise Diverged(f"Training the GAN of {label} diverged: {error}") from error


def _companion(label: str, config: BalancerConfig, index: Index) -> str | None:
    """The largest other class of the training split, if the recipe asks for one."""
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
    judge = SnapshotJudge(training, held_out, cache=workspace.feature_cache_dir)
    return gan.Validation(held_out, judge)
