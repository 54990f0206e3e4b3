"""`balancer classify`: trains one classifier and tests it once, on real images."""

import logging
from pathlib import Path
from typing import Any

from rich.console import RenderableType

import classifier
import classifier.models
from balancer.config import BalancerConfig
from balancer.data.cache import open_cache
from balancer.data.index import (
    ImageSet,
    Index,
    evaluation_table,
    load_index,
    training_table,
)
from balancer.data.roots import Roots
from balancer.drawing.numbers import metric_lines
from balancer.errors import ConfigurationError, Diverged
from balancer.evaluation.ledger import TEST, fingerprint_of_images, n_reads, note_read
from balancer.evaluation.sizes import settle
from balancer.evaluation.tested import PREDICTIONS, test_classifier
from balancer.imaging.preprocess import recorded
from balancer.manifest import SyntheticRecord, fingerprint
from balancer.resources import check_accelerator, training_hardware
from balancer.results import UntypedResult, perform, read_result, standing_result
from balancer.synthetic.gates import load_synthetic, synthetic_fingerprint
from balancer.workspace import Workspace
from classifier.decision import choose_threshold

log = logging.getLogger(__name__)

REAL_ARM, SYNTHETIC_ARM = "real", "real+synthetic"


def run(
    config: BalancerConfig,
    workspace: Workspace,
    *,
    force: bool = False,
    with_synthetic: bool = False,
) -> UntypedResult:
    """Train on the training split, choose on validation, test once.

    Both arms take the number of optimizer steps that `classifier.n_epochs` passes over the real
    training images take.

    Args:
        config: Sections `classifier`, `evaluation`, `hardware` and `seed` are used.
        workspace: Reads `index/` and, with synthetic images, `synthetic/`; writes
            `classify/real/` or `classify/real+synthetic/`, and the read of the test images into
            the ledger.
        force: Train again whatever stands there.
        with_synthetic: Add the accepted synthetic images to the training split.

    Raises:
        MissingStage: There is no index, or there are no synthetic images.
        IntegrityError: Synthetic images, or the images of a generator that saw today's validation
            or test split, would reach the evaluation.
        EnvironmentFault: Training diverged, or the accelerator is not there.
    """
    check(config, workspace, beside_generated=with_synthetic or workspace.has_generated())
    index = load_index(workspace.index_dir)
    synthetic = load_synthetic(workspace, index) if with_synthetic else []
    if synthetic:
        _compare_sizes(config, min(record.width for record in synthetic))
    generates = with_synthetic or workspace.has_generated()
    config = settle(config, beside_generated=generates)
    if generates and not with_synthetic and config.classifier_image_size < _sharp(config):
        log.info(
            "Reading images at %d px, as the generated ones of this workspace are, so that both "
            "classifiers compare; --set classifier.image_size=%d reads them sharper.",
            config.classifier_image_size, _sharp(config),
        )  # fmt: skip
    arm = SYNTHETIC_ARM if with_synthetic else REAL_ARM
    settings = _settings(config)
    inputs = {"index": index.index_hash, "synthetic": synthetic_fingerprint(synthetic)}
    directory = workspace.classify_dir(arm)
    standing = standing_result(directory, settings=settings, inputs=inputs, force=force)
    if standing is not None:
        return standing

    def work(folder: Path) -> dict[str, Any]:
        return _train_and_test(config, workspace, index, synthetic, arm, folder)

    return perform("classify", workspace, directory, settings=settings, inputs=inputs, work=work)


def check(config: BalancerConfig, workspace: Workspace, *, beside_generated: bool) -> None:
    """Refuse what a training would only find out after the expensive stages before it.

    Args:
        config: Sections `classifier`, `evaluation`, `gan.image_size` and `hardware` are used.
        workspace: Has an index.
        beside_generated: As in `settle`.

    Raises:
        ConfigurationError: The model, its weights or the positive class does not exist, or the
            network cannot see images of the size.
        EnvironmentFault: The accelerator is not there.
    """
    check_accelerator(config.hardware)
    index = load_index(workspace.index_dir)
    index.positive_class(config.evaluation.positive_class)
    config = settle(config, beside_generated=beside_generated)
    try:
        classifier.models.build(config.classifier, len(index.classes))
    except ValueError as error:
        raise ConfigurationError(str(error)) from error


def stands_alone(config: BalancerConfig, workspace: Workspace) -> bool:
    """Whether the classifier of the real arm was trained before there was a generator.

    It then reads larger images than generated ones are, and averages more networks, though nobody
    asked for either; so it may be replaced by one that compares.
    """
    standing = read_result(workspace.classify_dir(REAL_ARM))
    if standing is None:
        return False
    alone = settle(config, beside_generated=False)
    beside = settle(config, beside_generated=True)
    is_alone = standing.settings == _settings(alone) != _settings(beside)
    if is_alone:
        log.info(
            "The classifier of real images was trained for itself; it is trained again as the one "
            "beside generated images will be."
        )
    return is_alone


