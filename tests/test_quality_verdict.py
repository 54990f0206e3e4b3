"""The arithmetic of the gate's verdict, on figures made up for it."""

from typing import Any

import pytest
from balancer.quality.gate import Check, checks, failures, verdict

from balancer.quality.config import GateConfig


def figures(**changes: Any) -> dict[str, Any]:
    """Those of a good set; a change replaces a part."""
    labels = {"COVID": 0.8, "Normal": 0.2}
    good: dict[str, Any] = {
        "memorization": {
            "n": 200,
            "near_copies": {"generated": 0.01, "generated_at_least": 0.0, "held_out": 0.0},
        },
        "diversity": {
            "twins": {"generated": 0.02, "real": 0.03, "n": 100},
            "ms_ssim": {"generated": 0.40, "real": 0.35, "n": 100},
        },
        "identity": {"distances": {"lite0": distances(-0.3)}, "judged": judged(labels, labels)},
        "against": {"training": {"coverage[lite0]": coverage(0.7)}},
        "tells": {"trivial_statistics": {"value": 0.7}},
    }
    return good | changes


def distances(own_minus_other: float, width: float = 0.1) -> dict[str, Any]:
    interval = [own_minus_other - width, own_minus_other + width]
    return {
        "COVID": {"generated": 0.3, "held_out": 0.0},
        "Normal": {
            "generated": 0.3 - own_minus_other,
            "held_out": 0.3,
            "own_minus_this": own_minus_other,
            "interval": interval,
        },
    }


def judged(generated: dict[str, float], held_out: dict[str, float]) -> dict[str, Any]:
    return {
        kind: {"labels": labels, "median_probability": 0.9}
        for kind, labels in (("generated", generated), ("held_out", held_out))
    }


def coverage(value: float) -> dict[str, Any]:
    return {"value": value, "same_n": {"n": 50, "value": value, "real_against_real": 0.9}}


def failed(**changes: Any) -> list[str]:
    found = checks("COVID", figures(**changes), GateConfig())
    return [check.name for check in found if check.passed is False]


def test_a_good_set_passes() -> None:
    found = checks("COVID", figures(), GateConfig())
    assert verdict(found) is True
    assert len(found) == 7


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        (
            {
                "memorization": {
                    "n": 200,
                    "near_copies": {"generated": 0.2, "generated_at_least": 0.15, "held_out": 0.0},
                }
            },
            "memorization",
        ),
        (
            {
                "diversity": {
                    "twins": {"generated": 0.3, "real": 0.03},
                    "ms_ssim": {"generated": 0.4, "real": 0.35},
                }
            },
            "twins",
        ),
        (
            {
                "diversity": {
                    "twins": {"generated": 0.1, "real": 0.03},
                    "ms_ssim": {"generated": 0.51, "real": 0.35},
                }
            },
            "diversity",
        ),
        ({"against": {"training": {"coverage[lite0]": coverage(0.2)}}}, "coverage[lite0]"),
        ({"tells": {"trivial_statistics": {"value": 0.91}}}, "shortcut"),
        (
            {
                "identity": {
                    "distances": {"lite0": distances(0.2)},
                    "judged": judged({"COVID": 0.8, "Normal": 0.2}, {"COVID": 0.8, "Normal": 0.2}),
                }
            },
            "nearest class [lite0]",
        ),
        (
            {
                "identity": {
                    "distances": {"lite0": distances(-0.2)},
                    "judged": judged({"COVID": 0.3, "Normal": 0.7}, {"COVID": 0.8, "Normal": 0.2}),
                }
            },
            "judged class",
        ),
    ],
)
def test_each_limit_fails_alone(changes: dict[str, Any], name: str) -> None:
    assert failed(**changes) == [name]


def test_a_class_that_is_nearer_within_the_interval_is_no_proof() -> None:
    labels = {"COVID": 0.8, "Normal": 0.2}
    for own_minus_other, names in ((0.05, []), (0.15, ["nearest class [lite0]"])):
        identity = {
            "distances": {"lite0": distances(own_minus_other)},
            "judged": judged(labels, labels),
        }
        assert failed(identity=identity) == names


def test_a_judge_that_misses_real_images_asks_no_more_of_synthetic_ones() -> None:
    weak = {"COVID": 0.4, "Normal": 0.6}
    identity = {"distances": {"lite0": distances(-0.3)}, "judged": judged(weak, weak)}
    assert failed(identity=identity) == []


def test_what_cannot_be_asked_is_said_and_does_not_pass() -> None:
    labels = {"COVID": 1.0, "Normal": 0.0}
    found = checks(
        "COVID",
        figures(
            against={},
            diversity={"twins": None, "ms_ssim": None},
            identity={
                "distances": {"lite0": None, "edges": None},
                "judged": judged(labels, labels),
            },
            tells={"trivial_statistics": None},
        ),
        GateConfig(),
    )
    assert [check.passed for check in found].count(None) == 6
    assert all("too few images" in check.sentence for check in found if check.passed is None)
    assert verdict(found) is None


def test_one_failure_outweighs_what_was_not_asked() -> None:
    found = [Check("a", True, ""), Check("b", None, ""), Check("c", False, "")]
    assert verdict(found) is False
    assert failures({"checks": [check.as_json() for check in found]}) == ["c"]
