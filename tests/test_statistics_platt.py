"""Recalibration by slope and intercept, against other implementations and known truths."""

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import log_softmax
from sklearn.linear_model import LogisticRegression

from balancer.statistics.calibration import recalibration
from balancer.statistics.platt import fit_platt


def example(n: int, n_classes: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, n_classes, n)
    logits = rng.normal(size=(n, n_classes)) + 1.5 * np.eye(n_classes)[labels]
    powers = np.exp(logits)
    return powers / powers.sum(1, keepdims=True), labels


def smoothed(labels: np.ndarray, n_classes: int) -> np.ndarray:
    counts = np.bincount(labels, minlength=n_classes)
    targets = np.ones((len(labels), n_classes))
    targets[np.arange(len(labels)), labels] += counts[labels]
    return targets / (counts[labels] + n_classes)[:, None]


def test_two_classes_are_platts_logistic_regression() -> None:
    """The smoothed targets as weighted rows of an unpenalised logistic regression."""
    probabilities, labels = example(200, 2)
    found = fit_platt(probabilities, labels)
    assert found is not None
    logits = np.log(probabilities[:, 1] / probabilities[:, 0])
    targets = smoothed(labels, 2)
    n_positive = (labels == 1).sum()
    assert targets[labels == 1, 1] == pytest.approx((n_positive + 1) / (n_positive + 2))
    model = LogisticRegression(C=np.inf, tol=1e-10, max_iter=1000)
    rows = np.concatenate([logits, logits])[:, None]
    model.fit(rows, np.repeat([0, 1], 200), sample_weight=np.concatenate(targets.T))
    assert found.slope == pytest.approx(model.coef_[0, 0], abs=1e-5)
    assert found.intercepts == pytest.approx([0, model.intercept_[0]], abs=1e-5)
    assert found.apply(probabilities) == pytest.approx(model.predict_proba(logits[:, None]))


def test_three_classes_have_the_largest_likelihood() -> None:
    probabilities, labels = example(150, 3)
    found = fit_platt(probabilities, labels)
    assert found is not None
    targets = smoothed(labels, 3)

    def loss(x: np.ndarray) -> float:
        logits = x[0] * np.log(probabilities) + np.append(0, x[1:])
        return float(-(targets * log_softmax(logits, 1)).sum())

    best = minimize(loss, [1.0, 0, 0], method="BFGS", options={"gtol": 1e-8})
    assert [found.slope, *found.intercepts[1:]] == pytest.approx(best.x, abs=1e-4)


def test_distorted_probabilities_come_back() -> None:
    """Log odds that are halved and shifted are right again, on other images too."""
    rng = np.random.default_rng(0)
    truth = rng.normal(-1, 2, 40_000)
    labels = (rng.uniform(size=40_000) < 1 / (1 + np.exp(-truth))).astype(int)
    p = 1 / (1 + np.exp(-(0.5 * truth + 2)))
    both = np.stack([1 - p, p], 1)
    found = fit_platt(both[:20_000], labels[:20_000])
    assert found is not None
    after = recalibration(found.apply(both[20_000:]), labels[20_000:], positive=1)
    before = recalibration(both[20_000:], labels[20_000:], positive=1)
    assert before.slope == pytest.approx(2, abs=0.1)
    assert after.slope == pytest.approx(1, abs=0.05)
    assert after.intercept == pytest.approx(0, abs=0.06)


def test_separated_classes_and_certain_probabilities_stay_finite() -> None:
    p = np.array([0.0, 0.0, 0.0, 1.0, 1.0])
    found = fit_platt(np.stack([1 - p, p], 1), np.array([0, 0, 0, 1, 1]))
    assert found is not None
    assert np.isfinite(found.slope)
    moved = found.apply(np.stack([1 - p, p], 1))
    assert moved[:, 1] == pytest.approx([1 / 5] * 3 + [3 / 4] * 2)


def test_equal_probabilities_become_the_class_share() -> None:
    found = fit_platt(np.full((10, 2), 0.5), np.arange(10) % 5 // 4)
    assert found is not None
    assert found.apply(np.full((1, 2), 0.5))[0, 1] == pytest.approx((2 * 3 / 4 + 8 * 1 / 10) / 10)


def test_validation_images_of_one_class_fit_nothing() -> None:
    probabilities, _ = example(20, 2)
    assert fit_platt(probabilities, np.zeros(20, int)) is None
