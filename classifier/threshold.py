"""The operating point of a two-class classifier, chosen on validation images."""

import numpy as np
from numpy.typing import NDArray


def choose_threshold(
    probabilities_of_positive: NDArray[np.float64], is_positive: NDArray[np.bool_]
) -> float:
    """Threshold of the greatest balanced accuracy (Youden's J, 1950).

    An image counts as positive from the threshold upwards. Cuts lie in the middle of the gap
    between neighbouring scores; of equally good ones the cut in the widest gap is taken, for it
    leaves the most room on both sides. Where no cut is better than guessing (constant scores),
    the lowest score is returned: every image is positive, nothing is overlooked.

    Args:
        probabilities_of_positive: float (N,) in [0, 1].
        is_positive: bool (N,).

    Returns:
        A threshold in [0, 1].

    Raises:
        ValueError: Shapes differ, a score is no number, or one of the two classes is absent.
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
    values, place = np.unique(scores, return_inverse=True)
    below_positive = np.cumsum(np.bincount(place[positive], minlength=len(values)))[:-1]
    below_negative = np.cumsum(np.bincount(place[~positive], minlength=len(values)))[:-1]
    # Exact: J times both class sizes, in integers, so that equal cuts compare as equal.
    youden = below_negative * positive.sum() - below_positive * (~positive).sum()
    if len(youden) == 0 or youden.max() <= 0:
        return float(values[0])
    gaps = np.diff(values)
    best = int(np.argmax(np.where(youden == youden.max(), gaps, -1.0)))
    middle = values[best] + gaps[best] / 2
    # Between neighbouring floats the middle can round down onto the lower score.
    return float(middle if middle > values[best] else values[best + 1])
