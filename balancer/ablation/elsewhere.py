"""Finished classifiers on another data set, their weights and thresholds as they are."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from balancer.ablation.ledger import note_read
from balancer.ablation.paired_bootstrap import draw, mean_over_runs, percentile_interval
from balancer.ablation.run_scores import COMPARED, TITLES, score_run
from balancer.ablation.runs import REAL, Question, Run
from balancer.ablation.unit import Unit, read_run
from balancer.data.dataset import RadiographTable
from balancer.data.external import External
from balancer.errors import ConfigurationError
from balancer.manifest import fingerprint
from balancer.report.tables import Predictions, read_predictions, write_predictions
from balancer.results import perform, standing_result
from balancer.workspace import Workspace
from classifier.checkpoint import load_classifier
from classifier.metrics import predict_classes
from classifier.predict import predict_probabilities

_TABLE = "predictions.csv"


def external_table(
    external: External, classes: Sequence[str], directory: Path, size: int
) -> RadiographTable:
    """The images as the classifiers of the run take them."""
    images = external.image_set(directory, size)
    number = {label: place for place, label in enumerate(classes)}
    rows = range(len(images.records))
    return RadiographTable(
        records=images.records,
        labels=np.array([number[record.label] for record in images.records], np.int64),
        classes=tuple(classes),
        sources=[images.pixels],
        places=np.array([(0, row) for row in rows], np.int64),
    )


def run_elsewhere(workspace: Workspace, unit: Unit, name: str, table: RadiographTable) -> Run:
    """Test a finished unit on other images, once.

    Raises:
        ConfigurationError: Its weights were not kept.
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
            loaded = load_classifier(folder)
            note_read(
                workspace.ledger_dir,
                what=name,
                fold=unit.fold,
                seed=unit.seed,
                arm=unit.arm.name,
                images=len(table),
                images_sha256=ids,
            )
            probabilities = predict_probabilities(loaded, table)
            predictions = Predictions(
                image_ids=[record.image_id for record in table.records],
                groups=[record.group for record in table.records],
                labels=table.labels,
                probabilities=probabilities,
                class_names=list(table.classes),
            )
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


def compare_elsewhere(runs: Sequence[Run], question: Question) -> dict[str, Any]:
    """Means over the runs of each arm, with the spread that the images alone cause.

    All runs are tested on the same images, so resampling these is the only spread that a single
    such data set can show; that of the splits is in the main table.

    Returns:
        Per arm in `arms`, `metrics` and `difference_to_real` as `{"value", "low", "high"}`.
    """
    scored = [score_run(run, question) for run in runs]
    drawn = draw(scored, question.n_bootstrap, question.seed)
    rows = {
        arm: [row for row, run in enumerate(runs) if run.arm == arm]
        for arm in dict.fromkeys(run.arm for run in runs)
    }

    def interval(key: str, own: Sequence[int], other: Sequence[int] = ()) -> dict[str, Any]:
        values = [scored[row].values[key] for row in own]
        base = [scored[row].values[key] for row in other]
        if np.isnan([*values, *base]).any():
            reason = next(
                (scored[row].reasons[key] for row in own if key in scored[row].reasons),
                "it is undefined for a run",
            )
            return {"value": None, "low": None, "high": None, "reason": reason}
        place = COMPARED.index(key)
        draws = _mean_draws(drawn, runs, own, place)
        value = float(np.mean(values))
        if other:
            draws = draws - _mean_draws(drawn, runs, other, place)
            value -= float(np.mean(base))
        return {"value": value} | percentile_interval(draws)

    arms: dict[str, Any] = {}
    for arm, own in rows.items():
        arms[arm] = {"metrics": {key: interval(key, own) for key in TITLES}, "n_runs": len(own)}
        if arm != REAL and REAL in rows:
            paired = _paired(runs, own, rows[REAL])
            arms[arm]["difference_to_real"] = {
                key: interval(key, [row for row, _ in paired], [row for _, row in paired])
                for key in TITLES
            }
    return {"arms": arms}


def _mean_draws(
    drawn: Sequence[np.ndarray], runs: Sequence[Run], rows: Sequence[int], place: int
) -> np.ndarray:
    return mean_over_runs(
        np.stack([drawn[row][place] for row in rows]), [runs[row].fold for row in rows]
    )


def _paired(runs: Sequence[Run], own: Sequence[int], other: Sequence[int]) -> list[tuple[int, int]]:
    of = {(runs[row].fold, runs[row].seed): row for row in other}
    keys = {row: (runs[row].fold, runs[row].seed) for row in own}
    return [(row, of[key]) for row, key in keys.items() if key in of]