def _settings(config: BalancerConfig) -> dict[str, Any]:
    return {
        "seed": config.seed,
        "image_size": config.classifier_image_size,
        "classifier": config.classifier.model_dump(mode="json"),
        "evaluation": config.evaluation.model_dump(mode="json"),
        "precision": config.hardware.precision,
    }


def summary(result: UntypedResult) -> list[RenderableType]:
    """What the terminal shows of a result."""
    test = result.metrics["test"]
    title = (
        f"Trained on {result.metrics['arm']}, tested once on {test['n']} real images; "
        f"positive class {result.metrics['positive_class']}"
    )
    return ["\n".join([title, *metric_lines(test)])]


def _train_and_test(
    config: BalancerConfig,
    workspace: Workspace,
    index: Index,
    synthetic: list[SyntheticRecord],
    arm: str,
    folder: Path,
) -> dict[str, Any]:
    size = config.classifier_image_size
    real = index.image_set(size)
    made = None
    if synthetic:
        place = workspace.synthetic_dir
        made = ImageSet(synthetic, open_cache(place, Roots.of([place]), synthetic, size))
    train = training_table(real, index.classes, made)
    validation = evaluation_table(real, index.classes, "val")
    test_images = evaluation_table(real, index.classes, "test")
    test_sha256 = fingerprint_of_images(record.image_id for record in test_images.records)
    before = _earlier_reads(workspace, test_sha256, arm)
    positive = index.classes.index(index.positive_class(config.evaluation.positive_class))
    n_real = sum(index.counts("train").values())
    plan = classifier.plan_steps(config.classifier, n_real)
    log.info(
        "Training %s on %d real and %d synthetic images, %d steps",
        config.classifier.model, n_real, len(synthetic), plan.n_steps,
    )  # fmt: skip
    try:
        fit = classifier.train(
            train,
            validation,
            config.classifier,
            class_names=list(index.classes),
            n_steps=plan.n_steps,
            steps_per_epoch=plan.steps_per_epoch,
            seed=config.seed,
            out_dir=folder,
            hardware=training_hardware(config.hardware),
            progress=log.isEnabledFor(logging.INFO),
            rarest=index.classes.index(index.positive_class(None)),
            provenance={
                "index_hash": index.index_hash,
                "preprocessing": recorded(index.preprocessing),
                "image_size": size,
                "n_synthetic": len(synthetic),
            },
        )
    except classifier.ClassifierDiverged as error:
        raise Diverged(f"Training the classifier diverged: {error}") from error
    except ValueError as error:
        raise ConfigurationError(str(error)) from error
    loaded = classifier.load(folder)
    threshold = None
    if len(index.classes) == 2:
        scores = classifier.predict(loaded, validation)[:, positive]
        threshold = choose_threshold(scores, validation.labels == positive)
    note_read(
        workspace.ledger_dir,
        what=TEST,
        fold="index",
        seed=config.seed,
        arm=arm,
        images=len(test_images),
        images_sha256=test_sha256,
    )
    test = test_classifier(
        loaded,
        test_images,
        folder,
        positive=positive,
        threshold=threshold,
        n_bootstrap=config.evaluation.bootstrap_samples,
        seed=config.seed,
    )
    return {
        "arm": arm,
        "positive_class": index.classes[positive],
        "threshold": threshold,
        "training_images": {"real": n_real, "synthetic": len(synthetic)},
        "n_steps": fit.n_steps,
        "best_epoch": fit.best_epoch,
        "predictions": fingerprint((folder / PREDICTIONS).read_bytes()),
        "test": test,
        "test_reads": before + 1,
    }


def _earlier_reads(workspace: Workspace, images: str, arm: str) -> int:
    """How often these test images tested this arm; told before hours go into another training."""
    before = n_reads(workspace.ledger_dir, arm=arm, images_sha256=images)
    if before:
        log.warning(
            "These test images have tested a classifier of %s before (%s): what was chosen since "
            "is no longer untouched by them.",
            arm, "once" if before == 1 else f"{before} times",
        )  # fmt: skip
    return before


def _sharp(config: BalancerConfig) -> int:
    """The side from which on larger images tell the network nothing more."""
    return config.classifier.input_size or config.classifier_image_size


def _compare_sizes(config: BalancerConfig, made: int) -> None:
    """Both arms read their images at one size, and it should be that of the synthetic ones."""
    size = config.classifier.image_size or config.gan.image_size
    if config.classifier.image_size is None and size != made:
        raise ConfigurationError(
            f"The synthetic images are {made} px wide, but gan.image_size={size} has real images "
            f"read at {size} px; pass the recipe that made them, or --set "
            f"classifier.image_size={made}."
        )
    if size > made:
        log.warning(
            "WARNING: real images are read at %d px and synthetic ones were made at %d px: "
            "sharpness alone can tell the classes apart. Leave classifier.image_size unset to "
            "pass both through the same size.",
            size,
            made,
        )
