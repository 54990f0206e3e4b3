import numpy as np
import pytest
from scipy.stats import t
from statsmodels.stats.power import TTestPower

from balancer.statistics.sample_size import (
    detectable_difference,
    factor_of_images,
    interval_of_sd,
    power_of_equivalence,
    splits_to_decide,
)

RATIO = 0.176


@pytest.mark.parametrize("k", [3, 5, 24])
@pytest.mark.parametrize("alpha", [0.05, 0.05 / 9])
def test_independent_splits_need_what_statsmodels_says(k: int, alpha: float) -> None:
    """Without overlap it is the one-sample t test."""
    expected = TTestPower().solve_power(nobs=k, alpha=alpha, power=0.8, alternative="larger")
    found = detectable_difference(0.5, k, 0.0, alpha=alpha)
    assert found == pytest.approx(0.5 * expected, rel=1e-5)


def correlated(rng: np.random.Generator, n: int, k: int, sd: float, ratio: float) -> np.ndarray:
    """Splits of n studies as Nadeau and Bengio suppose them, whose own SD is `sd`."""
    shared = sd * np.sqrt(ratio) * rng.standard_normal((n, 1))
    return np.asarray(sd * rng.standard_normal((n, k)) + shared)


def studies(values: np.ndarray, ratio: float) -> tuple[np.ndarray, np.ndarray]:
    k = values.shape[1]
    return values.mean(1), values.std(1, ddof=1) * np.sqrt(1 / k + ratio)


def test_the_detectable_difference_is_found_in_four_of_five_studies() -> None:
    k, alpha = 5, 0.05 / 9
    critical = t.isf(alpha, k - 1)
    delta = detectable_difference(0.02, k, RATIO, alpha=alpha)
    noise = correlated(np.random.default_rng(1), 40_000, k, 0.02, RATIO)

    def share_found(difference: float) -> float:
        mean, se = studies(difference + noise, RATIO)
        return float(np.mean(mean / se > critical))

    assert share_found(delta) == pytest.approx(0.8, abs=0.008)
    # A central t in place of the noncentral one promises too much.
    central = (critical + t.ppf(0.8, k - 1)) * 0.02 * np.sqrt(1 / k + RATIO)
    assert share_found(central) < 0.78


def test_the_power_of_equivalence_is_that_of_simulated_studies() -> None:
    rng = np.random.default_rng(2)
    for sd, k, critical in ((0.0055, 5, 2.131847), (0.008, 12, 1.795885)):
        mean, se = studies(correlated(rng, 40_000, k, sd, RATIO), RATIO)
        within = np.mean(np.abs(mean) + critical * se < 0.01)
        found = power_of_equivalence(sd, k, RATIO, margin=0.01, alpha=0.05)
        assert found == pytest.approx(within, abs=0.01)


def test_no_fewer_splits_decide() -> None:
    k = splits_to_decide(0.0055, RATIO, margin=0.01, alpha=0.05)
    assert k is not None

    def power(k: int) -> float:
        return power_of_equivalence(0.0055, k, RATIO, margin=0.01, alpha=0.05)

    assert power(k) >= 0.8 > power(k - 1)


def test_a_spread_that_no_number_of_splits_overcomes_needs_more_images() -> None:
    sd = 0.02
    assert splits_to_decide(sd, RATIO, margin=0.01, alpha=0.05) is None
    factor = factor_of_images(sd, RATIO, margin=0.01, alpha=0.05)
    assert factor > 1
    smaller = sd / np.sqrt(factor)
    limit = power_of_equivalence(smaller, 1_000_000, RATIO, margin=0.01, alpha=0.05)
    assert limit == pytest.approx(0.8, abs=0.001)
    assert splits_to_decide(0.9 * smaller, RATIO, margin=0.01, alpha=0.05) is not None


def test_no_spread_is_decided_at_once() -> None:
    assert splits_to_decide(0.0, RATIO, margin=0.01, alpha=0.05) == 3


def test_the_interval_of_a_spread_holds_it() -> None:
    rng = np.random.default_rng(3)
    found = correlated(rng, 4000, 24, 1.0, RATIO).std(1, ddof=1)
    inside = [low <= 1.0 <= high for low, high in (interval_of_sd(sd, 24) for sd in found)]
    assert np.mean(inside) == pytest.approx(0.9, abs=0.015)
