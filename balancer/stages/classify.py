"""`balancer classify`: trains one classifier and tests it once, on real images."""

import logging
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import RenderableType

import classifier.train
from balancer.config import BalancerConfig
from balancer.data.dataset import Index, evaluation_table, load_index, training_table
from balancer.data.synthetic import load_synthetic
from balancer.errors import ConfigurationError, EnvironmentFault
from balancer.manifest import SyntheticRecord, fingerprint
from balancer.report.plots import save_confusion, save_precision_recall, save_roc
from balancer.report.tables import METRICS, Predictions, interval, write_predictions
from balancer.resources import check_accelerator
from balancer.results import StageResult, perform, standing_result
from balancer.workspace import Workspace
from classifier.checkpoint import load_classifier
from classifier.metrics import evaluate
from classifier.predict import predict_probabilities
from classifier.threshold import choose_threshold

log = logging.getLogger(__name__)

REAL_ARM, SYNTHETIC_ARM = "real", "real+synthetic"


def run(
    config: BalancerConfig,
    workspace: Workspace,
    *,
    force: bool = False,
    with_synthetic: bool = False,
) -> StageResult:
    """Train on the training split, choose on validation, test once.

    Both arms take the number of optimizer steps that `classifier.epochs` passes over the real
    training images take.

    Args:
        config: Sections `classifier`, `evaluation`, `hardware` and `seed` are used.
        workspace: Reads `index/` and, with synthetic images, `synthetic/`; writes
            `classify/real/` or `classify/real+synthetic/`.
        force: Train again whatever stands there.
        with_synthetic: Add the accepted synthetic images to the training split.

    Raises:
        MissingStage: There is no index, or there are no synthetic images.
        IntegrityError: Synthetic images, or the images of a generator that saw today's validation
            or test split, would reach the evaluation.
        EnvironmentFault: Training diverged, or the accelerator is not there.
    """
    check_accelerator(config.hardware)
    index = load_index(workspace.index_dir)
    synthetic = load_synthetic(workspace, index) if with_synthetic else []
    if with_synthetic:
        _warn_of_sharpness(config)
    arm = SYNTHETIC_ARM if with_synthetic else REAL_ARM
    settings = {
        "seed": config.seed,
        "image_size": config.classifier_image_size,
        "classifier": config.classifier.model_dump(mode="json"),
        "evaluation": config.evaluation.model_dump(mode="json"),
    }
    synthetic_ids = "\n".join(record.image_id for record in synthetic)
    inputs = {"index": index.fingerprint, "synthetic": fingerprint(synthetic_ids.encode())}
    directory = workspace.classify_dir(arm)
    standing = standing_result(directory, settings=settings, inputs=inputs, force=force)
    if standing is not None:
        return standing

    def work(folder: Path) -> dict[str, Any]:
        return {"arm": arm} | _train_and_test(config, workspace, index, synthetic, folder)

    return perform("classify", workspace, directory, settings=settings, inputs=inputs, work=work)


def summary(result: StageResult) -> list[RenderableType]:
    """What the terminal shows of a result."""
    test = result.metrics["test"]
    lines = [
        f"Trained on {result.metrics['arm']}, tested once on {test['n']} real images; "
        f"positive class {result.metrics['positive_class']}"
    ]
    lines += [f"  {title:18} {interval(test[key])}" for key, title in METRICS.items()]
    return ["\n".join(lines)]


def _train_and_test(
    config: BalancerConfig,
    workspace: Workspace,
    index: Index,
    synthetic: list[SyntheticRecord],
    folder: Path,
) -> dict[str, Any]:
    size = config.classifier_image_size
    train = training_table(index, size, synthetic=synthetic, synthetic_dir=workspace.synthetic_dir)
    validation = evaluation_table(index, size, split="val")
    positive = _positive_class(config, index)
    n_real = sum(index.counts("train").values())
    steps_per_epoch = math.ceil(n_real / min(config.classifier.batch_size, n_real))
    n_steps = config.classifier.epochs * steps_per_epoch
    log.info(
        "Training %s on %d real and %d synthetic images, %d steps",
        config.classifier.model, n_real, len(synthetic), n_steps,
    )  # fmt: skip
    try:
        fit = classifier.train.fit(
            config.classifier,
            train,
            validation,
            class_names=index.labels,
            n_steps=n_steps,
            steps_per_epoch=steps_per_epoch,
            seed=config.seed,
            out_dir=folder,
            trainer_options=config.hardware.model_dump(),
            provenance={"index_hash": index.fingerprint, "n_synthetic": len(synthetic)},
        )
    except classifier.train.TrainingDiverged as error:
        raise EnvironmentFault(f"Training the classifier diverged: {error}") from error
    except ValueError as error:
        raise ConfigurationError(str(error)) from error
    loaded = load_classifier(folder)
    threshold = None
    if len(index.labels) == 2:
        scores = predict_probabilities(loaded, validation)[:, positive]
        threshold = choose_threshold(scores, validation.labels == positive)
    test = _test(config, index, positive, threshold, predict_probabilities, loaded, folder)
    return {
        "positive_class": index.labels[positive],
        "threshold": threshold,
        "training_images": {"real": n_real, "synthetic": len(synthetic)},
        "n_steps": n_steps,
        "best_epoch": fit.best_epoch,
        "test": test,
    }
