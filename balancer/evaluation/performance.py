"""Metrics of predictions with their intervals, and the files that show them."""

from pathlib import Path

from balancer.drawing.numbers import interval
from balancer.drawing.plots import save_confusion, save_precision_recall, save_roc
from balancer.evaluation.predictions import Predictions, write_predictions
from balancer.evaluation.records import HeadlineMetrics, Performance
from classifier.metrics import evaluate, predict_classes

PREDICTIONS = "predictions.csv"


def write_performance(
    predictions: Predictions,
    folder: Path,
    *,
    positive: int,
    threshold: float | None,
    n_bootstrap: int,
    seed: int,
) -> Performance:
    """Measure predictions, and write `predictions.csv` and three plots.

    Args:
        predictions: Probabilities of one classifier for some images.
        folder: Folder for the files.
        positive: Number of the positive class.
        threshold: Threshold of its probability, chosen on validation images; None: the most
            probable class is predicted.
        n_bootstrap: Number of resamples of groups behind each interval.
        seed: Seed for the resampling.
    """
    probabilities, labels = predictions.probabilities, predictions.labels
    predicted = predict_classes(probabilities, positive=positive, threshold=threshold)
    write_predictions(folder / PREDICTIONS, predictions, predicted)
    performance = performance_of(
        predictions, positive=positive, threshold=threshold, n_bootstrap=n_bootstrap, seed=seed
    )
    scores, is_positive = {"test": probabilities[:, positive]}, labels == positive
    if 0 < is_positive.sum() < len(is_positive):
        save_roc(scores, is_positive, folder / "roc.png")
        save_precision_recall(scores, is_positive, folder / "precision-recall.png")
    save_confusion(performance.confusion, predictions.class_names, folder / "confusion.png")
    return performance


def performance_of(
    predictions: Predictions,
    *,
    positive: int,
    threshold: float | None,
    n_bootstrap: int,
    seed: int,
) -> Performance:
    """Measure predictions; arguments as for `write_performance`."""
    found = evaluate(
        predictions.probabilities,
        predictions.labels,
        class_names=predictions.class_names,
        positive=positive,
        threshold=threshold,
        groups=predictions.groups,
        n_bootstrap=n_bootstrap,
        seed=seed,
    )
    return Performance.model_validate(found)


def metric_lines(metrics: HeadlineMetrics) -> list[str]:
    """Return one line of text per metric, for the terminal."""
    return [f"  {title:18} {interval(scalar)}" for title, scalar in metrics.titled()]
