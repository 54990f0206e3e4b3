"""AUROCs of several scores on the same cases, and their covariance.

DeLong, DeLong and Clarke-Pearson 1988 (Biometrics 44:837), by the midranks of Sun and Xu 2014 (IEEE
Signal Processing Letters 21:1389, algorithm 2). The variance is that of independent test cases:
training is not included, and images of one patient count as several cases.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr
from scipy.stats import rankdata

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class DeLong:
    """A paired comparison of two AUROCs.

    Attributes:
        difference: Second minus first; None where undefined.
        se: Its standard error.
        p: Two-sided p.
        reason: Reason why it is undefined, else None.
    """

    difference: float | None
    se: float | None
    p: float | None
    reason: str | None = None


def auroc_covariance(scores: Floats, is_positive: NDArray[np.bool_]) -> tuple[Floats, Floats]:
    """Compute AUROCs and estimate their covariance matrix.

    Args:
        scores: float (K, N), finite; higher means positive. Ties count half.
        is_positive: bool (N,), at least two of each class.

    Returns:
        AUROCs (K,) and covariance (K, K).

    Raises:
        ValueError: Shapes differ, a score is not finite, or a class has fewer than two cases.
    """
    scores = np.asarray(scores, np.float64)
    positive = np.asarray(is_positive, bool)
    if scores.ndim != 2 or scores.shape[1:] != positive.shape or not np.isfinite(scores).all():
        raise ValueError(
            "DeLong takes finite scores (classifiers, cases) and a label per case, but got shapes "
            f"{scores.shape} and {positive.shape}; check the predictions."
        )
    m, n = int(positive.sum()), int((~positive).sum())
    if min(m, n) < 2:
        raise ValueError(
            f"DeLong takes at least two cases of each class, but there are {m} and {n}; "
            "test on more."
        )
    among_all = rankdata(scores, axis=1)
    # Share of the other class that each case beats: the structural components of the paper.
    beaten = (among_all[:, positive] - rankdata(scores[:, positive], axis=1)) / n  # (K, m)
    beating = 1 - (among_all[:, ~positive] - rankdata(scores[:, ~positive], axis=1)) / m  # (K, n)
    covariance = np.atleast_2d(np.cov(beaten)) / m + np.atleast_2d(np.cov(beating)) / n
    return beaten.mean(1), covariance


def delong_test(first: Floats, second: Floats, is_positive: NDArray[np.bool_]) -> DeLong:
    """Compare the AUROCs of two scores on the same cases.

    Args:
        first: Scores, float (N,).
        second: Other scores, float (N,).
        is_positive: Mark of the positive cases, bool (N,).

    Returns:
        The comparison. Without variance (scores that rank alike, or two perfect ones) p is 1 where
        the AUROCs are equal, else 0; with fewer than two cases of a class nothing is defined.

    Raises:
        ValueError: See `auroc_covariance`; too few cases are no error.
    """
    positive = np.asarray(is_positive, bool)
    m = int(positive.sum())
    if min(m, positive.size - m) < 2:
        return DeLong(None, None, None, "the test images hold fewer than two of a class")
    aurocs, covariance = auroc_covariance(np.stack([first, second]), positive)
    difference = float(aurocs[1] - aurocs[0])
    variance = float(covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1])
    # Rounding alone leaves about 1e-17 where the truth is 0.
    if variance <= 1e-15:
        return DeLong(difference, 0.0, 1.0 if abs(difference) < 1e-12 else 0.0)
    se = float(np.sqrt(variance))
    return DeLong(difference, se, float(2 * ndtr(-abs(difference) / se)))
