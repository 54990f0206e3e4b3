import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from balancer.statistics.resampled_t import mean_by_split, resampled_t
from support.planted_studies import correlated

VALUES = np.array([0.02, -0.01, 0.03, 0.015, 0.004])


def test_without_overlap_it_is_students_t() -> None:
    found = resampled_t(VALUES, 0.0)
    assert found.p_two_sided() == pytest.approx(stats.ttest_1samp(VALUES, 0).pvalue)
    for p, alternative in ((found.p_greater(), "greater"), (found.p_less(), "less")):
        expected = stats.ttest_1samp(VALUES, 0, alternative=alternative).pvalue
        assert p == pytest.approx(expected)
    expected_interval = stats.ttest_1samp(VALUES, 0).confidence_interval(0.95)
    assert found.interval() == pytest.approx(tuple(expected_interval))


def test_the_correction_is_the_papers() -> None:
    found = resampled_t(VALUES, 0.25)
    se = np.sqrt((1 / 5 + 0.25) * VALUES.var(ddof=1))
    assert found.se == pytest.approx(se)
    assert found.p_two_sided() == pytest.approx(2 * stats.t.sf(VALUES.mean() / se, 4))
    reach = stats.t.ppf(0.975, 4) * se
    assert found.interval() == pytest.approx((VALUES.mean() - reach, VALUES.mean() + reach))


@given(st.lists(st.floats(-1, 1), min_size=2, max_size=20), st.floats(0, 2), st.floats(1e-3, 1))
def test_equivalence_is_the_narrower_interval_inside_the_margin(
    values: list[float], ratio: float, margin: float
) -> None:
    found = resampled_t(np.array(values), ratio)
    low, high = found.interval(0.9) or (np.nan, np.nan)
    p = found.p_equivalent(margin)
    if found.se is None:
        assert p is None
        return
    assert p is not None
    if min(abs(low + margin), abs(high - margin)) > 1e-9:
        assert (p <= 0.05) == (-margin < low and high < margin)


@given(st.lists(st.floats(-1, 1), min_size=2, max_size=20), st.floats(0, 2))
def test_sides_mirror(values: list[float], ratio: float) -> None:
    found, mirrored = resampled_t(np.array(values), ratio), resampled_t(-np.array(values), ratio)
    assert found.p_greater() == pytest.approx(mirrored.p_less())
    assert found.p_two_sided() == pytest.approx(mirrored.p_two_sided())


def test_one_split_says_nothing_of_the_spread() -> None:
    found = resampled_t(np.array([0.3]), 0.25)
    assert found.mean == 0.3
    assert found.se is None
    assert found.interval() is None
    assert found.p_two_sided() is None
    assert found.p_greater() is None
    assert found.p_equivalent(1.0) is None


def test_agreement_throughout_is_certain() -> None:
    found = resampled_t(np.zeros(7), 0.25)
    assert found.se == 0
    assert (found.p_greater(), found.p_less(), found.p_two_sided()) == (1, 1, 1)
    assert found.interval() == (0, 0)
    assert found.p_equivalent(0.05) == 0


@pytest.mark.parametrize("value", [0.1, -0.1])
def test_a_difference_that_repeats_itself_has_no_spread_to_test_with(value: float) -> None:
    found = resampled_t(np.full(7, value), 0.25)
    assert found.mean == pytest.approx(value)
    assert found.se is found.interval() is found.p_greater() is found.p_less() is None
    assert found.p_two_sided() is found.p_equivalent(0.5) is None


def test_values_that_are_none_are_refused() -> None:
    for values in ([], [np.nan, 1.0]):
        with pytest.raises(ValueError, match="one finite value per split"):
            resampled_t(np.array(values), 0.25)
    with pytest.raises(ValueError, match="n_test / n_train"):
        resampled_t(VALUES, -0.1)


def test_seeds_are_averaged_within_their_split() -> None:
    means = mean_by_split(np.array([1.0, 3.0, 10.0, 2.0]), ["b", "b", "a", "b"])
    np.testing.assert_allclose(means, [10.0, 2.0])


@pytest.mark.fault(58)
@pytest.mark.parametrize(("k", "ratio"), [(5, 0.25), (10, 0.25), (25, 0.25), (10, 1.0)])
def test_null_simulation(k: int, ratio: float) -> None:
    """1,000 studies without a difference: 5 % claim one, 95 % of the intervals hold 0."""
    helps = hurts = covered = 0
    for values in correlated(np.random.default_rng(k), k, ratio, times=1000)[:, 0]:
        found = resampled_t(values, ratio)
        low, high = found.interval() or (np.nan, np.nan)
        covered += low <= 0 <= high
        helps += (found.p_greater() or 0.0) <= 0.05
        hurts += (found.p_less() or 0.0) <= 0.05
    assert 35 <= helps <= 65
    assert 35 <= hurts <= 65
    assert 930 <= covered <= 970


def test_the_plain_t_would_claim_too_much() -> None:
    """The uncorrected test makes false claims, which the simulation detects."""
    runs = correlated(np.random.default_rng(0), 25, 0.25, times=1000)[:, 0]
    assert sum((resampled_t(values, 0.0).p_greater() or 0.0) <= 0.05 for values in runs) > 200


@pytest.mark.parametrize("effect", [0.5, 1.0, 1.5])
def test_a_planted_effect_is_found_with_the_power_of_the_noncentral_t(effect: float) -> None:
    k, ratio = 10, 0.25
    runs = correlated(np.random.default_rng(1), k, ratio, times=1000)[:, 0] + effect
    found = sum((resampled_t(values, ratio).p_greater() or 0.0) <= 0.05 for values in runs)
    rho = ratio / (1 + ratio)
    noncentrality = effect / np.sqrt(1 / k + (1 - 1 / k) * rho)
    power = stats.nct.sf(stats.t.ppf(0.95, k - 1), k - 1, noncentrality)
    assert found / 1000 == pytest.approx(power, abs=0.04)


def test_counting_seeds_as_splits_would_claim_too_much() -> None:
    """Five seeds on each of five splits: a split's own part is there once, not five times."""
    rng = np.random.default_rng(3)
    of_splits = correlated(rng, 5, 0.25, times=4000)[:, 0]
    splits = [f"split-{number}" for number in range(5) for _ in range(5)]
    by_split = by_run = 0
    for values in of_splits:
        runs = np.repeat(values, 5) + rng.normal(0, 0.5, 25)
        by_split += (resampled_t(mean_by_split(runs, splits), 0.25).p_greater() or 0.0) <= 0.05
        by_run += (resampled_t(runs, 0.25).p_greater() or 0.0) <= 0.05
    assert 0.035 <= by_split / 4000 <= 0.065
    assert by_run / 4000 > 0.075
