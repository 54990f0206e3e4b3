"""Outcomes of decisions and probabilities as a value per case, whose mean is the score.

The mean can be taken at the class shares of the cases, or at others: then the means of the classes
are weighed by their shares, as if there had been as many cases of each.
"""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
_LEAST = 1e-12


def net_benefits(scores: Floats, is_positive: NDArray[np.bool_], thresholds: Floats) -> Floats:
    """Compute each case's part of the net benefit.

    Vickers and Elkin 2006 (Medical Decision Making 26:565): to act at a probability of t is to take
    one true case to be worth (1 - t) / t false alarms. A case that is found counts 1, a false alarm
    -t / (1 - t).

    Args:
        scores: Probabilities of the positive class, float (N,).
        is_positive: Mark of the positive cases, bool (N,).
        thresholds: Probabilities at or above which one would act, float (T,), in (0, 1).

    Returns:
        float (T, N).
    """
    acted = scores >= thresholds[:, None]
    odds = (thresholds / (1 - thresholds))[:, None]
    return np.asarray(acted * np.where(is_positive, 1.0, -odds), np.float64)


def log_losses(scores: Floats, is_positive: NDArray[np.bool_]) -> Floats:
    """Compute each case's negative log likelihood, float (N,), of the positive class or the rest.

    Args:
        scores: Probabilities of the positive class, float (N,).
        is_positive: Mark of the positive cases, bool (N,).
    """
    p = np.where(is_positive, scores, 1 - scores)
    return np.asarray(-np.log(np.clip(p, _LEAST, None)), np.float64)


def mean_of_cases(
    values: Floats, weights: Floats, labels: NDArray[np.int64], shares: Floats | None = None
) -> Floats:
    """Average values over weighted cases.

    Args:
        values: A value per case, float (K, N).
        weights: float (B, N), not negative.
        labels: Class numbers (N,).
        shares: Class shares (C,) at which the mean is taken; None: those of the weighted cases.

    Returns:
        float (K, B); NaN without a case, or where a class with a share has none.
    """
    if shares is None:
        return _ratio(values @ weights.T, weights.sum(1))
    total = np.zeros((len(values), len(weights)))
    for c in np.flatnonzero(shares > 0):
        mine = labels == c
        total += shares[c] * _ratio(values[:, mine] @ weights[:, mine].T, weights[:, mine].sum(1))
    return total


def _ratio(above: Floats, below: Floats) -> Floats:
    return np.where(below > 0, above / np.maximum(below, 1e-300), np.nan)
