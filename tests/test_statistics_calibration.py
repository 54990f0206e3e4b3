import numpy as np
import pytest
import statsmodels.api as sm
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit, logit
from sklearn.metrics import brier_score_loss
from torchmetrics.functional.classification import multiclass_calibration_error

from balancer.statistics.calibration import (
    correct_prior,
    expected_calibration_error,
    recalibration,
    squared_errors,
)


def two_classes(positive: np.ndarray) -> np.ndarray:
    return np.stack([1 - positive, positive], 1)


def drawn(seed: int, *, n: int = 200, slope: float = 1.0, shift: float = 0.0) -> tuple:
    """Probabilities whose logits are off by a factor and a shift, with labels."""
    rng = np.random.default_rng(seed)
    truth = rng.normal(-1, 1.5, n)
    labels = (rng.random(n) < expit(truth)).astype(np.int64)
    return two_classes(expit((truth - shift) / slope)), labels


def many_classes(seed: int, *, n: int = 150, c: int = 3) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.dirichlet(np.ones(c), n), rng.integers(0, c, n)


@pytest.mark.parametrize("seed", range(3))
def test_brier_is_that_of_scikit_learn(seed: int) -> None:
    probabilities, labels = drawn(seed)
    expected = brier_score_loss(labels, probabilities[:, 1])
    assert squared_errors(probabilities, labels).mean() == pytest.approx(expected)
    probabilities, labels = many_classes(seed)
    expected = brier_score_loss(labels, probabilities, labels=[0, 1, 2])
    assert squared_errors(probabilities, labels).mean() == pytest.approx(expected)


@pytest.mark.parametrize("seed", range(3))
def test_ece_is_that_of_torchmetrics(seed: int) -> None:
    for probabilities, labels in (drawn(seed), many_classes(seed, c=4)):
        p, y = torch.from_numpy(probabilities), torch.from_numpy(labels)
        expected = multiclass_calibration_error(p, y, probabilities.shape[1], n_bins=15).item()
        assert expected_calibration_error(probabilities, labels) == pytest.approx(
            expected, abs=1e-6
        )


def test_ece_closed_form() -> None:
    sure = two_classes(np.ones(4))
    assert expected_calibration_error(sure, np.array([1, 1, 1, 0])) == pytest.approx(0.25)
    assert expected_calibration_error(sure, np.ones(4, np.int64)) == 0


@pytest.mark.parametrize(("slope", "shift"), [(1.0, 0.0), (0.5, 1.0), (2.0, -2.0)])
def test_slope_and_intercept_are_those_of_statsmodels(slope: float, shift: float) -> None:
    probabilities, labels = drawn(7, slope=slope, shift=shift)
    logits = logit(probabilities[:, 1])
    binomial = sm.families.Binomial()
    free = sm.GLM(labels, sm.add_constant(logits), family=binomial).fit(tol=1e-12)
    held = sm.GLM(labels, np.ones(len(labels)), family=binomial, offset=logits).fit(tol=1e-12)
    found = recalibration(probabilities, labels, positive=1)
    assert found.slope == pytest.approx(free.params[1], abs=1e-6)
    assert found.intercept == pytest.approx(held.params[0], abs=1e-6)


@pytest.mark.parametrize(("slope", "shift"), [(1.0, 0.0), (0.5, 1.0), (2.0, -1.0)])
def test_the_planted_slope_is_found(slope: float, shift: float) -> None:
    probabilities, labels = drawn(11, n=20_000, slope=slope, shift=shift)
    found = recalibration(probabilities, labels, positive=1)
    assert found.slope == pytest.approx(slope, rel=0.06)
    if slope == 1:
        assert found.intercept == pytest.approx(shift, abs=0.06)


@given(st.integers(0, 100), st.floats(-3, 3), st.floats(0.2, 4))
def test_recalibration_follows_shifts_and_stretches(seed: int, shift: float, factor: float) -> None:
    probabilities, labels = drawn(seed, n=60)
    before = recalibration(probabilities, labels, positive=1)
    logits = logit(probabilities[:, 1])
    moved = recalibration(two_classes(expit(logits + shift)), labels, positive=1)
    stretched = recalibration(two_classes(expit(logits * factor)), labels, positive=1)
    if before.slope is None or before.intercept is None:
        assert moved.slope_reason == before.slope_reason
        return
    assert moved.intercept == pytest.approx(before.intercept - shift, abs=1e-5)
    assert moved.slope == pytest.approx(before.slope, abs=1e-4)
    assert stretched.slope == pytest.approx(before.slope / factor, abs=1e-4)


