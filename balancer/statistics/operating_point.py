"""Thresholds that bound the false alarms, chosen on validation, and intervals of shares."""

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest

Floats = NDArray[np.float64]


def threshold_at_specificity(
    scores: Floats, is_positive: NDArray[np.bool_], specificity: float
) -> float | None:
    """The lowest threshold at which a set's specificity is at least so high.

    An image counts as positive from the threshold upwards. The cut lies in the middle between the
    highest score of the other class that must stay below and the next score above it; where there
    is none above, just over that score.

    Args:
        scores: float (N,), finite.
        is_positive: bool (N,).
        specificity: In [0, 1].

    Returns:
        The threshold; None without an image of the other class.

    Raises:
        ValueError: Shapes differ, a score is not finite, or the specificity is none.
    """
    scores = np.asarray(scores, np.float64)
    positive = np.asarray(is_positive, bool)
    if scores.ndim != 1 or scores.shape != positive.shape or not np.isfinite(scores).all():
        raise ValueError(
            "A threshold takes one finite score and one label per image, but got shapes "
            f"{scores.shape} and {positive.shape}; check the predictions."
        )
    if not 0 <= specificity <= 1:
        raise ValueError(f"A specificity lies between 0 and 1, but {specificity} was asked for.")
    others = np.sort(scores[~positive])
    if len(others) == 0:
        return None
    # 0.9 * 10 is 9.000000000000002 in some orders of rounding, and must ask for 9.
    n_below = int(np.ceil(specificity * len(others) - 1e-9))
    if n_below == 0:
        return float(scores.min())
    bound = others[n_below - 1]
    above = scores[scores > bound]
    if len(above) == 0:
        return float(np.nextafter(bound, np.inf))
    middle = bound + (above.min() - bound) / 2
    # Between neighbouring floats the middle can round down onto the lower score.
    return float(middle if middle > bound else above.min())


def wilson_interval(
    successes: int, n: int, *, confidence: float = 0.95
) -> tuple[float, float] | None:
    """Interval of a share of independent cases (Wilson 1927); None of no cases."""
    if n == 0:
        return None
    found = binomtest(successes, n).proportion_ci(confidence_level=confidence, method="wilson")
    return float(found.low), float(found.high)
