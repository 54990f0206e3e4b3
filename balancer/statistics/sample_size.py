"""Number of splits that a study needs, and the difference that a number of splits can show.

All is exact under the model of Nadeau and Bengio 2003: differences of k splits, normal, with equal
variances and equal correlations, so that their mean has the variance S^2 (1/k + r) and the t of a
study has k - 1 degrees of freedom. With a true difference that t is noncentral.
"""

import numpy as np
from scipy.integrate import quad
from scipy.optimize import brentq
from scipy.stats import chi2, nct, norm, t

FEWEST, MOST = 3, 1000
"""Smallest and largest number of splits that are tried."""


def detectable_difference(
    sd: float, k: int, ratio: float, *, alpha: float, power: float = 0.8
) -> float:
    """Return the smallest true difference that a one-sided t test finds with a power.

    Args:
        sd: Standard deviation of the difference between splits.
        k: Number of splits, at least 2.
        ratio: Test images per image outside the test split.
        alpha: One-sided level.
        power: Probability of finding it.
    """
    df = k - 1
    critical = float(t.isf(alpha, df))

    def missing(noncentrality: float) -> float:
        return float(nct.sf(critical, df, noncentrality)) - power

    upper = critical + float(t.ppf(power, df)) + 10
    return float(brentq(missing, 0.0, upper)) * standard_error(sd, k, ratio)


def standard_error(sd: float, k: int, ratio: float) -> float:
    """Return the corrected standard error of the mean over k splits."""
    return sd * float(np.sqrt(1 / k + ratio))


def power_of_equivalence(sd: float, k: int, ratio: float, *, margin: float, alpha: float) -> float:
    """Return the probability that two one-sided tests end "equivalent" if nothing differs.

    Args:
        sd: Standard deviation of the difference between splits.
        k: Number of splits, at least 2.
        ratio: Test images per image outside the test split.
        margin: Differences up to this size count as none.
        alpha: Level of each test.
    """
    se, df = standard_error(sd, k, ratio), k - 1
    if se == 0:
        return 1.0
    critical = float(t.isf(alpha, df))
    # The estimated error must be below margin / critical, and the mean in what it leaves free.
    largest = df * (margin / (critical * se)) ** 2

    def density(q: float) -> float:
        room = margin / se - critical * np.sqrt(q / df)
        return float((2 * norm.cdf(room) - 1) * chi2.pdf(q, df))

    return float(quad(density, 0.0, min(largest, float(chi2.isf(1e-12, df))), limit=200)[0])


def splits_to_decide(
    sd: float, ratio: float, *, margin: float, alpha: float, power: float = 0.8
) -> int | None:
    """Return the fewest splits that end "equivalent" with a power if nothing differs.

    Returns:
        None: `MOST` splits do not suffice.
    """

    def suffices(k: int) -> bool:
        return power_of_equivalence(sd, k, ratio, margin=margin, alpha=alpha) >= power

    if not suffices(MOST):
        return None
    low, high = FEWEST, MOST
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if suffices(middle) else (middle + 1, high)
    return low


def factor_of_images(
    sd: float, ratio: float, *, margin: float, alpha: float, power: float = 0.8
) -> float:
    """Return the factor on the number of images with which unlimited splits decide within a margin.

    The variance of a difference between splits is taken to fall in proportion to the number of
    images, as it does where the test cases cause it.
    """
    needed = margin / float(norm.isf(alpha) + norm.isf((1 - power) / 2))
    return (standard_error(sd, 10**9, ratio) / needed) ** 2


def interval_of_sd(sd: float, k: int, confidence: float = 0.9) -> tuple[float, float]:
    """Return the interval of a standard deviation estimated from k splits, by chi-square."""
    df = k - 1
    low, high = chi2.ppf([(1 + confidence) / 2, (1 - confidence) / 2], df)
    return sd * float(np.sqrt(df / low)), sd * float(np.sqrt(df / high))
