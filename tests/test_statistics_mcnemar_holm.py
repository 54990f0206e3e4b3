import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests

from balancer.statistics.holm import holm
from balancer.statistics.mcnemar import mcnemar_exact

probabilities = st.lists(st.floats(0, 1), min_size=1, max_size=12)


@pytest.mark.parametrize("counts", [(0, 1), (3, 9), (9, 3), (5, 5), (0, 12), (40, 61), (200, 150)])
def test_mcnemar_agrees_with_statsmodels(counts: tuple[int, int]) -> None:
    table = [[50, counts[0]], [counts[1], 30]]
    assert mcnemar_exact(*counts) == pytest.approx(mcnemar(table, exact=True).pvalue)


@given(st.integers(0, 60), st.integers(0, 60))
def test_mcnemar_is_twice_the_smaller_tail(only_first: int, only_second: int) -> None:
    n, least = only_first + only_second, min(only_first, only_second)
    expected = min(1.0, 2 * binom.cdf(least, n, 0.5))
    assert mcnemar_exact(only_first, only_second) == pytest.approx(expected)


def test_classifiers_that_never_disagree_are_equal() -> None:
    assert mcnemar_exact(0, 0) == 1.0


def test_negative_counts_are_refused() -> None:
    with pytest.raises(ValueError, match="counts of cases"):
        mcnemar_exact(-1, 3)


@pytest.mark.parametrize("n", [1, 2, 3, 7, 15])
def test_holm_agrees_with_statsmodels(n: int) -> None:
    p = np.random.default_rng(n).beta(0.3, 1, n).round(3).tolist()  # small ones, some equal
    np.testing.assert_allclose(
        np.array(holm(p), float), multipletests(p, method="holm")[1], atol=1e-12
    )


@given(probabilities, st.randoms())
def test_holm_keeps_the_order_and_lies_between_nothing_and_bonferroni(
    p: list[float], random
) -> None:
    adjusted = np.array(holm(p), float)
    assert (adjusted >= p).all()
    assert (adjusted <= np.minimum(1, len(p) * np.array(p)) + 1e-12).all()
    assert (np.diff(adjusted[np.argsort(p, kind="stable")]) >= 0).all()
    places = list(range(len(p)))
    random.shuffle(places)
    np.testing.assert_allclose(np.array(holm([p[i] for i in places]), float), adjusted[places])


def test_a_claim_that_could_not_be_tested_still_counts() -> None:
    assert holm([0.01, None, 0.2]) == [pytest.approx(0.03), None, pytest.approx(0.4)]
    assert holm([None]) == [None]
    assert holm([]) == []


def test_what_is_no_probability_is_refused() -> None:
    with pytest.raises(ValueError, match="p-values from 0 to 1"):
        holm([0.5, float("nan")])
