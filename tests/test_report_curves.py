"""Curves over several runs, by identities and closed forms."""

from pathlib import Path

import numpy as np
import pytest

from balancer.ablation.run_predictions import RunPredictions
from balancer.evaluation.predictions import Predictions
from balancer.report import curves
from support.made_ablation import FACTS, PLAIN, made_runs


def unit(scores: np.ndarray, labels: np.ndarray, **changes: object) -> RunPredictions:
    """A run whose class 0 is positive."""
    n = len(scores)
    predictions = Predictions(
        image_ids=[str(i) for i in range(n)],
        groups=[str(i) for i in range(n)],
        labels=labels,
        probabilities=np.stack([scores, 1 - scores], axis=1),
        class_names=["a", "b"],
    )
    settings: dict[str, object] = {
        "fold": "f", "seed": 0, "threshold": 0.5, "validation": predictions,
        "predictions": predictions, "path": Path(), "unit": Path(),
    }  # fmt: skip
    return RunPredictions(**(settings | changes))  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def units() -> list[RunPredictions]:
    runs = [run for run in made_runs(PLAIN, FACTS, n_folds=4, n=200) if run.arm == "real"]
    return [
        unit(run.test.probabilities[:, 0], run.test.labels, predictions=run.test) for run in runs
    ]


def test_the_area_under_the_mean_curve_is_the_mean_auroc(units: list[RunPredictions]) -> None:
    band = curves.roc_band(units, 0, 0)
    assert band is not None
    areas = []
    for one in units:
        scores, positive = one.scores(0), one.positives(0)
        wins = scores[positive][:, None] > scores[~positive][None, :]
        areas.append(wins.mean())
    assert np.trapezoid(band.mean, band.x) == pytest.approx(np.mean(areas), abs=0.01)


def test_a_perfect_classifier_has_perfect_curves() -> None:
    labels = np.array([0] * 10 + [1] * 20)
    perfect = [unit(np.where(labels == 0, 0.9, 0.1), labels)]
    for curve in (curves.roc_band, curves.precision_recall_band):
        band = curve(perfect, 0, 0)
        assert band is not None
        np.testing.assert_allclose([band.low, band.mean, band.high], 1)
    table = curves.confusion(perfect, 0, 0)
    assert [[share.value for share in row if share] for row in table] == [[1, 0], [0, 1]]
    np.testing.assert_array_equal(curves.mean_counts(perfect, 0), [[10, 0], [0, 20]])


def test_guessing_lies_on_the_diagonal_and_at_the_prevalence() -> None:
    labels = np.array([0] * 25 + [1] * 75)
    same = [unit(np.full(100, 0.3), labels)]
    roc, precision = curves.roc_band(same, 0, 0), curves.precision_recall_band(same, 0, 0)
    assert roc is not None
    assert precision is not None
    np.testing.assert_allclose(roc.mean, roc.x)
    np.testing.assert_allclose(precision.mean, 0.25)


def test_bands_hold_the_mean_and_widen_with_fewer_cases(units: list[RunPredictions]) -> None:
    whole = units[0]
    few = unit(whole.scores(0)[::5], whole.predictions.labels[::5])
    band, wide = curves.roc_band([whole], 0, 0), curves.roc_band([few], 0, 0)
    assert band is not None
    assert wide is not None
    inner = slice(5, 40)
    assert np.all(band.low[inner] <= band.mean[inner])
    assert np.all(band.mean[inner] <= band.high[inner])
    assert np.mean((wide.high - wide.low)[inner]) > 1.5 * np.mean((band.high - band.low)[inner])


def test_bands_hold_the_spread_between_runs_too() -> None:
    labels = np.array([0] * 50 + [1] * 50)
    perfect, guess = unit(np.where(labels == 0, 0.9, 0.1), labels), unit(np.full(100, 0.5), labels)
    band = curves.roc_band([perfect, guess], 0, 0)
    assert band is not None
    np.testing.assert_allclose(band.mean, (1 + band.x) / 2)
    np.testing.assert_allclose(band.low, band.x)
    np.testing.assert_allclose(band.high, 1)


def test_a_run_with_one_class_draws_no_curve() -> None:
    assert curves.roc_band([unit(np.linspace(0, 1, 9), np.zeros(9, int))], 0, 0) is None


def test_true_probabilities_are_reliable() -> None:
    rng = np.random.default_rng(0)
    scores = rng.uniform(size=8000)
    labels = np.where(rng.uniform(size=8000) < scores, 0, 1)
    bins = curves.reliability([unit(scores, labels)], 0, 0)
    assert bins is not None
    assert len(bins) == 10
    assert sum(bin_.n for bin_ in bins) == 8000
    for bin_ in bins:
        assert bin_.observed.value == pytest.approx(bin_.predicted, abs=0.05)
        assert bin_.observed.low <= bin_.observed.value <= bin_.observed.high


def test_recalibration_takes_a_balanced_training_back() -> None:
    """Probabilities that are right at 1:1 are right at 1:9 after recalibration there."""
    rng = np.random.default_rng(1)
    labels = np.where(rng.uniform(size=20_000) < 0.1, 0, 1)
    evidence = rng.normal(np.where(labels == 0, 1.0, -1.0))
    balanced = unit(1 / (1 + np.exp(-2 * evidence)), labels)
    raw = curves.reliability([balanced], 0, 0)
    corrected = curves.reliability([balanced], 0, 0, recalibrated=True)
    assert raw is not None
    assert corrected is not None

    def miss(bins: list[curves.Bin]) -> float:
        return float(np.mean([abs(bin_.predicted - bin_.observed.value) for bin_ in bins]))

    assert miss(corrected) < 0.01 < 0.1 < miss(raw)


def test_without_validation_images_nothing_is_recalibrated() -> None:
    one = unit(np.linspace(0, 1, 40), np.arange(40) % 2, validation=None)
    assert curves.reliability([one], 0, 0, recalibrated=True) is None


def test_a_class_that_was_never_tested_has_no_share() -> None:
    table = curves.confusion([unit(np.linspace(0, 1, 9), np.zeros(9, int))], 0, 0)
    assert table[1] == [None, None]
    assert table[0][0] is not None


def test_few_predictions_make_few_bins() -> None:
    bins = curves.reliability([unit(np.full(5, 0.2), np.array([0, 1, 1, 1, 1]))], 0, 0)
    assert bins is not None
    assert len(bins) == 1
    assert bins[0].observed.value == pytest.approx(0.2)


def test_resampling_depends_on_the_seed_alone(units: list[RunPredictions]) -> None:
    first, second, other = (curves.roc_band(units, 0, seed) for seed in (0, 0, 1))
    assert first is not None
    assert second is not None
    assert other is not None
    np.testing.assert_array_equal(first.low, second.low)
    assert np.any(first.low != other.low)
