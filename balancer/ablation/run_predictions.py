"""The test predictions of every run of an ablation, for curves over all runs."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from balancer.ablation.arm_records import RunScores
from balancer.ablation.external import PREDICTIONS_ELSEWHERE, read_predictions_elsewhere
from balancer.ablation.records import AblateMetrics
from balancer.errors import IntegrityError
from balancer.evaluation.predictions import Predictions, read_predictions
from balancer.evaluation.records import UnitMetrics
from balancer.manifest import fingerprint
from balancer.results import read_result
from balancer.statistics.platt import fit_platt
from balancer.workspace import Workspace
from classifier.metrics import macro_auroc, predict_classes

Floats = NDArray[np.float64]
_TEST, _VALIDATION = "test.csv", "validation.csv"
_CLOSE = 1e-4  # AUROCs in float32 and float64 differ less


@dataclass(frozen=True, slots=True)
class RunPredictions:
    """The predictions of one trained classifier for its test images.

    Attributes:
        fold: Name of the split.
        seed: Number of the training seed.
        threshold: Threshold chosen on validation; None with more than two classes.
        predictions: The predictions.
        validation: Predictions for its validation images; None if they are gone.
        path: Path to their file.
        unit: Folder of the run.
    """

    fold: str
    seed: int
    threshold: float | None
    predictions: Predictions
    validation: Predictions | None
    path: Path
    unit: Path

    def positives(self, positive: int) -> NDArray[np.bool_]:
        """Mark the test images of the positive class: bool (N,)."""
        return np.asarray(self.predictions.labels == positive)

    def predicted(self, positive: int) -> NDArray[np.int64]:
        """Return predicted class numbers (N,), at the run's threshold."""
        return predict_classes(
            self.predictions.probabilities, positive=positive, threshold=self.threshold
        )

    def scores(self, positive: int) -> Floats:
        """Return raw probabilities of the positive class, float64 (N,)."""
        return np.asarray(self.predictions.probabilities[:, positive])

    def recalibrated_scores(self, positive: int) -> Floats | None:
        """Return them recalibrated by slope and intercept on the run's validation images.

        Args:
            positive: Number of the positive class.

        Returns:
            float64 (N,); None where nothing can be fitted.
        """
        if self.validation is None:
            return None
        fitted = fit_platt(self.validation.probabilities, self.validation.labels)
        if fitted is None:
            return None
        return np.asarray(fitted.apply(self.predictions.probabilities)[:, positive])


def read_predictions_of_runs(
    ablation: AblateMetrics, runs: Path, workspace: Workspace
) -> dict[str, list[RunPredictions]]:
    """Read the predictions of all runs of an ablation, for the images that its verdict is about.

    Args:
        ablation: Results of the ablation.
        runs: The folder `runs/units` of the workspace, or that of the first predictions.
        workspace: The workspace.

    Returns:
        Per arm the runs whose predictions still exist.

    Raises:
        IntegrityError: Predictions are not those that the ablation compared.
    """
    units = _units(runs)
    return {
        arm: [
            _read(arm, run, *units[key], ablation, workspace)
            for run in found.per_run
            if (key := (arm, run.fold, str(run.seed))) in units
        ]
        for arm, found in ablation.arms.items()
    }


def fingerprint_of_runs(runs: Mapping[str, list[RunPredictions]]) -> str:
    """Return the SHA-256 over all predictions that were read."""
    found = [
        f"{arm}\0{run.fold}\0{run.seed}\0{fingerprint(run.path.read_bytes())}"
        for arm, several in runs.items()
        for run in several
    ]
    return fingerprint("\n".join(found).encode())


def _units(runs: Path) -> dict[tuple[str, str, str], tuple[Path, UnitMetrics]]:
    """Find the folder and the metrics of each (arm, fold, seed)."""
    units = {}
    for record in sorted(runs.glob("*/*/*/result.json")):
        folder = record.parent
        result = read_result(folder, UnitMetrics)
        if result is not None and (folder / _TEST).is_file():
            arm = result.metrics.arm
            units[arm, folder.parent.parent.name, folder.parent.name] = (folder, result.metrics)
    return units


def _read(
    arm: str,
    run: RunScores,
    folder: Path,
    metrics: UnitMetrics,
    ablation: AblateMetrics,
    workspace: Workspace,
) -> RunPredictions:
    path = folder / _TEST
    if fingerprint(path.read_bytes()) != metrics.test:
        raise IntegrityError(
            f"{path} was changed after the run; remove its folder and run `balancer ablate` again."
        )
    predictions = read_predictions(path)
    elsewhere = ablation.question.verdict_on
    if elsewhere is not None:
        is_kept = folder.is_relative_to(workspace.registered_runs_dir)
        place = workspace.registered_external_dir if is_kept else workspace.external_dir
        there = place(elsewhere, run.fold, run.seed, folder.name)
        predictions, path = read_predictions_elsewhere(there), there / PREDICTIONS_ELSEWHERE
    same_classes = tuple(predictions.class_names) == ablation.question.class_names
    found = macro_auroc(predictions.probabilities, predictions.labels)
    # Early versions wrote the mean over the classes as the AUROC; of two classes both are equal.
    compared = run.auroc if run.macro_auroc is None else run.macro_auroc
    unlike = found is None or compared is None or abs(found - compared) > _CLOSE
    if not same_classes or (unlike and found != compared):
        raise IntegrityError(
            f"{path} should hold what the ablation compared for {arm}, but has other classes or "
            "another AUROC; run `balancer ablate` again."
        )
    beside = folder / _VALIDATION
    kept = beside.is_file() and fingerprint(beside.read_bytes()) == metrics.validation
    return RunPredictions(
        fold=run.fold,
        seed=run.seed,
        threshold=run.threshold,
        predictions=predictions,
        validation=read_predictions(beside) if kept else None,
        path=path,
        unit=folder,
    )
