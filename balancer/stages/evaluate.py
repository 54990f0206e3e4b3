"""`balancer evaluate`: a finished classifier on images of another folder, as it is."""

import logging
from pathlib import Path
from typing import Any

from rich.console import RenderableType

import classifier
from balancer.ablation.external import external_table
from balancer.config import BalancerConfig
from balancer.data.index import load_index
from balancer.data.preprocessing import refuse_other_preprocessing
from balancer.data.roots import base_folder
from balancer.drawing.numbers import metric_lines
from balancer.errors import ConfigurationError, IntegrityError
from balancer.evaluation.external import load_external
from balancer.evaluation.ledger import note_read
from balancer.evaluation.tested import PREDICTIONS, test_classifier
from balancer.evaluation.trained import ARMS, trained_arm
from balancer.manifest import fingerprint
from balancer.results import UntypedResult, perform, standing_result
from balancer.workspace import Workspace
from classifier.checkpoint import ClassifierCheckpointError

log = logging.getLogger(__name__)


def run(
    config: BalancerConfig,
    workspace: Workspace,
    *,
    images: Path,
    force: bool = False,
    with_synthetic: bool = False,
) -> UntypedResult:
    """Test weights and threshold as they are on images that the index lacks.

    Images that show a film or a patient of the index are left out and counted.

    Args:
        config: `data`, `evaluation.bootstrap_samples` and `seed` are used.
        workspace: Reads `index/` and `classify/`; writes `evaluate/`.
        images: An archive of any layout.
        force: Test again whatever stands there.
        with_synthetic: Test the classifier that was trained with synthetic images.

    Raises:
        MissingStage: There is no index, or no such classifier.
        DataError: The folder does not fit the classes, or no image of it is new.
        IntegrityError: The classifier is of another split, its files were changed, or it learnt
            from films prepared otherwise than those of the index.
    """
    index = load_index(workspace.index_dir)
    arm = "real+synthetic" if with_synthetic else "real"
    trained = workspace.classify_dir(arm)
    result = trained_arm(
        trained, arm, index, wanted_by="`balancer evaluate` tests a finished classifier"
    )
    if not images.exists():
        raise ConfigurationError(
            f"`balancer evaluate` wants a folder with one folder per class, or another archive of "
            f"radiographs, but {images} is none."
        )
    workspace.refuse_overlap(base_folder(images))
    external = load_external(images, index, config.data)
    name = images.resolve().stem if images.is_file() else images.resolve().name
    ids = fingerprint("\n".join(record.image_id for record in external.records).encode())
    settings = {
        "name": name,
        "seed": config.seed,
        "bootstrap_samples": config.evaluation.bootstrap_samples,
    }
    inputs = {"images": ids, "classifier": fingerprint((trained / "result.json").read_bytes())}
    directory = workspace.evaluate_dir(f"{name}-{ids[:8]}", arm)
    standing = standing_result(directory, settings=settings, inputs=inputs, force=force)
    if standing is not None:
        return standing

    def work(folder: Path) -> dict[str, Any]:
        try:
            loaded = classifier.load(trained)
        except ClassifierCheckpointError as error:
            raise IntegrityError(str(error)) from error
        if loaded.class_names != tuple(index.classes):
            raise IntegrityError(
                f"{trained} should know the classes {', '.join(index.classes)} but names "
                f"{', '.join(loaded.class_names)}; run `{ARMS[arm]} --force`."
            )
        refuse_other_preprocessing(loaded.provenance, index.preprocessing, str(trained))
        size = int(result.settings["image_size"])
        cache = workspace.root / "cache" / "external" / ids[:8]
        table = external_table(external, index.classes, cache, size, index.preprocessing)
        note_read(
            workspace.ledger_dir,
            what=f"external:{name}",
            fold="index",
            seed=config.seed,
            arm=arm,
            images=len(table),
            images_sha256=ids,
        )
        positive = index.classes.index(result.metrics["positive_class"])
        test = test_classifier(
            loaded,
            table,
            folder,
            positive=positive,
            threshold=result.metrics["threshold"],
            n_bootstrap=config.evaluation.bootstrap_samples,
            seed=config.seed,
        )
        return {
            "arm": arm,
            "positive_class": result.metrics["positive_class"],
            "threshold": result.metrics["threshold"],
            "external": external.facts(),
            "predictions": fingerprint((folder / PREDICTIONS).read_bytes()),
            "test": test,
        }

    return perform("evaluate", workspace, directory, settings=settings, inputs=inputs, work=work)


def summary(result: UntypedResult) -> list[RenderableType]:
    """What the terminal shows of a result."""
    metrics = result.metrics
    left_out = sum(metrics["external"]["dropped"].values())
    title = (
        f"Trained on {metrics['arm']}, tested as it is on {metrics['test']['n']} images of "
        f"{result.settings['name']}; positive class {metrics['positive_class']}"
    )
    if left_out:
        title += f"; {left_out} more show films or patients of the index and were left out"
    return ["\n".join([title, *metric_lines(metrics["test"])])]
