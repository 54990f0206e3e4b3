"""`balancer evaluate`: test a finished classifier on images of another folder."""

import csv
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import RenderableType

from balancer.ablation.external import external_table
from balancer.config import BalancerConfig
from balancer.data.index import Index, RadiographTable, load_index
from balancer.data.roots import base_folder
from balancer.drawing.numbers import interval
from balancer.drawing.wording import listing
from balancer.errors import ConfigurationError
from balancer.evaluation.external import fingerprint_of_labels, load_external
from balancer.evaluation.fit_and_test import Reader, predict_noted
from balancer.evaluation.ledger import EXTERNAL, INDEX_FOLD, fingerprint_of_images
from balancer.evaluation.performance import (
    PREDICTIONS,
    metric_lines,
    performance_of,
    write_performance,
)
from balancer.evaluation.predictions import Predictions
from balancer.evaluation.records import EvaluateMetrics, Scalar, UnlikeImages
from balancer.evaluation.trained_classifier import (
    REAL_ARM,
    SYNTHETIC_ARM,
    load_trained,
    trained_arm,
)
from balancer.manifest import fingerprint
from balancer.quality.extractors import load_extractor
from balancer.quality.familiarity import measure_familiarity
from balancer.results import StageResult, fingerprint_of_result, perform, standing_result
from balancer.workspace import Workspace

log = logging.getLogger(__name__)

UNLIKE = "unlike.csv"
"""Images that are too far from the training images, the farthest first."""


def run(
    config: BalancerConfig,
    workspace: Workspace,
    *,
    images: Path,
    force: bool = False,
    with_synthetic: bool = False,
) -> StageResult[EvaluateMetrics]:
    """Test unchanged weights and threshold on images that the index lacks.

    Images that show an image or a patient of the index are left out and counted. Images that are
    too far from the training images are tested, named, and the score is given without them too.

    Args:
        config: `data`, `evaluation.bootstrap_samples` and `seed` are used.
        workspace: Reads `index/` and `classify/`; writes `evaluate/`.
        images: Path to an archive of any layout.
        force: Test again even if the result is up to date.
        with_synthetic: Test the classifier that was trained with synthetic images.

    Raises:
        MissingStage: There is no index, or no such classifier.
        DataError: The folder does not fit the classes, or no image of it is new.
        IntegrityError: The classifier is of another split, its files were changed, or its training
            images were preprocessed otherwise than those of the index.
    """
    index = load_index(workspace.index_dir)
    arm = SYNTHETIC_ARM if with_synthetic else REAL_ARM
    folder = workspace.classify_dir(arm)
    of_classifier = trained_arm(
        folder, arm, index, wanted_by="`balancer evaluate` tests a finished classifier"
    ).metrics
    if not images.exists():
        raise ConfigurationError(
            f"`balancer evaluate` needs a folder with one folder per class, or another archive of "
            f"radiographs, but {images} does not exist."
        )
    workspace.refuse_overlap(base_folder(images))
    external = load_external(images, index, config.data)
    name = images.resolve().stem if images.is_file() else images.resolve().name
    ids = fingerprint_of_images(record.image_id for record in external.records)
    settings = {
        "name": name,
        "seed": config.seed,
        "bootstrap_samples": config.evaluation.bootstrap_samples,
    }
    inputs = {
        "images": ids,
        "labels": fingerprint_of_labels(external.records),
        "classifier": fingerprint_of_result(folder),
    }
    directory = workspace.evaluate_dir(f"{name}-{ids[:8]}", arm)
    standing = standing_result(
        directory,
        EvaluateMetrics,
        settings=settings,
        inputs=inputs,
        force=force,
        files=[PREDICTIONS],
        earlier_inputs=inputs | {"classifier": fingerprint_of_result(folder, with_time=True)},
    )
    if standing is not None:
        return standing

    def work(partial: Path) -> EvaluateMetrics:
        trained = load_trained(folder)
        trained.refuse_unlike(index)
        cache = workspace.root / "cache" / "external" / ids[:8]
        table = external_table(
            external, index.classes, cache, trained.image_size, index.preprocessing
        )
        reader = Reader(workspace.ledger_dir, INDEX_FOLD, config.seed, arm)
        predictions = predict_noted(trained.loaded, table, reader, what=f"{EXTERNAL}{name}")
        how: dict[str, Any] = {
            "positive": index.classes.index(of_classifier.positive_class),
            "threshold": of_classifier.threshold,
            "n_bootstrap": config.evaluation.bootstrap_samples,
            "seed": config.seed,
        }
        metrics = EvaluateMetrics(
            arm=arm,
            positive_class=of_classifier.positive_class,
            threshold=of_classifier.threshold,
            external=external.facts(),
            test=write_performance(predictions, partial, **how),
            predictions=fingerprint((partial / PREDICTIONS).read_bytes()),
        )
        shares = _shares_of_limit(workspace, index, table)
        if shares is None:
            log.warning("Too few validation images show how far usual images are from training.")
            return metrics
        _write_unlike(table, shares, partial / UNLIKE)
        return metrics.model_copy(update={"unlike": _unlike(predictions, shares, how)})

    return perform("evaluate", workspace, directory, settings=settings, inputs=inputs, work=work)


def _shares_of_limit(
    workspace: Workspace, index: Index, table: RadiographTable
) -> NDArray[np.float64] | None:
    """Return the distance of each image to the training images; None if no limit is known."""
    pixels, cache = table.sources[0], workspace.feature_cache_dir
    extractor = load_extractor("lite0")
    familiarity = measure_familiarity(index, pixels.shape[1], extractor, cache=cache)
    return None if familiarity is None else familiarity.largest_shares(pixels, cache=cache)


def _write_unlike(table: RadiographTable, shares: NDArray[np.float64], path: Path) -> None:
    """Name the images beyond the limit, the farthest first."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["path", "label", "share_of_limit"])
        for row in sorted(np.flatnonzero(shares > 1).tolist(), key=lambda row: -shares[row]):
            record = table.records[row]
            writer.writerow([record.path, record.label, f"{shares[row]:.3f}"])


def _unlike(
    predictions: Predictions, shares: NDArray[np.float64], how: Mapping[str, Any]
) -> UnlikeImages:
    """Count the images beyond the limit, and measure the others."""
    names, others = predictions.class_names, np.flatnonzero(shares <= 1)
    found = np.bincount(predictions.labels[shares > 1], minlength=len(names)).tolist()
    if len(others):
        auroc = performance_of(predictions.take(others.tolist()), **how).auroc
    else:
        auroc = Scalar(value=None, low=None, high=None, reason="there is no other image")
    return UnlikeImages(classes=dict(zip(names, found, strict=True)), auroc=auroc)


def summary(result: StageResult[EvaluateMetrics]) -> list[RenderableType]:
    """Return what the terminal shows of a result."""
    metrics = result.metrics
    left_out = sum(metrics.external.dropped.values())
    title = (
        f"Trained on {metrics.arm}, tested unchanged on {metrics.test.n} images of "
        f"{result.setting('name')}; positive class {metrics.positive_class}"
    )
    if left_out:
        title += f"; {left_out} more show images or patients of the index and were left out"
    shown: list[RenderableType] = ["\n".join([title, *metric_lines(metrics.test)])]
    unlike = metrics.unlike
    if unlike is not None and unlike.n:
        counts = listing([f"{n} of {label}" for label, n in unlike.classes.items() if n])
        shown.append(
            f"Too far from the training images for an answer: {counts}; AUROC without them "
            f"{interval(unlike.auroc)}. {UNLIKE} beside the result names them."
        )
    return shown
