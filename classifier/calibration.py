"""One number that makes probabilities as confident as they are right."""

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax

_RANGE = (-3.0, 3.0)  # of log T: from 1/20 to 20
_SPREAD = 0.5
"""Standard deviation of log T before any image was seen."""


def fit_temperature(log_probabilities: NDArray[np.float64], labels: NDArray[np.int64]) -> float:
    """The temperature T that softmax(z / T) fits labels best with (Guo 2017, 1706.04599).

    Of T > 1 probabilities become less extreme; their order stays, and so do two-class AUROC and
    every decision of the most probable class. A normal prior of log T about 0 keeps a few images
    that are all classified right from asking for boundless confidence.

    Args:
        log_probabilities: float64 (N, C), logits or logarithms of probabilities, of images that
            the network was not trained on.
        labels: Class numbers int64 (N,).

    Returns:
        T in [1/20, 20], the most probable a posteriori; 1 where there is a single class.
    """
    if len(np.unique(labels)) < 2:
        return 1.0
    rows = np.arange(len(labels))

    def surprise(log_t: float) -> float:
        logarithms = log_softmax(log_probabilities / np.exp(log_t), axis=1)
        return float(-logarithms[rows, labels].sum() + 0.5 * (log_t / _SPREAD) ** 2)

    found = minimize_scalar(surprise, bounds=_RANGE, method="bounded", options={"xatol": 1e-4})
    return float(np.exp(found.x))
