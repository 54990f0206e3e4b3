"""`balancer gan-train`: one DCGAN for each class that has to grow, on training images alone."""

import logging
import math
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
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
from balancer.quality.distances import Kernels, kid_of_all
from balancer.quality.extractors import Extractor, load_extractor
from balancer.quality.features import Features, features_of
from balancer.quality.neighbors import closer_to_first, distances, is_recalled
from balancer.ratio import TargetRatio, plan_synthesis
from balancer.resources import check_accelerator
from balancer.results import StageResult, new_result, standing_result, write_result
from balancer.synthetic.dcgan import load_dcgan, trainer_options, training_seconds_per_image
from balancer.synthetic.records import GanTrainMetrics, GeneratorMetrics, Membership, Snapshot
from balancer.team import together
from balancer.workspace import Workspace

log = logging.getLogger(__name__)

_SCORER_DRAWS = 10
_NEIGHBOURS = 5


class Lite0Scorer:
    """Scores a GAN's snapshots against features of real images, which are computed once.

    Always with EfficientNet-Lite0: training must not depend on weights that may be missing.

    Args:
        training: uint8 (N, S, S), N >= 2.
        validation: uint8 (M, S, S), M >= 2.
        cache: Folder of kept features; None: nothing is kept.
    """

    def __init__(self, training: Pixels, validation: Pixels, *, cache: Path | None = None) -> None:
        self._extractor: Extractor | None = load_extractor("lite0")
        self._training = features_of(self._extractor, training, cache=cache)
        self._validation = features_of(self._extractor, validation, cache=cache)
        self._spread = _spread(self._validation)

    def __getstate__(self) -> dict[str, Any]:
        """Leave out the network, which each process loads by itself."""
        return self.__dict__ | {"_extractor": None}

    def __call__(self, images: Pixels, /) -> gan.SnapshotScores:
        """Score generated images, uint8 (N, S, S)."""
        if self._extractor is None:
            self._extractor = load_extractor("lite0")
        made = features_of(self._extractor, images)
        rng = np.random.default_rng(0)  # the same draws at every evaluation
        kernels = Kernels.of(made, self._validation)
        kid = kid_of_all(kernels)
        to_each = kernels.xy.mean(axis=0)  # (M,)
        recalled = is_recalled(made, self._validation, k=min(_NEIGHBOURS, len(made) - 1))
        return gan.SnapshotScores(
            kid=kid,
            kid_parts=tuple(kid + 2 * (to_each.mean() - to_each)),
            recalled=tuple(recalled),
            diversity=_spread(made) / max(self._spread, 1e-12),
            closer_to_training=closer_to_first(
                distances(made, self._training),
                distances(made, self._validation),
                rng,
                draws=_SCORER_DRAWS,
            ),
        )


def run(
    config: BalancerConfig,
    workspace: Workspace,
    *,
    force: bool = False,
    classes: Sequence[str] = (),
    dry_run: bool = False,
) -> StageResult[GanTrainMetrics]:
    """Train the generators that the target ratio needs.

    Args:
        config: Sections `gan`, `synthesis.ratio`, `hardware` and `seed` are used.
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
    if dry_run:
        minutes = training_seconds_per_image(config) * config.gan.images_shown / 60
        plan = GanTrainMetrics(classes={}, planned_minutes=dict.fromkeys(labels, minutes))
        settings = _settings(config)
        return new_result("gan-train", settings=settings, inputs={}, seconds=0, metrics=plan)
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
    planned = Table("class", "minutes", title="Would train, by a few steps measured here")
    for label, minutes in result.metrics.planned_minutes.items():
        planned.add_row(Text(label), f"{minutes:.1f}")
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


def _train(
    label: str, config: BalancerConfig, workspace: Workspace, index: Index, force: bool
) -> StageResult[GeneratorMetrics]:
    directory = workspace.gan_dir(label)
    unfinished = workspace.unfinished_gan_dir(label)
    settings, inputs = _settings(config), {"index": index.index_hash}
    existing = standing_result(
        directory,
        GeneratorMetrics,
        settings=settings,
        inputs=inputs,
        force=force,
        keep_on_new_inputs=True,
    )
    if existing is not None:
        load_dcgan(label, workspace, index)  # refuses a generator that was damaged since
        return existing
    records = index.select(split="train", label=label)
    log.info("Training a DCGAN on %d images of %s; see %s", len(records), label, unfinished)
    ids = [record.image_id for record in records]
    try:
        fit = _fit(label, config, workspace, index, ids)
    except gan.GeneratorCheckpointError as error:
        if not force:
            raise IntegrityError(
                f"The unfinished training in {unfinished} cannot be resumed: {error} "
                "Add --force to start again."
            ) from error
        # Only now: --force too resumes an unfinished training with the same settings.
        shutil.rmtree(unfinished)
        fit = _fit(label, config, workspace, index, ids)
    if fit.interrupted_by is not None:
        raise Interrupted(
            fit.interrupted_by,
            f"Stopped after {fit.images_shown:,} of {config.gan.images_shown:,} images; "
            "run the same command again to resume.",
        )
    selected = None if fit.selected is None else _record(fit.selected)
    result = new_result(
        "gan-train",
        settings=settings,
        inputs=inputs,
        seconds=fit.seconds,
        metrics=GeneratorMetrics(
            label=label,
            training_images=len(records),
            images_shown=fit.images_shown,
            seconds=fit.seconds,
            images_per_second=fit.images_per_second,
            selected=selected,
            stop_reason=fit.stop_reason,
            membership=None if selected is None else _membership(selected, index, label),
        ),
    )
    write_result(unfinished, result)
    workspace.replace(directory, unfinished)
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
        return together(
            gan.train,
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
            trainer_options=trainer_options(config.hardware),
            validation=_validation(label, training, config, workspace, index),
            companions=index.pixels(size, "train", companion) if companion else None,
            progress=logging.getLogger("gan").isEnabledFor(logging.INFO),
        )
    except gan.GANDiverged as error:
        raise Diverged(f"Training the GAN of {label} diverged: {error}") from error


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


def _spread(features: Features) -> float:
    """Return the mean distance of two images of a set."""
    n = len(features)
    return float(distances(features, features).sum() / (n * (n - 1)))
