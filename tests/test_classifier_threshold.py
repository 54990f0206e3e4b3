import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from classifier.decision import choose_threshold


def balanced(scores: np.ndarray, positive: np.ndarray, threshold: float) -> float:
    predicted = scores >= threshold
    return (predicted[positive].mean() + (~predicted)[~positive].mean()) / 2


@pytest.mark.parametrize(
    ("scores", "positive", "expected"),
    [
        ([0.1, 0.2, 0.6, 0.9], [0, 0, 1, 1], 0.4),  # perfect: middle of the gap
        ([0.0, 1.0], [0, 1], 0.5),
        ([0.3, 0.3, 0.3], [0, 1, 1], 0.3),  # constant: all positive
        ([0.9, 0.1], [0, 1], 0.1),  # inverted: no cut beats guessing
        ([0.1, 0.5, 0.5, 0.9], [0, 0, 1, 1], 0.3),  # ties in score; 0.3 and 0.7 are equal, first
        ([0.1, 0.2, 0.3, 0.9], [0, 1, 0, 1], 0.6),  # equal cuts: 0.15 or 0.6, the widest gap
    ],
)
def test_known_cases(scores: list[float], positive: list[int], expected: float) -> None:
    found = choose_threshold(np.array(scores), np.array(positive, bool))
    assert found == pytest.approx(expected)


@given(st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=2, max_size=30))
def test_no_threshold_is_better(rows: list[tuple[float, bool]]) -> None:
    scores = np.array([score for score, _ in rows])
    positive = np.array([flag for _, flag in rows])
    if positive.all() or not positive.any():
        return
    found = choose_threshold(scores, positive)
    assert 0 <= found <= 1
    best = max(balanced(scores, positive, t) for t in [*scores, 2.0])
    assert balanced(scores, positive, found) == pytest.approx(best)


def test_neighbouring_floats_are_told_apart() -> None:
    low = 0.3
    high = np.nextafter(low, 1)
    assert choose_threshold(np.array([low, high]), np.array([False, True])) == high


@pytest.mark.parametrize(
    ("scores", "positive"),
    [
        ([0.1, 0.2], [1, 1]),
        ([0.1, 0.2], [0, 0]),
        ([0.1, np.nan], [0, 1]),
        ([0.1], [0, 1]),
        ([], []),
    ],
)
def test_bad_input(scores: list[float], positive: list[int]) -> None:
    with pytest.raises(ValueError, match="threshold"):
        choose_threshold(np.array(scores), np.array(positive, bool))
