"""Thresholds at a wanted specificity, chosen on validation images.

Small because each statistical method is a file.
"""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def threshold_at_specificity(
    scores: Floats, is_positive: NDArray[np.bool_], specificity: float
) -> float | None:
    """Return the lowest threshold at which a set has at least a given specificity.

    An image is positive at or above the threshold. The threshold is the middle between the highest
    score of the other class that must be below and the next higher score; without one, it is just
    above that score.

    Args:
        scores: Scores, float (N,), finite.
        is_positive: Mark of the positive images, bool (N,).
        specificity: Specificity in [0, 1].

    Returns:
        The threshold; None without an image of the other class.

    Raises:
        ValueError: Shapes differ, a score is not finite, or the specificity is not in [0, 1].
    """
    scores = np.asarray(scores, np.float64)
    positive = np.asarray(is_positive, bool)
    if scores.ndim != 1 or scores.shape != positive.shape or not np.isfinite(scores).all():
        raise ValueError(
            "A threshold takes one finite score and one label per image, but got shapes "
            f"{scores.shape} and {positive.shape}; check the predictions."
        )
    if not 0 <= specificity <= 1:
        raise ValueError(f"A specificity should be from 0 to 1, but is {specificity}.")
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
