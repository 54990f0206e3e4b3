"""`balancer evaluate`: test a finished classifier on images of another folder."""

import logging
from pathlib import Path

from rich.console import RenderableType

from balancer.ablation.external import external_table
from balancer.config import BalancerConfig
from balancer.data.index import load_index
from balancer.data.roots import base_folder
from balancer.errors import ConfigurationError
from balancer.evaluation.external import fingerprint_of_labels, load_external
from balancer.evaluation.fit_and_test import Reader, predict_noted
from balancer.evaluation.ledger import EXTERNAL, INDEX_FOLD, fingerprint_of_images
from balancer.evaluation.performance import PREDICTIONS, metric_lines, write_performance
from balancer.evaluation.records import EvaluateMetrics
from balancer.evaluation.trained_classifier import (
    REAL_ARM,
    SYNTHETIC_ARM,
    load_trained,
    trained_arm,
)
from balancer.manifest import fingerprint
from balancer.results import StageResult, fingerprint_of_result, perform, standing_result
from balancer.workspace import Workspace

log = logging.getLogger(__name__)


def run(
    config: BalancerConfig,
    workspace: Workspace,
    *,
    images: Path,
    force: bool = False,
    with_synthetic: bool = False,
) -> StageResult[EvaluateMetrics]:
    """Test unchanged weights and threshold on images that the index lacks.

    Images that show an image or a patient of the index are left out and counted.

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
        test = write_performance(
            predict_noted(trained.loaded, table, reader, what=f"{EXTERNAL}{name}"),
            partial,
            positive=index.classes.index(of_classifier.positive_class),
            threshold=of_classifier.threshold,
            n_bootstrap=config.evaluation.bootstrap_samples,
            seed=config.seed,
        )
        return EvaluateMetrics(
            arm=arm,
            positive_class=of_classifier.positive_class,
            threshold=of_classifier.threshold,
            external=external.facts(),
            predictions=fingerprint((partial / PREDICTIONS).read_bytes()),
            test=test,
        )

    return perform("evaluate", workspace, directory, settings=settings, inputs=inputs, work=work)


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
    return ["\n".join([title, *metric_lines(metrics.test)])]
