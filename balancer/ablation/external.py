"""Finished classifiers on another data set, their weights and thresholds as they are."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

import classifier
from balancer.ablation.runs import Run
from balancer.ablation.unit import Unit, read_run
from balancer.data.index import RadiographTable
from balancer.data.preprocessing import refuse_other_preprocessing
from balancer.errors import ConfigurationError
from balancer.evaluation.external import External
from balancer.evaluation.ledger import note_read
from balancer.evaluation.predictions import predictions_for, read_predictions, write_predictions
from balancer.imaging.config import PreprocessingConfig
from balancer.manifest import fingerprint
from balancer.results import perform, standing_result
from balancer.workspace import Workspace
from classifier.metrics import predict_classes

_TABLE = "predictions.csv"


def external_table(
    external: External,
    classes: Sequence[str],
    directory: Path,
    size: int,
    preprocessing: PreprocessingConfig,
) -> RadiographTable:
    """The images as the classifiers of the run take them.

    Args:
        external: The other data set.
        classes: Of the index.
        directory: Folder of the cache.
        size: Side in pixels.
        preprocessing: What the classifiers learnt from.

    Raises:
        DataError: It wants lung masks that an image lacks.
        IntegrityError: A file has changed since it was looked at.
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
        workspace: The main one.
        unit: What was trained.
        name: Of the other data set.
        table: Its images.
        preprocessing: By which the table was made.

    Raises:
        ConfigurationError: Its weights were not kept.
        IntegrityError: It learnt from films prepared otherwise.
    """
    run = read_run(workspace, unit)
    folder = workspace.unit_dir(unit.fold, unit.seed, unit.arm.slug)
    ids = fingerprint("\n".join(record.image_id for record in table.records).encode())
    directory = workspace.external_dir(name, unit.fold, unit.seed, unit.arm.slug)
    inputs = {"images": ids, "run": fingerprint((folder / "result.json").read_bytes())}
    standing = standing_result(
        directory, settings={"name": name}, inputs=inputs, force=False, announce=False
    )
    if standing is None:
        if not (folder / "classifier.json").is_file():
            raise ConfigurationError(
                f"--external tests finished classifiers, but the weights of {unit.name} were not "
                "kept; set ablation.keep_models=true and run `balancer ablate --force`."
            )

        def work(partial: Path) -> dict[str, Any]:
            loaded = classifier.load(folder)
            refuse_other_preprocessing(loaded.provenance, preprocessing, str(folder))
            note_read(
                workspace.ledger_dir,
                what=f"external:{name}",
                fold=unit.fold,
                seed=unit.seed,
                arm=unit.arm.name,
                images=len(table),
                images_sha256=ids,
            )
            probabilities = classifier.predict(loaded, table)
            predictions = predictions_for(table, probabilities)
            predicted = predict_classes(
                probabilities, positive=run.positive, threshold=run.threshold
            )
            write_predictions(partial / _TABLE, predictions, predicted)
            return {"arm": unit.arm.name, "n": len(table)}

        perform(
            "ablate",
            workspace,
            directory,
            settings={"name": name},
            inputs=inputs,
            work=work,
        )
    return Run(
        arm=run.arm,
        fold=run.fold,
        seed=run.seed,
        positive=run.positive,
        threshold=run.threshold,
        training_prior=run.training_prior,
        n_outside=run.n_outside,
        seconds=run.seconds,
        test=read_predictions(directory / _TABLE),
        validation=run.validation,
    )
