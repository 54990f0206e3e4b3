"""`balancer classify`: train one classifier and test it once, on real images."""

import logging
from pathlib import Path
from typing import Any

from rich.console import RenderableType

import classifier
import classifier.models
from balancer.config import BalancerConfig
from balancer.data.cache import open_cache
from balancer.data.index import ImageSet, Index, load_index, training_table
from balancer.data.roots import Roots
from balancer.errors import ConfigurationError
from balancer.evaluation.classifier_recipe import complete_recipe
from balancer.evaluation.fit_and_test import Reader, fit_and_test
from balancer.evaluation.ledger import fingerprint_of_images, n_reads
from balancer.evaluation.performance import PREDICTIONS, metric_lines, write_performance
from balancer.evaluation.records import ClassifyMetrics, TrainingImages
from balancer.evaluation.trained_classifier import REAL_ARM, SYNTHETIC_ARM, load_trained
from balancer.manifest import SyntheticRecord, fingerprint
from balancer.report.elsewhere import evaluations, known_elsewhere, travel_study
from balancer.resources import check_accelerator
from balancer.results import StageResult, perform, read_result, standing_result
from balancer.synthetic.gates import load_synthetic, outside_sources, synthetic_fingerprint
from balancer.workspace import Workspace
from classifier.checkpoint import CARD, WEIGHTS

log = logging.getLogger(__name__)
_OF_ABLATIONS = {"decision_threshold", "subgroups"}
"""Settings of `evaluation` that no single classifier depends on."""


def run(
    config: BalancerConfig,
    workspace: Workspace,
    *,
    force: bool = False,
    with_synthetic: bool = False,
) -> StageResult[ClassifyMetrics]:
    """Train on the training split, choose on validation, test once.

    Both arms take the number of optimizer steps that `classifier.n_epochs` passes over the real
    training images take.

    Args:
        config: Sections `classifier`, `evaluation`, `hardware` and `seed` are used.
        workspace: Reads `index/` and, with synthetic images, `synthetic/`; writes
            `classify/real/` or `classify/real+synthetic/`, and the read of the test images into
            the ledger.
        force: Train again even if the result is up to date.
        with_synthetic: Add the accepted synthetic images to the training split.

    Raises:
        MissingStage: There is no index, or there are no synthetic images.
        IntegrityError: Synthetic images, or the images of a generator that saw today's validation
            or test split, would reach the evaluation; or the trained classifier was damaged.
        EnvironmentFault: Training diverged, or the accelerator is missing.
    """
    generates = with_synthetic or workspace.has_generated()
    check(config, workspace, beside_generated=generates)
    index = load_index(workspace.index_dir)
    synthetic = load_synthetic(workspace, index) if with_synthetic else []
    if synthetic:
        _compare_sizes(config, min(record.width for record in synthetic))
    config = complete_recipe(config, beside_generated=generates)
    if generates and not with_synthetic and config.classifier_image_size < _network_side(config):
        log.info(
            "Reading images at %d px, the size of the generated ones of this workspace, so that "
            "both classifiers compare; --set classifier.image_size=%d reads them sharper.",
            config.classifier_image_size, _network_side(config),
        )  # fmt: skip
    arm = SYNTHETIC_ARM if with_synthetic else REAL_ARM
    settings = _settings(config)
    inputs = {"index": index.index_hash, "synthetic": synthetic_fingerprint(synthetic)}
    directory = workspace.classify_dir(arm)
    standing = standing_result(
        directory,
        ClassifyMetrics,
        settings=settings,
        inputs=inputs,
        force=force,
        files=[WEIGHTS, CARD, PREDICTIONS],
    )
    if standing is not None:
        load_trained(directory)  # refuses a classifier that was damaged since
        return _beside_elsewhere(standing, workspace, index)

    def work(folder: Path) -> ClassifyMetrics:
        return _train_and_test(config, workspace, index, synthetic, arm, folder)

    result = perform("classify", workspace, directory, settings=settings, inputs=inputs, work=work)
    return _beside_elsewhere(result, workspace, index)


def _beside_elsewhere(
    result: StageResult[ClassifyMetrics], workspace: Workspace, index: Index
) -> StageResult[ClassifyMetrics]:
    """Return a result with what is known of other hospitals today, which is not in its file."""
    arm = result.metrics.arm
    mine = {
        place: one for place, one in evaluations(workspace).items() if place.endswith(f"/{arm}")
    }
    known = known_elsewhere(None, mine, travel_study(workspace, index.index_hash))
    return result.model_copy(
        update={"metrics": result.metrics.model_copy(update={"elsewhere": known})}
    )


def check(config: BalancerConfig, workspace: Workspace, *, beside_generated: bool) -> None:
    """Refuse, before expensive stages, what a training would refuse.

    Args:
        config: Sections `classifier`, `evaluation`, `gan.image_size` and `hardware` are used.
        workspace: Has an index.
        beside_generated: As in `complete_recipe`.

    Raises:
        ConfigurationError: The model, its weights or the positive class does not exist, or the
            network does not take images of the size.
        EnvironmentFault: The accelerator is missing.
    """
    check_accelerator(config.hardware)
    index = load_index(workspace.index_dir)
    index.positive_class(config.evaluation.positive_class)
    config = complete_recipe(config, beside_generated=beside_generated)
    try:
        classifier.models.build(config.classifier, len(index.classes))
    except ValueError as error:
        raise ConfigurationError(str(error)) from error


