"""Recalibration of probabilities by slope and intercept, fitted on validation images.

Platt 1999 (Advances in Large Margin Classifiers, p. 61): logit P(y) = intercept + slope logit(p),
by maximum likelihood on smoothed targets, so that the fit is finite even where the classes are
perfectly separated. With more than two classes one slope and one intercept per class, the
bias-corrected temperature of Alexandari 2020 (ICML, PMLR 119:222), which is the same with two.
A correction of the prior supposes calibrated probabilities, and so comes after it.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
_LEAST = 1e-12
_STEPS = 100


@dataclass(frozen=True, slots=True)
class Platt:
    """A fitted recalibration.

    Attributes:
        slope: Factor of the log odds.
        intercepts: float64 (C,), added to the log odds of each class; the first is 0.
    """

    slope: float
    intercepts: Floats

    def apply(self, probabilities: Floats) -> Floats:
        """Recalibrate probabilities, float (N, C), rows that sum to 1."""
        return _softmax(self.slope * _log_odds(probabilities) + self.intercepts)


def fit_platt(probabilities: Floats, labels: NDArray[np.int64]) -> Platt | None:
    """Fit slope and intercepts.

    Args:
        probabilities: Those of validation images, float (N, C), rows that sum to 1.
        labels: Their class numbers (N,).

    Returns:
        The recalibration; None where all images are of one class, or the fit does not converge.
    """
    n_classes = probabilities.shape[1]
    counts = np.bincount(labels, minlength=n_classes)
    if (counts > 0).sum() < 2:
        return None
    odds = _log_odds(probabilities)
    scale = odds.std() or 1.0
    design = np.zeros((len(labels), n_classes, n_classes))
    design[:, :, 0] = odds / scale
    for c in range(1, n_classes):
        design[:, c, c] = 1.0
    targets = _targets(labels, counts)
    coefficients = np.zeros(n_classes)
    loss = _loss(design, coefficients, targets)
    for _ in range(_STEPS):
        fitted = _softmax(design @ coefficients)
        gradient = np.einsum("nc,ncp->p", targets - fitted, design)
        if np.abs(gradient).max() < 1e-9 * len(labels):
            intercepts = np.append(0.0, coefficients[1:])
            return Platt(float(coefficients[0] / scale), intercepts)
        mean = np.einsum("nc,ncp->np", fitted, design)
        second = np.tensordot(design * fitted[:, :, None], design, axes=([0, 1], [0, 1]))
        # Least squares, since equal probabilities of all images leave the slope open.
        step = np.linalg.lstsq(second - mean.T @ mean, gradient, rcond=1e-12)[0]
        for _ in range(_STEPS):
            moved = _loss(design, coefficients + step, targets)
            if moved <= loss + 1e-12 * abs(loss):
                break
            step = step / 2
        coefficients, loss = coefficients + step, moved
    return None


def _targets(labels: NDArray[np.int64], counts: NDArray[np.int64]) -> Floats:
    """Return smoothed targets (N, C): with two classes those of Platt, (n + 1) / (n + 2)."""
    n_classes = len(counts)
    below = (counts[labels] + n_classes)[:, None]
    own = np.eye(n_classes)[labels]
    return np.asarray((own * counts[labels][:, None] + 1) / below, np.float64)


def _log_odds(probabilities: Floats) -> Floats:
    """Return log p of each class minus that of the first, (N, C)."""
    logs = np.log(np.clip(probabilities, _LEAST, None))
    return np.asarray(logs - logs[:, :1], np.float64)


def _softmax(logits: Floats) -> Floats:
    powers = np.exp(logits - logits.max(1, keepdims=True))
    return np.asarray(powers / powers.sum(1, keepdims=True), np.float64)


def _loss(design: Floats, coefficients: Floats, targets: Floats) -> float:
    logits = design @ coefficients
    top = logits.max(1, keepdims=True)
    logs = logits - top - np.log(np.exp(logits - top).sum(1, keepdims=True))
    return float(-(targets * logs).sum())
