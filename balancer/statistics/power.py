"""Differences that a study could show: exact power by the noncentral t, and its uncertainty."""

import functools
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import ndtr, stdtrit
from scipy.stats import chi2

from balancer.statistics.resampled_t import ResampledT

POWER = 0.8
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(400)


def power_of(tests: Sequence[ResampledT], effect: float, alpha: float) -> float:
    """Compute the probability that all one-sided tests reject, where each true mean is `effect`.

    Several tests are taken as independent. Differences of one arm to two references share the
    arm's own noise and are correlated positively, so that the true power is at least this (Slepian
    1962).

    Args:
        tests: Tests, each with a standard error above 0.
        effect: True mean of all.
        alpha: One-sided level of each.
    """
    return float(np.prod([_power(t.df, effect / float(t.se or np.nan), alpha) for t in tests]))


def _power(df: float, noncentrality: float, alpha: float) -> float:
    """Return the probability that a noncentral t exceeds the critical value.

    The mean over the observed standard deviations, at equal steps of their probability; the
    series of `scipy.special.nctdtr` has no value where the effect is many standard errors.
    """
    observed = _observed_sds(df)
    reached = ndtr(noncentrality - stdtrit(df, 1 - alpha) * observed)
    return float(reached @ _WEIGHTS / 2)


@functools.cache
def _observed_sds(df: float) -> NDArray[np.float64]:
    """Return quantiles of the observed standard deviation, as multiples of the true one."""
    return np.asarray(np.sqrt(chi2.ppf((_NODES + 1) / 2, df) / df), np.float64)


def detectable(
    tests: Sequence[ResampledT | None], alpha: float, power: float = POWER
) -> float | None:
    """Return the smallest true difference that all one-sided tests find with this power.

    Args:
        tests: One test, or several that must all reject.
        alpha: One-sided level of each.
        power: Wanted power.

    Returns:
        None where a test has no standard error.
    """
    known = [t for t in tests if t is not None and t.se is not None]
    if not known or len(known) < len(tests):
        return None
    spread = [t for t in known if t.se]
    if not spread:
        return 0.0
    high = max(float(t.se or 0) * (stdtrit(t.df, 1 - alpha) + 2) for t in spread)
    while power_of(spread, high, alpha) < power:
        high *= 2
    return float(brentq(lambda d: power_of(spread, d, alpha) - power, 0.0, high, rtol=1e-10))


def sd_factors(df: float, confidence: float = 0.95) -> tuple[float, float]:
    """Return the limits of the true standard deviation as multiples of the one observed.

    A detectable difference is proportional to the standard deviation, and is as uncertain.

    Args:
        df: Degrees of freedom, at least 1.
        confidence: Confidence of the interval.
    """
    tail = (1 - confidence) / 2
    low, high = np.sqrt(df / chi2.ppf([1 - tail, tail], df))
    return float(low), float(high)
