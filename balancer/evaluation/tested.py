"""One look of a finished classifier at images: metrics, predictions and pictures."""

from pathlib import Path
from typing import Any

import classifier
from balancer.data.index import RadiographTable
from balancer.drawing.plots import save_confusion, save_precision_recall, save_roc
from balancer.evaluation.predictions import predictions_for, write_predictions
from classifier.checkpoint import LoadedClassifier
from classifier.metrics import evaluate, predict_classes

PREDICTIONS = "predictions.csv"


def test_classifier(
    loaded: LoadedClassifier,
    table: RadiographTable,
    folder: Path,
    *,
    positive: int,
    threshold: float | None,
    n_bootstrap: int,
    seed: int,
) -> dict[str, Any]:
    """Classify all images of a table, and leave `predictions.csv` and three plots.

    Args:
        loaded: The classifier.
        table: What it is tested on.
        folder: Gets the files.
        positive: Number of the positive class.
        threshold: Of its probability, chosen on validation images; None: the most probable class.
        n_bootstrap: Resamples of groups behind each interval.
        seed: Of the resamples.

    Returns:
        Metrics as `classifier.metrics.evaluate` gives them.
    """
    probabilities = classifier.predict(loaded, table)
    predictions = predictions_for(table, probabilities)
    predicted = predict_classes(probabilities, positive=positive, threshold=threshold)
    write_predictions(folder / PREDICTIONS, predictions, predicted)
    metrics = evaluate(
        probabilities,
        table.labels,
        class_names=table.classes,
        positive=positive,
        threshold=threshold,
        groups=predictions.groups,
        n_bootstrap=n_bootstrap,
        seed=seed,
    )
    scores, is_positive = {"test": probabilities[:, positive]}, table.labels == positive
    if 0 < is_positive.sum() < len(is_positive):
        save_roc(scores, is_positive, folder / "roc.png")
        save_precision_recall(scores, is_positive, folder / "precision-recall.png")
    save_confusion(metrics["confusion"], table.classes, folder / "confusion.png")
    return metrics
