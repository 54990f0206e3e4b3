"""Power, the uncertainty of a spread, bounds at the ceiling, and shares of belief."""

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.power import TTestPower

from balancer.statistics.ceiling import Ceiling
from balancer.statistics.power import detectable, power_of, sd_factors
from balancer.statistics.resampled_t import ResampledT, resampled_t
from support.planted_studies import correlated


@pytest.mark.parametrize(("k", "alpha"), [(3, 0.05), (5, 0.05), (5, 0.05 / 9), (20, 0.01)])
def test_the_detectable_difference_is_that_of_another_implementation(k: int, alpha: float) -> None:
    found = detectable([ResampledT(0.0, 1 / np.sqrt(k), k)], alpha)
    expected = TTestPower().solve_power(nobs=k, alpha=alpha, power=0.8, alternative="larger")
    assert found == pytest.approx(expected, rel=1e-5)


def test_the_published_study_could_show_more_than_the_normal_formula_says() -> None:
    """SD 0.0207 on five splits, Holm over nine arms: 0.072, where t + t gives 0.068."""
    se = 0.0207 * np.sqrt(1 / 5 + 0.176)
    t = ResampledT(0.022, se, 5)
    quantiles = stats.t.ppf([1 - 0.05 / 9, 0.8], 4).sum()
    assert detectable([t], 0.05 / 9) == pytest.approx(0.0725, abs=5e-4)
    assert quantiles * se == pytest.approx(0.0686, abs=5e-4)


def test_two_differences_at_once_take_a_larger_effect() -> None:
    """A GAN arm must beat real and repeated images; both share the noise of the GAN arm."""
    k, ratio = 6, 0.25
    rho = ratio / (1 + ratio)
    se = float(np.sqrt(2 * (1 / k + (1 - 1 / k) * rho)))
    one = detectable([ResampledT(0.0, se, k)], 0.05)
    both = detectable([ResampledT(0.0, se, k)] * 2, 0.05)
    assert one is not None
    assert both is not None
    arms = correlated(np.random.default_rng(0), k, ratio, arms=3, times=4000)
    arms[:, 2] += both
    found = alone = 0
    for real, oversample, gan in arms:
        p = [resampled_t(gan - other, ratio).p_greater() or 0.0 for other in (real, oversample)]
        found += max(p) <= 0.05
        p = [
            resampled_t(gan - both + one - other, ratio).p_greater() for other in (real, oversample)
        ]
        alone += max(one or 0.0 for one in p) <= 0.05
    assert found / 4000 >= 0.8 - 0.013
    assert alone / 4000 < 0.8 - 0.013  # what the larger of both single differences would have


def test_the_power_of_no_effect_is_the_level() -> None:
    assert power_of([ResampledT(0.0, 0.3, 7)], 0.0, 0.05) == pytest.approx(0.05)


def test_without_a_spread_nothing_is_promised() -> None:
    assert detectable([ResampledT(0.1, None, 5)], 0.05) is None
    assert detectable([ResampledT(0.1, 0.1, 5), None], 0.05) is None
    assert detectable([], 0.05) is None
    assert detectable([ResampledT(0.0, 0.0, 5)], 0.05) == 0


def test_a_spread_of_five_splits_is_known_to_a_factor_of_three() -> None:
    low, high = sd_factors(4)
    assert (low, high) == pytest.approx((0.599, 2.874), abs=1e-3)
    samples = np.random.default_rng(0).normal(size=(4000, 5)).std(axis=1, ddof=1)
    assert ((samples * low <= 1) & (samples * high >= 1)).mean() == pytest.approx(0.95, abs=0.01)


@pytest.mark.parametrize("n", [1, 44, 432])
def test_the_bound_at_the_ceiling_is_exact(n: int) -> None:
    """The upper limit of Clopper and Pearson for no failure in n, and the rule of three."""
    ceiling = Ceiling(n_trials=n, n_cases=n)
    exact = stats.binomtest(0, n, alternative="less").proportion_ci(0.95, method="exact").high
    assert ceiling.bound(0.05) == pytest.approx(exact)
    assert ceiling.p_beyond(ceiling.bound(0.05)) == pytest.approx(0.05)
    if n > 40:
        assert ceiling.bound(0.05) == pytest.approx(3 / n, rel=0.05)


def test_no_trial_bounds_nothing() -> None:
    assert Ceiling(n_trials=0, n_cases=0).bound(0.05) == 1


VALUES = np.array([0.02, -0.01, 0.03, 0.015, 0.004])


@pytest.mark.parametrize("margin", [0.0, 0.01, 0.05])
def test_shares_are_those_of_the_t_around_the_mean(margin: float) -> None:
    t = resampled_t(VALUES, 0.25)
    shares = t.shares(margin)
    assert shares is not None
    posterior = stats.t(4, VALUES.mean(), VALUES.std(ddof=1) * np.sqrt(1 / 5 + 0.25))
    assert shares.better == pytest.approx(posterior.sf(margin))
    assert shares.worse == pytest.approx(posterior.cdf(-margin))
    assert shares.better + shares.within + shares.worse == pytest.approx(1)


def test_shares_are_those_of_baycomp() -> None:
    baycomp = pytest.importorskip("baycomp")
    shares = resampled_t(VALUES, 0.25).shares(0.01)
    assert shares is not None
    # One run of five folds has n_test / n_train = 1 / 4. It gives the share of the first
    # classifier, which here is the arm, first.
    found = baycomp.CorrelatedTTest.probs(VALUES, np.zeros(5), rope=0.01, runs=1)
    assert [shares.better, shares.within, shares.worse] == pytest.approx(list(found))


def test_shares_without_a_spread() -> None:
    assert ResampledT(0.1, None, 5).shares(0.01) is None
    certain = ResampledT(0.0, 0.0, 5).shares(0.01)
    assert certain is not None
    assert (certain.better, certain.within, certain.worse) == (0, 1, 0)


@pytest.mark.parametrize("effect", [0.5, 3.0, 8.0])
def test_power_is_that_of_the_noncentral_t(effect: float) -> None:
    for k in (2, 3, 5, 30):
        expected = stats.nct.sf(stats.t.ppf(0.95, k - 1), k - 1, effect)
        assert power_of([ResampledT(0.0, 1.0, k)], effect, 0.05) == pytest.approx(
            expected, abs=2e-5
        )


def test_power_far_beyond_the_critical_value_is_one() -> None:
    """Two tests of very different spread: that of the narrow one is settled."""
    wide, narrow = ResampledT(0.0, 0.2, 8), ResampledT(0.0, 0.001, 8)
    assert power_of([narrow], 1.0, 0.05) == pytest.approx(1)
    assert detectable([wide, narrow], 0.05) == pytest.approx(detectable([wide], 0.05))
