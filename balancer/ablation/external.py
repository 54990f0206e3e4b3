"""Tests of finished classifiers on another data set, with unchanged weights and thresholds."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from balancer.ablation.runs import Run
from balancer.ablation.unit import Unit, read_run
from balancer.data.index import RadiographTable
from balancer.errors import ConfigurationError
from balancer.evaluation.external import External
from balancer.evaluation.fit_and_test import Reader, predict_noted
from balancer.evaluation.ledger import fingerprint_of_images
from balancer.evaluation.predictions import read_predictions, write_predictions
from balancer.evaluation.trained_classifier import load_trained
from balancer.imaging.config import PreprocessingConfig
from balancer.results import Record, fingerprint_of_result, perform, standing_result
from balancer.workspace import Workspace
from classifier.metrics import predict_classes

_TABLE = "predictions.csv"


class ExternalUnitMetrics(Record):
    """Arm of a unit, and number of images that it was tested on."""

    arm: str
    n: int


def external_table(
    external: External,
    classes: Sequence[str],
    directory: Path,
    size: int,
    preprocessing: PreprocessingConfig,
) -> RadiographTable:
    """Return the images in the form that the classifiers of the run take.

    Args:
        external: The other data set.
        classes: Classes of the index.
        directory: Folder of the cache.
        size: Side in pixels.
        preprocessing: Preprocessing of the classifiers' training images.

    Raises:
        DataError: The preprocessing needs lung masks that an image lacks.
        IntegrityError: A file has changed since it was read.
    """
    images = external.image_set(directory, size, preprocessing)
    number = {label: place for place, label in enumerate(classes)}
    rows = range(len(images.records))
    return RadiographTable(
        records=images.records,
        labels=np.array([number[record.label] for record in images.records], np.int64),
        classes=tuple(classes),
        sources=[images.pixels],
        places=np.array([(0, row) for row in rows], np.int64),
    )


def run_elsewhere(
    workspace: Workspace,
    unit: Unit,
    name: str,
    table: RadiographTable,
    preprocessing: PreprocessingConfig,
) -> Run:
    """Test a finished unit on other images, once.

    Args:
        workspace: The main workspace.
        unit: The unit.
        name: Name of the other data set.
        table: Its images.
        preprocessing: Preprocessing of the table.

    Raises:
        ConfigurationError: Its weights were not kept.
        IntegrityError: Its training images were preprocessed otherwise, or its files were changed.
    """
    run = read_run(workspace, unit)
    folder = workspace.unit_dir(unit.fold, unit.seed, unit.arm.slug)
    directory = workspace.external_dir(name, unit.fold, unit.seed, unit.arm.slug)
    settings = {"name": name}
    inputs = {
        "images": fingerprint_of_images(record.image_id for record in table.records),
        "run": fingerprint_of_result(folder),
    }
    standing = standing_result(
        directory,
        ExternalUnitMetrics,
        settings=settings,
        inputs=inputs,
        force=False,
        announce=False,
        earlier_inputs=inputs | {"run": fingerprint_of_result(folder, with_time=True)},
    )
    if standing is None:
        if not (folder / "classifier.json").is_file():
            raise ConfigurationError(
                f"--external tests finished classifiers, but the weights of {unit.name} were not "
                "kept; set ablation.keep_models=true and run `balancer ablate --force`."
            )

        def work(partial: Path) -> ExternalUnitMetrics:
            trained = load_trained(folder)
            trained.refuse_other_preprocessing(preprocessing)
            reader = Reader(workspace.ledger_dir, unit.fold, unit.seed, unit.arm.name)
            predictions = predict_noted(trained.loaded, table, reader, what=f"external:{name}")
            predicted = predict_classes(
                predictions.probabilities, positive=run.positive, threshold=run.threshold
            )
            write_predictions(partial / _TABLE, predictions, predicted)
            return ExternalUnitMetrics(arm=unit.arm.name, n=len(table))

        perform("ablate", workspace, directory, settings=settings, inputs=inputs, work=work)
    return replace(run, test=read_predictions(directory / _TABLE), n_test=len(run.test.labels))
