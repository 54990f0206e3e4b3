import doctest
from fractions import Fraction
from math import floor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from balancer import ratio
from balancer.ratio import TargetRatio, plan_synthesis


@pytest.mark.fault(33)
@pytest.mark.parametrize(
    ("text", "value"),
    [("2:1", 2), ("1:1", 1), ("2.5:1", Fraction(5, 2)), ("2", 2), (" 3:2 ", Fraction(3, 2))],
)
def test_reads_ratios_exactly(text: str, value: Fraction | int) -> None:
    assert TargetRatio.parse(text).value == value


@pytest.mark.parametrize(
    "text",
    [
        *("1:2", "0:1", "-1:1", "1:0", "a:b", "2:1:3", "1e9:1", "2 : 1", "", ":", "nan", "9" * 19),
        "2\N{FULLWIDTH COLON}1",
        "\N{ARABIC-INDIC DIGIT TWO}",
    ],
)
def test_refuses_anything_else_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match="such as 2:1"):
        TargetRatio.parse(text)


def test_normal_form_reads_back() -> None:
    longest = "9" * 12 + "." + "9" * 6
    texts = ("2:1", "2.5:1", "4:2", "1.000001", f"{longest}:1", f"{longest}:0.000001")
    for text in texts:
        parsed = TargetRatio.parse(text)
        assert TargetRatio.parse(str(parsed)) == parsed


@pytest.mark.fault(36)
@given(st.integers(1, 10**9), st.integers(1, 10**4), st.integers(1, 10**4))
def test_target_reaches_the_ratio_and_one_fewer_misses_it(largest: int, a: int, b: int) -> None:
    value = Fraction(max(a, b), min(a, b))
    target = TargetRatio(value).target(largest)
    assert Fraction(largest, target) <= value
    assert target == 1 or Fraction(largest, target - 1) > value
    assert floor(largest / value) <= target <= largest


def test_every_class_below_the_target_gets_its_own_number() -> None:
    plans = plan_synthesis({"a": 10, "b": 100, "c": 49, "d": 50}, TargetRatio.parse("2:1"))
    assert {plan.label: plan.to_make for plan in plans} == {"a": 40, "b": 0, "c": 1, "d": 0}
    assert {plan.label: plan.total for plan in plans} == {"a": 50, "b": 100, "c": 50, "d": 50}


def test_two_largest_classes_stay() -> None:
    plans = plan_synthesis({"a": 7, "b": 7}, TargetRatio.parse("1:1"))
    assert [plan.to_make for plan in plans] == [0, 0]


@pytest.mark.parametrize("counts", [{}, {"a": 3}, {"a": 3, "b": 0}])
def test_one_class_cannot_be_balanced(counts: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="two or more classes"):
        plan_synthesis(counts, TargetRatio.parse("2:1"))


def test_examples() -> None:
    assert doctest.testmod(ratio).failed == 0
