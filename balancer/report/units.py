"""The predictions of every run of an ablation, as the curves of the report need them."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from balancer.errors import IntegrityError
from balancer.evaluation.predictions import Predictions, read_predictions
from balancer.manifest import fingerprint
from balancer.results import UntypedResult, read_result
from balancer.statistics.calibration import correct_prior
from classifier.metrics import auroc, predict_classes

Floats = NDArray[np.float64]
_TEST = "test.csv"
_CLOSE = 1e-4  # AUROCs in float32 and float64 differ less


@dataclass(frozen=True, slots=True)
class Unit:
    """What one trained classifier said of its test images.

    Attributes:
        fold: Its split.
        seed: Its training seed.
        threshold: Chosen on validation; None with more than two classes.
        training_prior: float64 (C,), the class shares that the loss saw; None if not recorded.
        predictions: For the test images.
        path: The file they were read from.
    """

    fold: str
    seed: int
    threshold: float | None
    training_prior: Floats | None
    predictions: Predictions
    path: Path

    def positives(self, positive: int) -> NDArray[np.bool_]:
        """Which test images are of the positive class: bool (N,)."""
        return np.asarray(self.predictions.labels == positive)

    def predicted(self, positive: int) -> NDArray[np.int64]:
        """Predicted class numbers (N,), at the unit's threshold."""
        return predict_classes(
            self.predictions.probabilities, positive=positive, threshold=self.threshold
        )

    def scores(self, positive: int) -> Floats:
        """Probabilities of the positive class as the network gave them, float64 (N,)."""
        return np.asarray(self.predictions.probabilities[:, positive])

    def corrected_scores(self, positive: int, deployed: Floats) -> Floats | None:
        """The same for other class shares than those in training (Saerens 2002, eq. 4).

        Args:
            positive: Number of the positive class.
            deployed: float64 (C,), the class shares where the classifier will work.

        Returns:
            None where the shares in training are not on record.
        """
        if self.training_prior is None:
            return None
        raw = self.predictions.probabilities
        return np.asarray(correct_prior(raw, self.training_prior, deployed)[:, positive])


def read_units(ablation: Mapping[str, Any], runs: Path) -> dict[str, list[Unit]]:
    """Read the test predictions of all runs that an ablation is made of.

    Args:
        ablation: The metrics of `balancer ablate`.
        runs: The folder `runs/units` of the workspace.

    Returns:
        Per arm those runs whose predictions are still there.

    Raises:
        IntegrityError: Predictions are not those that the ablation compared.
    """
    places = _places(runs)
    return {
        arm: [
            _read(arm, run, places[key], ablation)
            for run in found["per_run"]
            if (key := (arm, str(run["fold"]), str(run["seed"]))) in places
        ]
        for arm, found in ablation["arms"].items()
    }


def units_fingerprint(units: Mapping[str, list[Unit]]) -> str:
    """SHA-256 over all predictions that were read."""
    found = [
        f"{arm}\0{unit.fold}\0{unit.seed}\0{fingerprint(unit.path.read_bytes())}"
        for arm, several in units.items()
        for unit in several
    ]
    return fingerprint("\n".join(found).encode())


def _places(runs: Path) -> dict[tuple[str, str, str], tuple[Path, UntypedResult]]:
    places = {}
    for record in sorted(runs.glob("*/*/*/result.json")):
        folder = record.parent
        result = read_result(folder)
        if result is not None and (folder / _TEST).is_file():
            arm = str(result.settings["arm"]["name"])
            places[arm, folder.parent.parent.name, folder.parent.name] = (folder, result)
    return places


def _read(
    arm: str, run: Mapping[str, Any], place: tuple[Path, UntypedResult], ablation: Mapping[str, Any]
) -> Unit:
    folder, result = place
    path = folder / _TEST
    if fingerprint(path.read_bytes()) != result.metrics["test"]:
        raise IntegrityError(
            f"{path} was changed after the run; remove its folder and run `balancer ablate` again."
        )
    predictions = read_predictions(path)
    same_classes = predictions.class_names == list(ablation["question"]["class_names"])
    found, compared = auroc(predictions.probabilities, predictions.labels), run.get("auroc")
    unlike = found is None or compared is None or abs(found - compared) > _CLOSE
    if not same_classes or (unlike and found != compared):
        raise IntegrityError(
            f"{path} should hold what the ablation compared for {arm}, but has other classes or "
            "another AUROC; run `balancer ablate` again."
        )
    prior = result.metrics.get("training_prior")
    return Unit(
        fold=str(run["fold"]),
        seed=int(run["seed"]),
        threshold=run.get("threshold"),
        training_prior=None if prior is None else np.asarray(prior, np.float64),
        predictions=predictions,
        path=path,
    )