def test_the_other_class_mirrors() -> None:
    probabilities, labels = drawn(3)
    one, other = (recalibration(probabilities, labels, positive=c) for c in (1, 0))
    assert one.slope == pytest.approx(other.slope)
    assert one.intercept == pytest.approx(-(other.intercept or 0.0))


@pytest.mark.parametrize("turned", [False, True])
def test_separated_classes_have_no_slope_but_an_intercept(turned: bool) -> None:
    scores = np.array([0.1, 0.2, 0.3, 0.3, 0.7, 0.9])
    labels = np.array([0, 0, 0, 1, 1, 1]) ^ int(turned)
    found = recalibration(two_classes(scores), labels, positive=1)
    assert found.slope is None
    assert "separated" in (found.slope_reason or "")
    assert found.intercept is not None


def test_what_cannot_be_fitted_has_a_reason() -> None:
    found = recalibration(two_classes(np.full(6, 0.3)), np.array([0, 0, 1, 0, 1, 0]), positive=1)
    assert found.slope is None
    assert "same probability" in (found.slope_reason or "")
    assert found.intercept == pytest.approx(logit(2 / 6) - logit(0.3))
    for labels in (np.zeros(4, np.int64), np.ones(4, np.int64)):
        found = recalibration(two_classes(np.array([0.1, 0.2, 0.8, 0.9])), labels, positive=1)
        assert found.slope is None
        assert found.intercept is None
        assert "one class" in (found.intercept_reason or "")


@pytest.mark.fault(60)
def test_probabilities_of_exactly_0_and_1_are_no_infinity() -> None:
    scores = np.array([0.0, 1.0, 0.0, 1.0, 0.4, 0.6, 0.5])
    labels = np.array([0, 1, 1, 0, 0, 1, 1])
    found = recalibration(two_classes(scores), labels, positive=1)
    assert found.slope is not None
    assert np.isfinite(found.slope)
    assert np.isfinite(found.intercept or 0.0)


@pytest.mark.fault(59)
@given(st.integers(0, 100))
def test_correcting_there_and_back_changes_nothing(seed: int) -> None:
    probabilities, _ = many_classes(seed, n=20)
    one, other = np.array([0.2, 0.3, 0.5]), np.array([0.7, 0.2, 0.1])
    there = correct_prior(probabilities, one, other)
    np.testing.assert_allclose(there.sum(1), 1)
    np.testing.assert_allclose(correct_prior(there, other, one), probabilities, atol=1e-9)
    np.testing.assert_allclose(correct_prior(probabilities, one, one), probabilities, atol=1e-9)


def test_correcting_shifts_the_logits() -> None:
    probabilities, _ = drawn(0)
    corrected = correct_prior(probabilities, np.array([0.5, 0.5]), np.array([0.9, 0.1]))
    shift = np.log(0.1 / 0.5) - np.log(0.9 / 0.5)
    np.testing.assert_allclose(logit(corrected[:, 1]), logit(probabilities[:, 1]) + shift)


@pytest.mark.fault(59)
def test_correcting_the_prior_mends_what_balancing_broke() -> None:
    """Bayes' rule on two normals: trained as if classes were equal, used at one in ten."""
    rng = np.random.default_rng(0)
    labels = (rng.random(20_000) < 0.1).astype(np.int64)
    x = rng.normal(2.0 * labels, 1)
    balanced = two_classes(expit(2.0 * x - 2.0))
    corrected = correct_prior(balanced, np.array([0.5, 0.5]), np.array([0.9, 0.1]))
    before, after = (recalibration(p, labels, positive=1) for p in (balanced, corrected))
    assert before.intercept == pytest.approx(np.log(0.1 / 0.9), abs=0.15)
    assert after.intercept == pytest.approx(0, abs=0.1)
    assert after.slope == pytest.approx(1, abs=0.1)


def test_shares_that_are_none_are_refused() -> None:
    probabilities, _ = drawn(0)
    with pytest.raises(ValueError, match="above 0"):
        correct_prior(probabilities, np.array([1.0, 0.0]), np.array([0.5, 0.5]))
    with pytest.raises(ValueError, match="one per class"):
        correct_prior(probabilities, np.ones(3) / 3, np.array([0.5, 0.5]))
