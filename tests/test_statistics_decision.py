"""Net benefit and log loss per case, at the shares of the cases and at others."""

import numpy as np
import pytest
from sklearn.metrics import log_loss

from balancer.statistics.decision import log_losses, mean_of_cases, net_benefits

RNG = np.random.default_rng(0)
POSITIVE = RNG.uniform(size=300) < 0.2
SCORES = np.clip(RNG.normal(0.2 + 0.4 * POSITIVE, 0.2), 0.001, 0.999)
ONES = np.ones((1, 300))
LABELS = POSITIVE.astype(int)


@pytest.mark.parametrize("threshold", [0.05, 0.2, 0.6])
def test_net_benefit_is_vickers_formula(threshold: float) -> None:
    acted = threshold <= SCORES
    n_true, n_false = (acted & POSITIVE).sum(), (acted & ~POSITIVE).sum()
    expected = n_true / 300 - n_false / 300 * threshold / (1 - threshold)
    found = net_benefits(SCORES, POSITIVE, np.array([threshold]))
    assert mean_of_cases(found, ONES, LABELS)[0, 0] == pytest.approx(expected)


def test_acting_on_all_and_on_none() -> None:
    prevalence, t = POSITIVE.mean(), 0.15
    everyone = net_benefits(np.ones(300), POSITIVE, np.array([t]))
    assert everyone.mean() == pytest.approx(prevalence - (1 - prevalence) * t / (1 - t))
    assert net_benefits(np.zeros(300), POSITIVE, np.array([t])).sum() == 0


def test_log_loss_is_sklearns() -> None:
    assert log_losses(SCORES, POSITIVE).mean() == pytest.approx(log_loss(POSITIVE, SCORES))
    assert np.isfinite(log_losses(np.array([0.0, 1.0]), np.array([True, False]))).all()


def test_other_shares_are_as_if_there_were_more_of_a_class() -> None:
    values = np.stack(
        [log_losses(SCORES, POSITIVE), net_benefits(SCORES, POSITIVE, np.array([0.3]))[0]]
    )
    n = np.bincount(LABELS)
    weights = np.where(POSITIVE, 3.0, 1.0)[None]
    total = n[0] + 3 * n[1]
    shares = np.array([n[0], 3 * n[1]]) / total
    repeated = mean_of_cases(values, weights, LABELS)
    assert mean_of_cases(values, ONES, LABELS, shares) == pytest.approx(repeated)
    assert mean_of_cases(values, ONES, LABELS, n / 300) == pytest.approx(
        mean_of_cases(values, ONES, LABELS)
    )


def test_a_lacking_class_leaves_its_share_undefined() -> None:
    values = log_losses(SCORES, POSITIVE)[None]
    weights = (~POSITIVE).astype(float)[None]
    assert np.isnan(mean_of_cases(values, weights, LABELS, np.array([0.5, 0.5])))
    assert np.isfinite(mean_of_cases(values, weights, LABELS))
    assert np.isnan(mean_of_cases(values, 0 * ONES, LABELS))
