"""Calibration of probabilities: Brier score, ECE, slope and intercept, and prior correction."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import expit

Floats = NDArray[np.float64]
Labels = NDArray[np.int64]
ECE_BINS = 15
_LEAST = 1e-12
"""Smallest probability of which a logarithm is taken."""
_STEPS = 100


@dataclass(frozen=True, slots=True)
class Recalibration:
    """Calibration of the positive class; None where undefined, with the reason.

    Attributes:
        slope: 1 is ideal; below 1, the probabilities are too extreme.
        intercept: Calibration in the large: 0 is ideal; above 0, the probabilities are too low.
        slope_reason: Reason why there is no slope, else None.
        intercept_reason: Reason why there is no intercept, else None.
    """

    slope: float | None
    intercept: float | None
    slope_reason: str | None = None
    intercept_reason: str | None = None


def squared_errors(probabilities: Floats, labels: Labels) -> Floats:
    """Compute each image's part of the Brier score (Brier 1950), whose mean is the score.

    With two classes (p - y)^2 of the positive class, 0 to 1; with more the sum over the classes,
    0 to 2, as Brier wrote it. scikit-learn's `brier_score_loss` has the same two scales.

    Args:
        probabilities: float (N, C), rows that sum to 1.
        labels: Class numbers (N,).

    Returns:
        float (N,).
    """
    n_classes = probabilities.shape[1]
    errors = ((probabilities - np.eye(n_classes)[labels]) ** 2).sum(1)
    return np.asarray(errors / 2 if n_classes == 2 else errors, np.float64)


def expected_calibration_error(probabilities: Floats, labels: Labels) -> float:
    """Compute the ECE of the most probable class in 15 bins of equal width (Guo 2017, section 2).

    Args:
        probabilities: float (N, C), rows that sum to 1.
        labels: Class numbers (N,), N >= 1.

    Returns:
        In [0, 1]; the same as `classifier.metrics`, float32 edges included.
    """
    confidence = probabilities.max(1)
    surprise = (probabilities.argmax(1) == labels) - confidence
    edges = np.linspace(0, 1, ECE_BINS + 1, dtype=np.float32)
    place = np.searchsorted(edges, confidence.astype(np.float32), side="right") - 1
    return float(np.abs(np.bincount(place, surprise)).sum() / len(labels))


def recalibration(probabilities: Floats, labels: Labels, *, positive: int) -> Recalibration:
    """Fit slope and intercept of a logistic recalibration of the positive class.

    The slope b is that of logit P(y) = a + b logit(p) (Cox 1958, Biometrika 45:562); the intercept
    is fitted with the slope held at 1 (Van Calster 2019, BMC Medicine 17:230).

    Args:
        probabilities: float (N, C), rows that sum to 1.
        labels: Class numbers (N,).
        positive: Number of the positive class, one against the rest.
    """
    is_positive = labels == positive
    if is_positive.all() or not is_positive.any():
        reason = "the test images are all of one class"
        return Recalibration(None, None, reason, reason)
    logits = _logits(probabilities, positive)
    intercept = _intercept(logits, is_positive)
    of_positive, of_others = logits[is_positive], logits[~is_positive]
    if np.ptp(logits) < 1e-9:
        return Recalibration(None, intercept, "every image got the same probability")
    if of_positive.min() >= of_others.max() or of_positive.max() <= of_others.min():
        return Recalibration(None, intercept, "the classes are perfectly separated")
    slope = _slope(logits, is_positive)
    unfinished = "the logistic fit did not converge" if slope is None else None
    return Recalibration(slope, intercept, unfinished)


def correct_prior(
    probabilities: Floats, training_prior: Floats, deployment_prior: Floats
) -> Floats:
    """Correct probabilities for other class shares (Saerens 2002, Neural Computation 14:21, eq. 4).

    logit_c += log(deployment_c) - log(training_c), here without the logarithm.

    Args:
        probabilities: float (N, C), rows that sum to 1.
        training_prior: float (C,), above 0: the class shares that the training loss saw.
        deployment_prior: float (C,), above 0: the class shares where the classifier will be used.

    Returns:
        float (N, C), rows that sum to 1.

    Raises:
        ValueError: A share is not above 0, or the shapes differ.
    """
    training, deployment = np.asarray(training_prior), np.asarray(deployment_prior)
    wanted = (probabilities.shape[1],)
    if training.shape != wanted or deployment.shape != wanted:
        raise ValueError(
            f"Correcting the prior takes {wanted[0]} shares for training and for deployment, but "
            f"got shapes {training.shape} and {deployment.shape}; give one per class."
        )
    if not (training.min() > 0 and deployment.min() > 0):
        raise ValueError(
            "Correcting the prior takes class shares above 0, but got "
            f"{training.tolist()} and {deployment.tolist()}; leave out classes that never occur."
        )
    moved = np.clip(probabilities, _LEAST, None) * (deployment / training)
    return np.asarray(moved / moved.sum(1, keepdims=True), np.float64)


def _logits(probabilities: Floats, positive: int) -> Floats:
    own = probabilities[:, positive]
    # The sum of the others, not 1 - p: near p = 1 it keeps the digits of a float32 softmax.
    rest = np.delete(probabilities, positive, axis=1).sum(1)
    return np.asarray(
        np.log(np.clip(own, _LEAST, None)) - np.log(np.clip(rest, _LEAST, None)), np.float64
    )


def _intercept(logits: Floats, is_positive: NDArray[np.bool_]) -> float:
    n_positive = is_positive.sum()
    reach = np.abs(logits).max() + np.log(len(logits)) + 1.0
    return float(brentq(lambda a: expit(logits + a).sum() - n_positive, -reach, reach, xtol=1e-10))


def _slope(logits: Floats, is_positive: NDArray[np.bool_]) -> float | None:
    """Newton's method on the concave likelihood, halving steps that overshoot."""
    centre, scale = logits.mean(), logits.std()
    design = np.stack([np.ones_like(logits), (logits - centre) / scale], 1)
    sign = np.where(is_positive, 1.0, -1.0)
    coefficients = np.zeros(2)
    loss = np.log(2) * len(logits)
    for _ in range(_STEPS):
        fitted = expit(design @ coefficients)
        gradient = design.T @ (is_positive - fitted)
        if np.abs(gradient).max() < 1e-9 * len(logits):
            return float(coefficients[1] / scale)
        curvature = (design * (fitted * (1 - fitted))[:, None]).T @ design
        try:
            step = np.linalg.solve(curvature, gradient)
        except np.linalg.LinAlgError:  # every probability has reached 0 or 1
            return None
        for _ in range(_STEPS):
            moved = np.logaddexp(0, -sign * (design @ (coefficients + step))).sum()
            if moved <= loss + 1e-12 * abs(loss):
                break
            step = step / 2
        coefficients, loss = coefficients + step, moved
    return None
