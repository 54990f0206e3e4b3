"""Predictions of one classifier for one table of images, and the file that holds them."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from balancer.data.index import RadiographTable
from balancer.errors import IntegrityError


@dataclass(frozen=True, slots=True)
class Predictions:
    """Probabilities of one classifier for some images, with their true classes.

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

    def take(self, rows: Sequence[int]) -> "Predictions":
        """Return those of some images, in the given order."""
        return Predictions(
            image_ids=[self.image_ids[row] for row in rows],
            groups=[self.groups[row] for row in rows],
            labels=self.labels[rows],
            probabilities=self.probabilities[rows],
            class_names=self.class_names,
        )


def predictions_for(table: RadiographTable, probabilities: np.ndarray) -> Predictions:
    """Join the probabilities of a classifier, float64 (N, C), to the N images of a table."""
    return Predictions(
        image_ids=[record.image_id for record in table.records],
        groups=[record.group for record in table.records],
        labels=table.labels,
        probabilities=probabilities,
        class_names=list(table.classes),
    )


def write_predictions(path: Path, predictions: Predictions, predicted: np.ndarray) -> None:
    """Write one row per image; `predicted` is int64 (N,)."""
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
    """Read a file of `write_predictions`.

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
