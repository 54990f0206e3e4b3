"""The comparison of the two classifiers, as rows that every output shares."""

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.table import Table

from balancer.data.dataset import RadiographTable
from balancer.errors import IntegrityError

METRICS = {
    "auroc": "AUROC",
    "average_precision": "average precision",
    "balanced_accuracy": "balanced accuracy",
    "sensitivity": "sensitivity",
    "specificity": "specificity",
    "accuracy": "accuracy",
    "f1": "F1",
    "mcc": "MCC",
    "ece": "ECE",
}
"""Scalar metrics in the order of the tables; all but ECE are better when higher."""
_COLUMNS_FOR_ONE_LINE = 100


@dataclass(frozen=True, slots=True)
class Predictions:
    """What `predictions.csv` of one arm says of the test split.

    Attributes:
        image_ids: N content hashes.
        groups: N group names.
        labels: int64 (N,) true class numbers.
        probabilities: float64 (N, C).
        class_names: The C classes.
    """

    image_ids: list[str]
    groups: list[str]
    labels: np.ndarray
    probabilities: np.ndarray
    class_names: list[str]


def predictions_for(table: RadiographTable, probabilities: np.ndarray) -> Predictions:
    """What a classifier said, float64 (N, C), of the N images of a table."""
    return Predictions(
        image_ids=[record.image_id for record in table.records],
        groups=[record.group for record in table.records],
        labels=table.labels,
        probabilities=probabilities,
        class_names=list(table.classes),
    )


def metric_lines(test: Mapping[str, Any]) -> list[str]:
    """What the terminal shows of the metrics of one test, a line each."""
    return [f"  {title:18} {interval(test[key])}" for key, title in METRICS.items()]


def write_predictions(path: Path, predictions: Predictions, predicted: np.ndarray) -> None:
    """Write one row per test image; `predicted` is int64 (N,)."""
    names = predictions.class_names
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["image_id", "group", "label", "predicted", *(f"p:{n}" for n in names)])
        for row, image_id in enumerate(predictions.image_ids):
            writer.writerow(
                [
                    image_id,
                    predictions.groups[row],
                    names[predictions.labels[row]],
                    names[predicted[row]],
                    *(repr(float(p)) for p in predictions.probabilities[row]),
                ]
            )


def read_predictions(path: Path) -> Predictions:
    """Read what `write_predictions` wrote.

    Raises:
        IntegrityError: The file is not such a table.
    """
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        columns = list(rows[0])
        names = [column.removeprefix("p:") for column in columns if column.startswith("p:")]
        return Predictions(
            image_ids=[row["image_id"] for row in rows],
            groups=[row["group"] for row in rows],
            labels=np.array([names.index(row["label"]) for row in rows]),
            probabilities=np.array([[float(row[f"p:{name}"]) for name in names] for row in rows]),
            class_names=names,
        )
    except (OSError, KeyError, ValueError, IndexError) as error:
        raise IntegrityError(
            f"{path} should hold a row per test image, but: {error}; run `balancer classify "
            "--force` again."
        ) from None


def comparison_rows(
    real: Mapping[str, Any], synthetic: Mapping[str, Any], differences: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """One row per metric: both arms with their intervals, and the paired difference.

    Args:
        real: `metrics.test` of the arm without synthetic images.
        synthetic: The same of the arm with them.
        differences: Per metric `value`, `low`, `high` of the second minus the first.
    """
    return [
        {
            "metric": title,
            "real": real[key],
            "real+synthetic": synthetic[key],
            "difference": differences[key],
        }
        for key, title in METRICS.items()
    ]


def comparison_table(rows: list[dict[str, Any]], title: str, *, columns: int) -> Table:
    """The rows for a terminal of so many columns; a narrow one gets intervals on their own line."""
    table = Table(title=title)
    gap = "\n(" if columns < _COLUMNS_FOR_ONE_LINE else " ("
    for heading in ("metric", "real", "real + synthetic", "difference"):
        table.add_column(heading, justify="left" if heading == "metric" else "right")
    for row in rows:
        table.add_row(
            row["metric"],
            interval(row["real"]).replace(" (", gap),
            interval(row["real+synthetic"]).replace(" (", gap),
            interval(row["difference"], sign=True).replace(" (", gap),
        )
    return table


def interval(scalar: Mapping[str, Any], *, sign: bool = False) -> str:
    """`0.912 (0.874 to 0.941)`, or `undefined` where a metric has no value."""
    if scalar["value"] is None:
        return "undefined"
    value = three_digits(scalar["value"], sign=sign)
    if scalar["low"] is None:
        return value
    low, high = (three_digits(scalar[end], sign=sign) for end in ("low", "high"))
    return f"{value} ({low} to {high})"


def three_digits(value: float, *, sign: bool = False) -> str:
    """Three digits; what is not quite 1 is never shown as 1.000, since that claims perfection."""
    if 0.9995 <= value < 1 and not sign:
        return "0.999"
    return f"{value:{'+' if sign else ''}z.3f}"
