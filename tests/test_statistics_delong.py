import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import ndtr
from sklearn.metrics import roc_auc_score

from balancer.statistics.delong import auroc_covariance, delong_test


def naive(scores: np.ndarray, positive: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """DeLong 1988 as printed: every pair of a positive and a negative case, in loops."""
    aurocs, v10, v01 = [], [], []
    for row in scores:
        x, y = row[positive], row[~positive]
        wins = np.array([[1.0 if a > b else 0.5 if a == b else 0.0 for b in y] for a in x])
        aurocs.append(wins.mean())
        v10.append(wins.mean(1))
        v01.append(wins.mean(0))
    k, (m, n) = len(scores), wins.shape
    covariance = np.zeros((k, k))
    for r in range(k):
        for s in range(k):
            s10 = sum((v10[r] - aurocs[r]) * (v10[s] - aurocs[s])) / (m - 1)
            s01 = sum((v01[r] - aurocs[r]) * (v01[s] - aurocs[s])) / (n - 1)
            covariance[r, s] = s10 / m + s01 / n
    return np.array(aurocs), covariance


def cases(
    seed: int, *, n: int = 60, k: int = 3, decimals: int = 1
) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    positive = rng.random(n) < 0.3
    positive[:4] = [True, True, False, False]
    return np.round(rng.normal(size=(k, n)) + positive, decimals), positive


@pytest.mark.parametrize("decimals", [0, 1, 8])
@pytest.mark.parametrize("seed", range(5))
def test_midranks_give_what_every_pair_gives(seed: int, decimals: int) -> None:
    scores, positive = cases(seed, decimals=decimals)
    aurocs, covariance = auroc_covariance(scores, positive)
    expected, expected_covariance = naive(scores, positive)
    np.testing.assert_allclose(aurocs, expected, atol=1e-12)
    np.testing.assert_allclose(covariance, expected_covariance, atol=1e-12)
    np.testing.assert_allclose(aurocs, [roc_auc_score(positive, row) for row in scores])


def test_the_p_value_is_that_of_the_standardised_difference() -> None:
    scores, positive = cases(1)
    aurocs, covariance = naive(scores, positive)
    found = delong_test(scores[0], scores[1], positive)
    se = np.sqrt(np.array([-1, 1]) @ covariance[:2, :2] @ np.array([-1, 1]))
    assert found.difference == pytest.approx(aurocs[1] - aurocs[0])
    assert found.se == pytest.approx(se)
    assert found.p == pytest.approx(2 * ndtr(-abs(aurocs[1] - aurocs[0]) / se))


@given(seed=st.integers(0, 1000))
def test_order_of_the_two_and_monotone_scores_do_not_matter(seed: int) -> None:
    scores, positive = cases(seed, n=30, k=2)
    there, back = delong_test(*scores, positive), delong_test(*scores[::-1], positive)
    assert there.p == pytest.approx(back.p)
    assert there.difference == pytest.approx(-(back.difference or 0.0))
    stretched = delong_test(np.exp(scores[0]), scores[1] ** 3, positive)
    assert stretched.p == pytest.approx(there.p)


def test_scores_that_rank_alike_are_equal_for_sure() -> None:
    scores, positive = cases(2)
    found = delong_test(scores[0], 5 * scores[0] - 1, positive)
    assert (found.difference, found.se, found.p) == (0.0, 0.0, 1.0)


def test_perfect_against_constant_scores_leave_no_doubt() -> None:
    positive = np.array([True] * 3 + [False] * 5)
    found = delong_test(np.zeros(8), positive.astype(float), positive)
    assert (found.difference, found.se, found.p) == (0.5, 0.0, 0.0)


@pytest.mark.parametrize("n_positive", [0, 1, 7, 8])
def test_with_fewer_than_two_of_a_class_there_is_a_reason_instead(n_positive: int) -> None:
    positive = np.arange(8) < n_positive
    found = delong_test(np.arange(8.0), np.arange(8.0)[::-1].copy(), positive)
    assert found.difference is None
    assert found.p is None
    assert "fewer than two" in (found.reason or "")


def test_scores_that_are_none_are_refused() -> None:
    with pytest.raises(ValueError, match="finite scores"):
        delong_test(np.array([np.nan, 1, 2, 3]), np.arange(4.0), np.arange(4) < 2)
    with pytest.raises(ValueError, match="at least two cases"):
        auroc_covariance(np.zeros((2, 3)), np.array([True, False, False]))


def test_the_level_is_kept_where_both_are_equally_good() -> None:
    rng = np.random.default_rng(0)
    positive = np.arange(120) < 40
    rejected = 0
    for _ in range(1000):
        shared = rng.normal(size=120) + positive
        first, second = shared + rng.normal(size=(2, 120))
        p = delong_test(first, second, positive).p
        rejected += p is not None and p < 0.05
    assert 35 <= rejected <= 65
