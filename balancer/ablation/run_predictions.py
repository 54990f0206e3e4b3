"""The test predictions of every run of an ablation, for curves over all runs."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from balancer.ablation.arm_records import RunScores
from balancer.ablation.records import AblateMetrics
from balancer.errors import IntegrityError
from balancer.evaluation.predictions import Predictions, read_predictions
from balancer.evaluation.records import UnitMetrics
from balancer.manifest import fingerprint
from balancer.results import read_result
from balancer.statistics.calibration import correct_prior
from classifier.metrics import auroc, predict_classes

Floats = NDArray[np.float64]
_TEST = "test.csv"
_CLOSE = 1e-4  # AUROCs in float32 and float64 differ less


@dataclass(frozen=True, slots=True)
class RunPredictions:
    """The predictions of one trained classifier for its test images.

    Attributes:
        fold: Name of the split.
        seed: Number of the training seed.
        threshold: Threshold chosen on validation; None with more than two classes.
        training_prior: float64 (C,), class shares that the loss saw; None if not recorded.
        predictions: The predictions.
        path: Path to their file.
    """

    fold: str
    seed: int
    threshold: float | None
    training_prior: Floats | None
    predictions: Predictions
    path: Path

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

    def corrected_scores(self, positive: int, deployed: Floats) -> Floats | None:
        """Return them for other class shares than those in training (Saerens 2002, eq. 4).

        Args:
            positive: Number of the positive class.
            deployed: float64 (C,), class shares where the classifier will be used.

        Returns:
            None where the shares in training were not recorded.
        """
        if self.training_prior is None:
            return None
        raw = self.predictions.probabilities
        return np.asarray(correct_prior(raw, self.training_prior, deployed)[:, positive])


def read_predictions_of_runs(
    ablation: AblateMetrics, runs: Path
) -> dict[str, list[RunPredictions]]:
    """Read the test predictions of all runs of an ablation.

    Args:
        ablation: Results of the ablation.
        runs: The folder `runs/units` of the workspace.

    Returns:
        Per arm the runs whose predictions still exist.

    Raises:
        IntegrityError: Predictions are not those that the ablation compared.
    """
    units = _units(runs)
    return {
        arm: [
            _read(arm, run, *units[key], ablation)
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
    arm: str, run: RunScores, folder: Path, metrics: UnitMetrics, ablation: AblateMetrics
) -> RunPredictions:
    path = folder / _TEST
    if fingerprint(path.read_bytes()) != metrics.test:
        raise IntegrityError(
            f"{path} was changed after the run; remove its folder and run `balancer ablate` again."
        )
    predictions = read_predictions(path)
    same_classes = tuple(predictions.class_names) == ablation.question.class_names
    found, compared = auroc(predictions.probabilities, predictions.labels), run.auroc
    unlike = found is None or compared is None or abs(found - compared) > _CLOSE
    if not same_classes or (unlike and found != compared):
        raise IntegrityError(
            f"{path} should hold what the ablation compared for {arm}, but has other classes or "
            "another AUROC; run `balancer ablate` again."
        )
    prior = metrics.training_prior
    return RunPredictions(
        fold=run.fold,
        seed=run.seed,
        threshold=run.threshold,
        training_prior=None if prior is None else np.asarray(prior, np.float64),
        predictions=predictions,
        path=path,
    )
