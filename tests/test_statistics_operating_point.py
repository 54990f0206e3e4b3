import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_curve

from balancer.statistics.operating_point import threshold_at_specificity

scored = st.lists(st.tuples(st.integers(0, 20), st.booleans()), min_size=1, max_size=40)


@given(scored, st.floats(0, 1))
def test_specificity_is_kept_and_no_lower_cut_keeps_it(
    cases: list[tuple[int, bool]], specificity: float
) -> None:
    scores = np.array([score / 20 for score, _ in cases])
    positive = np.array([flag for _, flag in cases])
    cut = threshold_at_specificity(scores, positive, specificity)
    if positive.all():
        assert cut is None
        return
    assert cut is not None
    others = scores[~positive]
    assert (others < cut).mean() >= specificity - 1e-9
    lower = scores[scores < cut]
    if len(lower):
        assert (others < lower.max()).mean() < specificity


@pytest.mark.parametrize("specificity", [0.5, 0.8, 0.9, 0.95])
def test_sensitivity_there_is_the_best_of_the_roc_curve(specificity: float) -> None:
    rng = np.random.default_rng(0)
    positive = rng.random(200) < 0.3
    scores = rng.normal(size=200) + positive
    cut = threshold_at_specificity(scores, positive, specificity)
    false_alarms, sensitivity, _ = roc_curve(positive, scores, drop_intermediate=False)
    best = sensitivity[1 - false_alarms >= specificity - 1e-9].max()
    assert (scores[positive] >= cut).mean() == pytest.approx(best)


def test_the_cut_lies_in_the_middle_of_the_gap() -> None:
    scores = np.array([0.1, 0.2, 0.4, 0.8])
    positive = np.array([False, False, True, True])
    assert threshold_at_specificity(scores, positive, 1.0) == pytest.approx(0.3)
    assert threshold_at_specificity(scores, positive, 0.5) == pytest.approx(0.15)
    assert threshold_at_specificity(scores, positive, 0.0) == 0.1


def test_where_nothing_scores_higher_nothing_is_positive() -> None:
    scores = np.array([0.1, 0.9, 0.9])
    cut = threshold_at_specificity(scores, np.array([True, False, True]), 0.95)
    assert cut is not None
    assert cut > 0.9


def test_nine_of_ten_is_nine_tenths() -> None:
    scores = np.arange(10) / 10
    cut = threshold_at_specificity(scores, np.zeros(10, bool), 0.9)
    assert cut == pytest.approx(0.85)


def test_what_is_no_score_is_refused() -> None:
    with pytest.raises(ValueError, match="finite"):
        threshold_at_specificity(np.array([np.nan]), np.array([False]), 0.9)
    with pytest.raises(ValueError, match="95"):
        threshold_at_specificity(np.array([0.5]), np.array([False]), 95)
