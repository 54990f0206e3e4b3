from pathlib import Path

import numpy as np
import pytest

from balancer.ablation.frozen_records import Worth
from balancer.ablation.worth import CurveRuns, measure_worth
from balancer.report.plots.worth import save_worth

SIZES = np.array([9.0, 18, 36, 72, 145, 176, 207])
BASE, RATIO, K = 4, 0.2, 24


def level(n: float) -> float:
    """The planted curve."""
    return float(0.97 - 0.45 * n**-0.5)


def planted(
    rng: np.random.Generator, truths: dict[str, float], *, sd: float = 0.004, rise: float = 1.0
) -> CurveRuns:
    """A study whose arms are worth as many images as `truths` says.

    Splits share a part, as overlapping splits do: each difference has the variance
    sd^2 (1/K + RATIO) between studies.
    """

    def noise() -> np.ndarray:
        return sd / np.sqrt(2) * (rng.standard_normal(K) + np.sqrt(RATIO) * rng.standard_normal())

    easy = 5 * noise()  # easy splits are easy for all
    at = [level(SIZES[BASE]) + rise * (level(n) - level(SIZES[BASE])) for n in SIZES]
    curve = np.stack([value + easy + noise() for value in at], axis=1)
    arms = {}
    for name, truth in truths.items():
        n = float(SIZES[BASE]) + truth
        value = level(SIZES[BASE]) + rise * (level(n) - level(SIZES[BASE]))
        arms[name] = value + easy + noise()
    return CurveRuns(
        sizes=SIZES, base=BASE, curve=curve, arms=arms, truths={"control": 62.0},
        test_to_train=RATIO,
    )  # fmt: skip


def measured(runs: CurveRuns, margin: float = 0.001) -> Worth:
    return measure_worth(runs, label="COVID", title="AUROC", margin=margin, seed=0)


def covered(ratio_used: float, n_studies: int = 150) -> float:
    """Share of the intervals that hold the planted worth of two arms."""
    rng = np.random.default_rng(7)
    inside = []
    for _ in range(n_studies):
        runs = planted(rng, {"good": 25.0, "bad": -60.0})
        runs = CurveRuns(
            sizes=runs.sizes, base=runs.base, curve=runs.curve, arms=runs.arms, truths={},
            test_to_train=ratio_used,
        )  # fmt: skip
        for name, truth in (("good", 25.0), ("bad", -60.0)):
            arm = measured(runs).arms[name]
            low = -np.inf if arm.low is None else arm.low
            high = np.inf if arm.high is None else arm.high
            inside.append(low <= truth <= high)
    return float(np.mean(inside))


def test_intervals_hold_the_planted_worth() -> None:
    assert covered(RATIO) >= 0.95 - 2 * np.sqrt(0.95 * 0.05 / 300)


def test_without_the_correction_for_overlap_they_would_not() -> None:
    assert covered(0.0) < 0.75


def test_without_noise_the_worth_is_exact() -> None:
    rng = np.random.default_rng(0)
    runs = planted(rng, {"good": 25.0, "bad": -60.0, "control": 50.0}, sd=1e-6)
    found = measured(runs)
    assert found.misfit < 1e-3
    for name, truth in (("good", 25.0), ("bad", -60.0), ("control", 50.0)):
        assert found.arms[name].value == pytest.approx(truth, abs=1.5)
        assert found.arms[name].word == "measured"


def test_an_arm_like_real_is_worth_nothing_whatever_the_fit() -> None:
    runs = planted(np.random.default_rng(1), {})
    runs.arms["real again"] = runs.curve[:, BASE].copy()  # type: ignore[index]
    arm = measured(runs).arms["real again"]
    assert (arm.value, arm.low, arm.high) == (0.0, 0.0, 0.0)


def test_the_self_test_is_printed_and_can_fail() -> None:
    rng = np.random.default_rng(2)
    passed = measured(planted(rng, {"control": 55.0}, sd=1e-4)).self_test
    assert passed is not None
    assert "62" in passed
    assert "fails" in passed
    passed = measured(planted(rng, {"control": 61.0}, sd=1e-3)).self_test
    assert passed is not None
    assert "fails" not in passed
    beyond = measured(planted(rng, {"control": 200.0}, sd=1e-4)).self_test
    assert beyond is not None
    assert "fails" in beyond
    assert measured(planted(rng, {"good": 5.0})).self_test is None


def test_a_flat_curve_says_that_there_is_nothing_to_gain() -> None:
    runs = planted(np.random.default_rng(3), {"good": 30.0, "control": 62.0}, rise=0.0, sd=0.001)
    found = measured(runs, margin=0.01)
    assert found.is_flat
    assert "nothing to gain" in found.sentence
    for arm in found.arms.values():
        assert arm.word == "nothing to gain"
        assert (arm.value, arm.low, arm.high) == (None, None, None)


def test_a_noisy_flat_curve_does_not_say_so() -> None:
    runs = planted(np.random.default_rng(3), {"good": 30.0}, rise=0.0, sd=0.1)
    found = measured(runs, margin=0.01)
    assert not found.is_flat
    assert found.arms["good"].word == "undetermined"


def test_a_difference_beyond_the_curve_is_not_extrapolated() -> None:
    found = measured(planted(np.random.default_rng(4), {"good": 400.0, "bad": -144.9}, sd=1e-4))
    good, bad = found.arms["good"], found.arms["bad"]
    assert good.word == "beyond the curve"
    assert (good.value, good.low, good.high) == (None, None, None)
    assert "more than 62" in good.sentence
    assert bad.word == "below the curve"


def test_an_interval_that_leaves_the_curve_says_at_least() -> None:
    found = measured(planted(np.random.default_rng(5), {"good": 55.0}, sd=0.0012))
    good = found.arms["good"]
    assert good.word == "at least"
    assert good.high is None
    assert good.low is not None
    assert 0 < good.low < 55


def test_a_better_arm_is_worth_more() -> None:
    rng = np.random.default_rng(6)
    runs = planted(rng, {"first": 10.0})
    arms = {f"{step}": runs.arms["first"] + 0.0005 * step for step in range(8)}
    runs = CurveRuns(
        sizes=SIZES, base=BASE, curve=runs.curve, arms=arms, truths={}, test_to_train=RATIO
    )
    values = [arm.value for arm in measured(runs).arms.values()]
    known = [value for value in values if value is not None]
    assert len(known) > 3
    assert (np.diff(known) > 0).all()


def test_two_splits_are_refused() -> None:
    runs = planted(np.random.default_rng(0), {})
    few = CurveRuns(
        sizes=SIZES, base=BASE, curve=runs.curve[:2], arms={}, truths={}, test_to_train=RATIO
    )
    with pytest.raises(ValueError, match="3"):
        measured(few)


def test_the_picture_is_drawn_with_every_kind_of_answer(tmp_path: Path) -> None:
    truths = {"control": 62.0, "good": 20.0, "best": 500.0, "bad": -144.9}
    found = measured(planted(np.random.default_rng(8), truths, sd=0.0012))
    assert {arm.word for arm in found.arms.values()} >= {"beyond the curve", "measured"}
    kinds = {"control": "control", "good": "cheap", "best": "gan", "bad": "control"}
    save_worth(found, kinds, tmp_path / "worth.png")
    assert (tmp_path / "worth.png").stat().st_size > 10_000
