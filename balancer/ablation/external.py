"""Tests of finished classifiers on another data set, with unchanged weights and thresholds."""

import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from balancer.ablation.design import EndedStudy
from balancer.ablation.protocol import RegisteredQuestion, newest_hash
from balancer.ablation.runs import Run
from balancer.ablation.unit import Unit, read_run
from balancer.data.index import RadiographTable
from balancer.errors import ConfigurationError, IntegrityError
from balancer.evaluation.external import External, fingerprint_of_labels
from balancer.evaluation.fit_and_test import Reader, predict_noted
from balancer.evaluation.ledger import EXTERNAL, fingerprint_of_images
from balancer.evaluation.predictions import Predictions, read_predictions, write_predictions
from balancer.evaluation.records import UnitMetrics
from balancer.evaluation.trained_classifier import load_trained
from balancer.imaging.config import ImageRecipe
from balancer.manifest import fingerprint
from balancer.results import (
    Record,
    fingerprint_of_result,
    perform,
    read_result,
    standing_result,
)
from balancer.workspace import Workspace
from classifier.metrics import predict_classes

PREDICTIONS_ELSEWHERE = "predictions.csv"


class ExternalUnitMetrics(Record):
    """Arm of a unit, and its predictions for other images.

    Attributes:
        arm: Name of the arm.
        n: Number of images.
        predictions: Fingerprint of the file of predictions; None in early versions.
    """

    arm: str
    n: int
    predictions: str | None = None


def external_table(
    external: External,
    classes: Sequence[str],
    directory: Path,
    size: int,
    preprocessing: ImageRecipe,
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
    preprocessing: ImageRecipe,
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
        "labels": fingerprint_of_labels(table.records),
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
            protocol = newest_hash(workspace)
            reader = Reader(
                workspace.ledger_dir, unit.fold, unit.seed, unit.arm.name, protocol=protocol
            )
            predictions = predict_noted(trained.loaded, table, reader, what=f"{EXTERNAL}{name}")
            predicted = predict_classes(
                predictions.probabilities, positive=run.positive, threshold=run.threshold
            )
            write_predictions(partial / PREDICTIONS_ELSEWHERE, predictions, predicted)
            return ExternalUnitMetrics(
                arm=unit.arm.name,
                n=len(table),
                predictions=fingerprint((partial / PREDICTIONS_ELSEWHERE).read_bytes()),
            )

        perform("ablate", workspace, directory, settings=settings, inputs=inputs, work=work)
    return tested_elsewhere(run, read_predictions_elsewhere(directory))


def read_predictions_elsewhere(directory: Path) -> Predictions:
    """Read the predictions of a unit for other images.

    Args:
        directory: Folder of `run_elsewhere`, or of the copy that is kept.

    Raises:
        IntegrityError: They are missing or were changed.
    """
    path = directory / PREDICTIONS_ELSEWHERE
    result = read_result(directory, ExternalUnitMetrics)
    expected = None if result is None else result.metrics.predictions
    changed = expected is not None and path.is_file() and fingerprint(path.read_bytes()) != expected
    if result is None or not path.is_file() or changed:
        raise IntegrityError(
            f"{path} is missing or was changed after the test; remove its folder and run `balancer "
            "ablate` again."
        )
    return read_predictions(path)


def first_run_elsewhere(study: EndedStudy, unit: Unit, question: RegisteredQuestion) -> Run | None:
    """Return a registered unit with its first predictions for the images that carry the verdict.

    Args:
        study: The study as registered.
        unit: One of its units.
        question: The registered question.

    Returns:
        None: they were not kept, see `keep_first_predictions_elsewhere`.

    Raises:
        IntegrityError: Predictions were changed.
    """
    directory = _kept(study, unit, question)
    result = read_result(directory, ExternalUnitMetrics)
    if result is None or result.inputs != _origin(study, unit, question):
        return None
    run = read_run(study.workspace, unit, registered=True)
    return tested_elsewhere(run, read_predictions_elsewhere(directory))


def units_elsewhere(study: EndedStudy) -> list[Unit]:
    """Return the finished units that are tested on other data sets."""
    folds = {fold.name for fold in study.plan.folds}
    return [
        unit for unit in study.finished if unit.fold in folds and unit.arm not in study.plan.curve
    ]


def has_verdict_images(study: EndedStudy, question: RegisteredQuestion) -> bool:
    """Return whether the folder given today holds the images that carry the registered verdict."""
    found = study.external.get(str(question.verdict_on))
    if found is None:
        return False
    ids = fingerprint_of_images(record.image_id for record in found.records)
    today = (ids, fingerprint_of_labels(found.records))
    return today == (question.verdict_images, question.verdict_labels)


def keep_first_predictions_elsewhere(
    study: EndedStudy, unit: Unit, question: RegisteredQuestion
) -> None:
    """Copy what `run_elsewhere` wrote for a registered unit, so that no later test replaces it."""
    workspace, name = study.workspace, str(question.verdict_on)
    source = workspace.external_dir(name, unit.fold, unit.seed, unit.arm.slug)

    def work(partial: Path) -> ExternalUnitMetrics:
        shutil.copy(source / PREDICTIONS_ELSEWHERE, partial / PREDICTIONS_ELSEWHERE)
        n = len(read_predictions_elsewhere(source).labels)
        copied = fingerprint((partial / PREDICTIONS_ELSEWHERE).read_bytes())
        return ExternalUnitMetrics(arm=unit.arm.name, n=n, predictions=copied)

    perform(
        "ablate",
        workspace,
        _kept(study, unit, question),
        settings={"name": name},
        inputs=_origin(study, unit, question),
        work=work,
    )


def _kept(study: EndedStudy, unit: Unit, question: RegisteredQuestion) -> Path:
    return study.workspace.registered_external_dir(
        str(question.verdict_on), unit.fold, unit.seed, unit.arm.slug
    )


def _origin(study: EndedStudy, unit: Unit, question: RegisteredQuestion) -> dict[str, str | None]:
    """Return the fingerprints of the images, and of the classifier by its test predictions."""
    result = read_result(study.directory(unit), UnitMetrics)
    return {
        "images": question.verdict_images,
        "labels": question.verdict_labels,
        "run": None if result is None else result.metrics.test,
    }


def tested_elsewhere(run: Run, predictions: Predictions) -> Run:
    """Return a run with predictions for images that are in no split, as its test."""
    return replace(run, test=predictions, n_test=len(run.test.labels))
