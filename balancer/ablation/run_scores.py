"""Scores of one trained classifier on its own test images."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from balancer.ablation.runs import Floats, Question, Run
from balancer.drawing.numbers import METRICS
from balancer.errors import IntegrityError
from balancer.evaluation.predictions import Predictions
from balancer.statistics.calibration import (
    correct_prior,
    expected_calibration_error,
    recalibration,
    squared_errors,
)
from balancer.statistics.operating_point import threshold_at_specificity
from classifier.bootstrap import weighted_scores
from classifier.metrics import predict_classes

AT_SPECIFICITY = "sensitivity_at_specificity"
TITLES = {key: title for key, title in METRICS.items() if key != "ece"} | {
    AT_SPECIFICITY: "sensitivity at fixed specificity"
}
"""Metrics of the tables; more is better. Any of them can be the primary one."""
BRIER = ("brier_raw", "brier_corrected")
COMPARED = (*TITLES, *BRIER)
"""Metrics with differences between arms."""
CALIBRATION = ("brier", "ece", "slope", "intercept")
_NO_POSITIVE = "the test images hold none of the positive class"
_REASONS = {
    "auroc": "the test images are all of one class",
    "average_precision": _NO_POSITIVE,
    "sensitivity": _NO_POSITIVE,
    "specificity": "the test images are all of the positive class",
    "f1": "the positive class neither occurs nor was predicted",
    "mcc": "labels or predictions are all of one class",
    AT_SPECIFICITY: "validation lacks other classes or the test images lack the positive one",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoredRun:
    """A run and its scores.

    Attributes:
        run: The run, its test images in the order shared by all runs of this fold and seed.
        predicted: int64 (N,) class numbers.
        cut: Threshold for `sensitivity_at_specificity`; None if undefined.
        errors: float64 (2, N), each image's part of the Brier scores, in the order of `BRIER`.
        values: Each of `COMPARED`, and `{ece,slope,intercept}_{raw,corrected}`; NaN if undefined.
        reasons: Key of each undefined value, and why.
    """

    run: Run
    predicted: NDArray[np.int64]
    cut: float | None
    errors: Floats
    values: dict[str, float]
    reasons: dict[str, str]

    @property
    def right(self) -> NDArray[np.bool_]:
        """Mark of correctly classified images: bool (N,)."""
        return np.asarray(self.predicted == self.run.test.labels)

    @property
    def is_positive(self) -> NDArray[np.bool_]:
        """Mark of images of the positive class: bool (N,)."""
        return np.asarray(self.run.test.labels == self.run.positive)

    @property
    def scores(self) -> Floats:
        """Probability of the positive class: float64 (N,)."""
        return np.asarray(self.run.test.probabilities[:, self.run.positive], np.float64)

    def weighted(self, weights: Floats) -> Floats:
        """Compute each of `COMPARED` on weighted images, NaN where undefined.

        Args:
            weights: float (B, N).

        Returns:
            float64 (len(COMPARED), B).
        """
        return _weighted(self.run, self.predicted, self.cut, self.errors, weights)


def score_run(run: Run, question: Question) -> ScoredRun:
    """Compute all scores of a run."""
    test, validation = run.test, run.validation
    predicted = predict_classes(
        test.probabilities, positive=run.positive, threshold=run.threshold
    ).astype(np.int64)
    cut = threshold_at_specificity(
        validation.probabilities[:, run.positive],
        validation.labels == run.positive,
        question.specificity,
    )
    probabilities = {
        "raw": test.probabilities,
        "corrected": correct_prior(
            test.probabilities, run.training_prior, question.deployment_prior
        ),
    }
    errors = np.stack([squared_errors(p, test.labels) for p in probabilities.values()])
    point = _weighted(run, predicted, cut, errors, np.ones((1, len(test.labels))))[:, 0]
    values = dict(zip(COMPARED, point.tolist(), strict=True))
    reasons = {key: reason for key, reason in _REASONS.items() if np.isnan(values[key])}
    for state, p in probabilities.items():
        values[f"ece_{state}"] = expected_calibration_error(p, test.labels)
        fit = recalibration(p, test.labels, positive=run.positive)
        for name, value, reason in (
            ("slope", fit.slope, fit.slope_reason),
            ("intercept", fit.intercept, fit.intercept_reason),
        ):
            values[f"{name}_{state}"] = np.nan if value is None else value
            if reason:
                reasons[f"{name}_{state}"] = reason
    return ScoredRun(
        run=run, predicted=predicted, cut=cut, errors=errors, values=values, reasons=reasons
    )


def align(runs: list[Run]) -> list[Run]:
    """Bring the test images of each (fold, seed) into one order.

    Raises:
        IntegrityError: Runs of one fold and seed were not tested on the same images.
    """
    first: dict[tuple[str, int], Predictions] = {}
    aligned = []
    for run in runs:
        wanted = first.setdefault((run.fold, run.seed), run.test)
        test = run.test if wanted.image_ids == run.test.image_ids else _ordered(run, wanted)
        if test.groups != wanted.groups or not np.array_equal(test.labels, wanted.labels):
            raise IntegrityError(
                f"Arms should agree on the groups and labels of the test images of {run.fold}, "
                f"seed {run.seed}, but {run.arm} differs; remove its units and run them again."
            )
        aligned.append(replace(run, test=test))
    return aligned


def _ordered(run: Run, wanted: Predictions) -> Predictions:
    place = {image_id: number for number, image_id in enumerate(run.test.image_ids)}
    if len(place) != len(run.test.image_ids) or place.keys() != set(wanted.image_ids):
        raise IntegrityError(
            f"Arms should be tested once on the same images of {run.fold}, seed {run.seed}, but "
            f"those of {run.arm} differ; remove its units and run them again."
        )
    order = [place[image_id] for image_id in wanted.image_ids]
    return Predictions(
        image_ids=wanted.image_ids,
        groups=[run.test.groups[number] for number in order],
        labels=run.test.labels[order],
        probabilities=run.test.probabilities[order],
        class_names=run.test.class_names,
    )


def _weighted(
    run: Run, predicted: NDArray[np.int64], cut: float | None, errors: Floats, weights: Floats
) -> Floats:
    labels, positive = run.test.labels, run.positive
    found = weighted_scores(run.test.probabilities, predicted, labels, weights)

    def over_classes(values: Floats) -> Floats:
        return values[..., positive] if values.shape[-1] == 2 else _mean_of_defined(values)

    n_positive = weights @ (labels == positive)
    if cut is None:
        at_specificity = np.full(len(weights), np.nan)
    else:
        caught = (labels == positive) & (run.test.probabilities[:, positive] >= cut)
        at_specificity = np.where(
            n_positive > 0, weights @ caught / np.maximum(n_positive, 1e-300), np.nan
        )
    total = weights.sum(1)
    brier = np.where(total > 0, errors @ weights.T / np.maximum(total, 1e-300), np.nan)
    by_key = {
        "auroc": over_classes(found.auroc),
        "average_precision": over_classes(found.average_precision),
        "balanced_accuracy": _mean_of_defined(found.recall),
        "sensitivity": found.recall[..., positive],
        "specificity": found.specificity[..., positive],
        "accuracy": found.accuracy,
        "f1": over_classes(found.f1),
        "mcc": found.mcc,
        AT_SPECIFICITY: at_specificity,
        "brier_raw": brier[0],
        "brier_corrected": brier[1],
    }
    return np.stack([by_key[key] for key in COMPARED])


def _mean_of_defined(values: Floats) -> Floats:
    defined = ~np.isnan(values)
    count = defined.sum(-1)
    total = np.where(defined, values, 0).sum(-1)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)