def stands_alone(config: BalancerConfig, workspace: Workspace) -> bool:
    """Report whether the classifier of the real arm was trained before there was a generator.

    It then reads images larger than generated ones, and averages more networks, by default alone;
    so it may be replaced by one that compares.
    """
    existing = read_result(workspace.classify_dir(REAL_ARM), ClassifyMetrics)
    if existing is None:
        return False
    alone = complete_recipe(config, beside_generated=False)
    beside = complete_recipe(config, beside_generated=True)
    is_alone = existing.settings == _settings(alone) != _settings(beside)
    if is_alone:
        log.info(
            "The classifier of real images was trained for use alone; it is trained again with "
            "the settings that compare with generated images."
        )
    return is_alone


def _settings(config: BalancerConfig) -> dict[str, Any]:
    return {
        "seed": config.seed,
        "image_size": config.classifier_image_size,
        "classifier": config.classifier.model_dump(mode="json"),
        "evaluation": config.evaluation.model_dump(mode="json", exclude=_OF_ABLATIONS),
        "precision": config.hardware.precision,
    }


def summary(result: StageResult[ClassifyMetrics]) -> list[RenderableType]:
    """Return what the terminal shows of a result."""
    metrics = result.metrics
    title = (
        f"Trained on {metrics.arm}{metrics.outside_words}, tested once on {metrics.test.n} "
        f"real images; positive class {metrics.positive_class}"
    )
    return ["\n".join([title, *metric_lines(metrics.test)]), metrics.elsewhere]


def _train_and_test(
    config: BalancerConfig,
    workspace: Workspace,
    index: Index,
    synthetic: list[SyntheticRecord],
    arm: str,
    folder: Path,
) -> ClassifyMetrics:
    size = config.classifier_image_size
    made, outside = None, outside_sources(workspace) if synthetic else {}
    if synthetic:
        place = workspace.synthetic_dir
        read_alike = index.preprocessor.alone
        pixels = open_cache(place, Roots.of([place]), synthetic, size, read_alike)
        made = ImageSet(synthetic, pixels)
    train = training_table(index.image_set(size), index.classes, made)
    earlier_reads = _earlier_reads(workspace, index, arm)
    positive = index.classes.index(index.positive_class(config.evaluation.positive_class))
    n_real = sum(index.counts("train").values())
    log.info(
        "Training %s on %d real and %d synthetic images, %d steps",
        config.classifier.model, n_real, len(synthetic),
        classifier.plan_steps(config.classifier, n_real).n_steps,
    )  # fmt: skip
    outcome = fit_and_test(
        config,
        index,
        train,
        recipe=config.classifier,
        positive=positive,
        seed=config.seed,
        reader=Reader(workspace.ledger_dir, "index", config.seed, arm),
        folder=folder,
        notes={"n_synthetic": len(synthetic)},
        progress=log.isEnabledFor(logging.INFO),
    )
    test = write_performance(
        outcome.test,
        folder,
        positive=positive,
        threshold=outcome.threshold,
        n_bootstrap=config.evaluation.bootstrap_samples,
        seed=config.seed,
    )
    more: dict[str, Any] = {"outside": outside} if outside else {}
    return ClassifyMetrics(
        arm=arm,
        positive_class=index.classes[positive],
        threshold=outcome.threshold,
        training_images=TrainingImages(real=n_real, synthetic=len(synthetic)),
        n_steps=outcome.fit.n_steps,
        best_epoch=outcome.fit.best_epoch,
        predictions=fingerprint((folder / PREDICTIONS).read_bytes()),
        test=test,
        test_reads=earlier_reads + 1,
        **more,
    )


def _earlier_reads(workspace: Workspace, index: Index, arm: str) -> int:
    """Count earlier tests of this arm on these test images, and warn before a long training."""
    images = fingerprint_of_images(record.image_id for record in index.select("test"))
    before = n_reads(workspace.ledger_dir, arm=arm, images_sha256=images)
    if before:
        log.warning(
            "These test images have tested a classifier of %s before (%s): choices made since "
            "then are no longer independent of them.",
            arm, "once" if before == 1 else f"{before} times",
        )  # fmt: skip
    return before


def _network_side(config: BalancerConfig) -> int:
    """Side that the network sees; larger images add nothing."""
    return config.classifier.input_size or config.classifier_image_size


def _compare_sizes(config: BalancerConfig, made: int) -> None:
    """Keep both arms at one image size, which should be that of the synthetic images."""
    size = config.classifier.image_size or config.gan.image_size
    if config.classifier.image_size is None and size != made:
        raise ConfigurationError(
            f"The synthetic images are {made} px wide, but gan.image_size={size} means that real "
            f"images are read at {size} px; pass the recipe that made them, or --set "
            f"classifier.image_size={made}."
        )
    if size > made:
        log.warning(
            "WARNING: real images are read at %d px and synthetic ones were made at %d px: "
            "sharpness alone can give the class away. Leave classifier.image_size unset to "
            "read both at one size.",
            size,
            made,
        )
