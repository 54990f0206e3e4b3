"""From probabilities to decisions: a temperature and a threshold, fitted on validation images."""

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax

_RANGE = (-3.0, 3.0)
"""Range of log T: T from 1/20 to 20."""
_SPREAD = 0.5
"""Standard deviation of the prior of log T."""


def fit_temperature(log_probabilities: NDArray[np.float64], labels: NDArray[np.int64]) -> float:
    """Fit the temperature T of softmax(z / T) to labels (Guo 2017, 1706.04599).

    T > 1 makes probabilities less extreme. Their order, and so two-class AUROC and the most
    probable class, stay the same. A normal prior of log T around 0 limits the confidence that a
    few images, all classified correctly, would give.

    Args:
        log_probabilities: Logits or logarithms of probabilities, float64 (N, C), of images that
            the network was not trained on.
        labels: Class numbers, int64 (N,).

    Returns:
        Most probable T in [1/20, 20]; 1 for labels of a single class.
    """
    if len(np.unique(labels)) < 2:
        return 1.0
    rows = np.arange(len(labels))

    def loss(log_t: float) -> float:
        logarithms = log_softmax(log_probabilities / np.exp(log_t), axis=1)
        return float(-logarithms[rows, labels].sum() + 0.5 * (log_t / _SPREAD) ** 2)

    found = minimize_scalar(loss, bounds=_RANGE, method="bounded", options={"xatol": 1e-4})
    return float(np.exp(found.x))


def choose_threshold(
    probabilities_of_positive: NDArray[np.float64], is_positive: NDArray[np.bool_]
) -> float:
    """Choose the threshold of the greatest balanced accuracy (Youden's J, 1950).

    An image is positive at or above the threshold. Thresholds are the middles of the gaps between
    neighbouring scores; of equally good ones the middle of the widest gap is chosen, because it
    has the largest margin on both sides. If no threshold is better than guessing (constant
    scores), it is the lowest score: every image is positive, no case is missed.

    Example:
        >>> import numpy as np
        >>> from classifier import choose_threshold
        >>> choose_threshold(np.array([0.1, 0.2, 0.6]), np.array([False, False, True]))
        0.4

    Args:
        probabilities_of_positive: float (N,) in [0, 1].
        is_positive: bool (N,).

    Returns:
        Threshold in [0, 1].

    Raises:
        ValueError: Shapes differ, a score is not finite, or one of the two classes is absent.
    """
    scores = np.asarray(probabilities_of_positive, np.float64)
    positive = np.asarray(is_positive, bool)
    if scores.ndim != 1 or scores.shape != positive.shape or not np.isfinite(scores).all():
        raise ValueError(
            "Choosing a threshold takes one finite score and one label per image, but got shapes "
            f"{scores.shape} and {positive.shape}; check the predictions."
        )
    if positive.all() or not positive.any():
        raise ValueError(
            "Choosing a threshold takes validation images of both classes, but all "
            f"{len(positive)} are of one; make the validation split larger."
        )
    values, position = np.unique(scores, return_inverse=True)
    below_positive = np.cumsum(np.bincount(position[positive], minlength=len(values)))[:-1]
    below_negative = np.cumsum(np.bincount(position[~positive], minlength=len(values)))[:-1]
    # Exact: J times both class sizes, in integers, so that equal thresholds compare as equal.
    youden = below_negative * positive.sum() - below_positive * (~positive).sum()
    if len(youden) == 0 or youden.max() <= 0:
        return float(values[0])
    gaps = np.diff(values)
    best = int(np.argmax(np.where(youden == youden.max(), gaps, -1.0)))
    middle = values[best] + gaps[best] / 2
    # Between neighbouring floats the middle can round down to the lower score.
    return float(middle if middle > values[best] else values[best + 1])
