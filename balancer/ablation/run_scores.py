"""Scores of one trained classifier on its own test images."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from balancer.ablation.runs import Floats, Question, Run
from balancer.drawing.numbers import METRICS, OF_ONE_CLASS
from balancer.errors import IntegrityError
from balancer.evaluation.predictions import Predictions
from balancer.statistics.calibration import (
    correct_prior,
    expected_calibration_error,
    recalibration,
    squared_errors,
)
from balancer.statistics.decision import log_losses, mean_of_cases, net_benefits
from balancer.statistics.operating_point import threshold_at_specificity
from balancer.statistics.platt import fit_platt
from classifier.bootstrap import weighted_scores
from classifier.metrics import predict_classes

AT_SPECIFICITY = "sensitivity_at_specificity"
NET_BENEFIT, CO_PRIMARY = "net_benefit", "log_loss"
TITLES = {key: title for key, title in METRICS.items() if key != "ece"} | {
    AT_SPECIFICITY: "sensitivity at fixed specificity",
    NET_BENEFIT: "net benefit",
}
"""Metrics of the tables; more is better. Any of them can be the primary one."""
LOSSES = {
    CO_PRIMARY: "log loss after recalibration",
    "brier_raw": "Brier score, raw",
    "brier_recalibrated": "Brier score after recalibration",
    "brier_corrected": "Brier score after recalibration, at the given class shares",
}
"""Metrics of probabilities; less is better."""
COMPARED = (*TITLES, *LOSSES)
"""Metrics with differences between arms; see `compared_keys`."""
CALIBRATION = ("brier", "ece", "slope", "intercept")
DECISION_GRID = (0.01, 0.02, 0.05, *(n / 20 for n in range(2, 20)))
"""Probabilities at which the decision curve is taken."""
_MACRO = "macro_"
_NOT_RECALIBRATED = "the validation images are of one class, or the recalibration did not converge"
_NO_POSITIVE = "the test images hold none of the positive class"
_REASONS = {
    "auroc": "the test images are all of one class",
    "average_precision": _NO_POSITIVE,
    "sensitivity": _NO_POSITIVE,
    "specificity": "the test images are all of the positive class",
    "f1": "the positive class neither occurs nor was predicted",
    "mcc": "labels or predictions are all of one class",
    AT_SPECIFICITY: "validation lacks other classes or the test images lack the positive one",
    **dict.fromkeys((NET_BENEFIT, CO_PRIMARY, "brier_recalibrated"), _NOT_RECALIBRATED),
    "brier_corrected": "no class shares were given, or the test images lack a class",
    "macro_auroc": "the test images are all of one class",
    "macro_average_precision": _NO_POSITIVE,
    "macro_f1": "the positive class neither occurs nor was predicted",
}


def compared_keys(n_classes: int, *, prior_is_given: bool) -> tuple[str, ...]:
    """Return the metrics that a study has: macro metrics take more than two classes."""
    return tuple(
        key
        for key in COMPARED
        if (n_classes > 2 or not key.startswith(_MACRO))
        and (prior_is_given or key != "brier_corrected")
    )


def worse_by(key: str, difference: float) -> float:
    """Return how much worse an arm is, given its difference in a metric; negative: better."""
    return difference if key in LOSSES else -difference


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoredRun:
    """A run and its scores.

    Attributes:
        run: The run, its test images in the order shared by all runs of this fold and seed.
        predicted: int64 (N,) class numbers.
        cut: Threshold for `sensitivity_at_specificity`; None if undefined.
        cases: float64 (5, N), each image's part of the net benefit and of `LOSSES`, in this order.
        shares: Class shares at which all but the raw and the recalibrated Brier score are taken;
            None: those of the images.
        decision: float64 (len(DECISION_GRID),), net benefit at each threshold.
        values: Each of `COMPARED`, and `{ece,slope,intercept}_{raw,recalibrated}`; NaN if
            undefined.
        reasons: Key of each undefined value, and why.
    """

    run: Run
    predicted: NDArray[np.int64]
    cut: float | None
    cases: Floats
    shares: Floats | None
    decision: Floats
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
        return _weighted(self.run, self.predicted, self.cut, self.cases, self.shares, weights)


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
    probabilities = {"raw": test.probabilities, "recalibrated": recalibrated(run)}
    final = probabilities["recalibrated"]
    shares = question.deployment_prior if question.prior_is_given else None
    if shares is not None:
        final = correct_prior(final, _shares_of(validation), shares)
    is_positive = test.labels == run.positive
    scores = final[:, run.positive]
    at = np.array([question.acting_at(run.positive), *DECISION_GRID])
    benefits = np.where(np.isnan(scores), np.nan, net_benefits(scores, is_positive, at))
    cases = np.stack(
        [
            benefits[0],
            log_losses(scores, is_positive),
            *(squared_errors(p, test.labels) for p in probabilities.values()),
            squared_errors(final, test.labels)
            if shares is not None
            else np.full(len(final), np.nan),
        ]
    )
    plain = np.ones((1, len(test.labels)))
    point = _weighted(run, predicted, cut, cases, shares, plain)[:, 0]
    values = dict(zip(COMPARED, point.tolist(), strict=True))
    reasons = {key: reason for key, reason in _REASONS.items() if np.isnan(values[key])}
    for state, p in probabilities.items():
        if np.isnan(p).any():
            for name in CALIBRATION[1:]:
                values[f"{name}_{state}"] = np.nan
                reasons[f"{name}_{state}"] = _NOT_RECALIBRATED
            continue
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
        run=run,
        predicted=predicted,
        cut=cut,
        cases=cases,
        shares=shares,
        decision=mean_of_cases(benefits[1:], plain, test.labels, shares)[:, 0],
        values=values,
        reasons=reasons,
    )


def recalibrated(run: Run) -> Floats:
    """Recalibrate the test probabilities by the run's own validation images, float64 (N, C).

    The probabilities are then at the class shares of the validation images, in every arm, however
    the arm changed those of its training. NaN where validation is of one class.
    """
    fitted = fit_platt(run.validation.probabilities, run.validation.labels)
    if fitted is None:
        return np.full_like(run.test.probabilities, np.nan, dtype=np.float64)
    return fitted.apply(run.test.probabilities)


def _shares_of(predictions: Predictions) -> Floats:
    """Return class shares above 0: of a class without an image, as if there were half of one."""
    counts = np.bincount(predictions.labels, minlength=len(predictions.class_names))
    filled = np.maximum(counts, 0.5)
    return np.asarray(filled / filled.sum(), np.float64)


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
    run: Run,
    predicted: NDArray[np.int64],
    cut: float | None,
    cases: Floats,
    shares: Floats | None,
    weights: Floats,
) -> Floats:
    labels, positive = run.test.labels, run.positive
    found = weighted_scores(run.test.probabilities, predicted, labels, weights)
    n_positive = weights @ (labels == positive)
    if cut is None:
        at_specificity = np.full(len(weights), np.nan)
    else:
        caught = (labels == positive) & (run.test.probabilities[:, positive] >= cut)
        at_specificity = np.where(
            n_positive > 0, weights @ caught / np.maximum(n_positive, 1e-300), np.nan
        )
    brier = mean_of_cases(cases[2:4], weights, labels)
    final = mean_of_cases(cases[[0, 1, 4]], weights, labels, shares)
    by_key = {
        "auroc": found.auroc[..., positive],
        "average_precision": found.average_precision[..., positive],
        "balanced_accuracy": _mean_of_defined(found.recall),
        "sensitivity": found.recall[..., positive],
        "specificity": found.specificity[..., positive],
        "accuracy": found.accuracy,
        "f1": found.f1[..., positive],
        "mcc": found.mcc,
        AT_SPECIFICITY: at_specificity,
        **{f"{_MACRO}{key}": _mean_of_defined(getattr(found, key)) for key in OF_ONE_CLASS},
        NET_BENEFIT: final[0],
        CO_PRIMARY: final[1],
        "brier_raw": brier[0],
        "brier_recalibrated": brier[1],
        "brier_corrected": final[2],
    }
    return np.stack([by_key[key] for key in COMPARED])


def _mean_of_defined(values: Floats) -> Floats:
    defined = ~np.isnan(values)
    count = defined.sum(-1)
    total = np.where(defined, values, 0).sum(-1)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)
