"""Two classifiers, with and without synthetic images: checked, compared and drawn."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from balancer.config import BalancerConfig
from balancer.data.index import Index
from balancer.drawing.numbers import METRICS, interval
from balancer.drawing.plots import save_differences, save_precision_recall, save_roc
from balancer.errors import IntegrityError
from balancer.evaluation.predictions import Predictions, read_predictions
from balancer.evaluation.trained import ARMS, trained_arm
from balancer.manifest import fingerprint
from balancer.quality.records import QualityMetrics
from balancer.report.tables import comparison_rows
from balancer.results import UntypedResult, difference
from classifier.metrics import paired_differences

Arms = dict[str, tuple[UntypedResult, Predictions]]


def load_arm(directory: Path, arm: str, index: Index) -> tuple[UntypedResult, Predictions]:
    """Read an arm's result and predictions.

    Raises:
        MissingStage: It has not been trained.
        IntegrityError: It belongs to another split, or was changed since.
    """
    result = trained_arm(directory, arm, index, wanted_by="The report compares two classifiers")
    path = directory / "predictions.csv"
    if not path.is_file() or fingerprint(path.read_bytes()) != result.metrics.get("predictions"):
        raise IntegrityError(
            f"{path} is missing or was changed after the test; run `{ARMS[arm]} --force`."
        )
    return result, read_predictions(path)


def refuse_unlike(arms: Arms) -> None:
    """Two classifiers say something of synthetic images only if nothing else differs.

    Raises:
        IntegrityError: Something does.
    """
    (real, _), (synthetic, _) = arms["real"], arms["real+synthetic"]
    same = ("positive_class", "n_steps")
    unlike = difference(
        real.settings | {key: real.metrics[key] for key in same},
        synthetic.settings | {key: synthetic.metrics[key] for key in same},
    )
    if unlike:
        raise IntegrityError(
            f"Both classifiers should be trained alike, but with synthetic images {unlike}; train "
            "one again with `balancer classify --force`."
        )


def refuse_stale(arms: Arms, quality: UntypedResult | None, images: str) -> None:
    """Keep results of other synthetic images than today's out of one report.

    Args:
        arms: Both, or none.
        quality: The result of `quality`, if it has run.
        images: Fingerprint of the images in `synthetic/`.

    Raises:
        IntegrityError: A result is of other images.
    """
    if arms and arms["real+synthetic"][0].inputs.get("synthetic") != images:
        raise IntegrityError(
            "The classifier with synthetic images was trained on others than stand in synthetic/ "
            f"today; run `{ARMS['real+synthetic']}` again."
        )
    if quality is not None and quality.inputs.get("synthetic") != images:
        raise IntegrityError(
            "quality/ measured other images than stand in synthetic/ today; run "
            "`balancer quality` again."
        )


def compare_arms(
    config: BalancerConfig, arms: Arms, quality: UntypedResult | None
) -> dict[str, Any]:
    """Metrics of both arms, their differences, and what may be said of them.

    Raises:
        IntegrityError: The arms were tested on different images.
    """
    (real, a), (synthetic, b) = arms["real"], arms["real+synthetic"]
    if a.image_ids != b.image_ids or a.class_names != b.class_names:
        raise IntegrityError(
            "Both arms should be tested on the same images, but their predictions.csv differ; run "
            "`balancer classify --force` and `balancer classify --with-synthetic --force`."
        )
    positive = a.class_names.index(real.metrics["positive_class"])
    differences = paired_differences(
        a.probabilities,
        real.metrics["threshold"],
        b.probabilities,
        synthetic.metrics["threshold"],
        a.labels,
        class_names=a.class_names,
        positive=positive,
        groups=a.groups,
        n_bootstrap=config.evaluation.bootstrap_samples,
        seed=config.seed,
    )
    rows = comparison_rows(real.metrics["test"], synthetic.metrics["test"], differences)
    return {
        "rows": rows,
        "sentence": _sentence(rows) + _gate_sentence(quality),
        "n": len(a.labels),
        "n_positive": int((a.labels == positive).sum()),
        "positive": a.class_names[positive],
    }


def _sentence(rows: Sequence[Mapping[str, Any]]) -> str:
    """What one run can say; more takes repeated splits, several seeds and controls.

    The first metric carries the answer; every other one whose interval excludes zero is named, so
    that neither a gain nor a loss hides behind it.
    """
    first = rows[0]
    if first["difference"]["value"] is None:
        return f"{first['metric']} is undefined here, so nothing can be said."
    said = f"{first['metric']} changed by {interval(first['difference'], sign=True)}"
    openings = {
        0: "The synthetic images did not measurably help",
        1: "With synthetic images the classifier did better in this run",
        -1: "With synthetic images the classifier did worse in this run",
    }
    others = {
        word: [row["metric"] for row in rows[1:] if _direction(row) == sign]
        for word, sign in (("better", 1), ("worse", -1))
    }
    also = "".join(
        f" Beyond the interval {word}: {', '.join(names)}."
        for word, names in others.items()
        if names
    )
    scope = (
        "This is one training run per arm, without a control that duplicates real images: the "
        "intervals speak of the test images alone, not of other splits or seeds."
    )
    return f"{openings[_direction(first)]}: {said}.{also} {scope}"


def _gate_sentence(quality: UntypedResult | None) -> str:
    if quality is None:
        return " The quality of the synthetic images was not measured."
    classes = QualityMetrics.model_validate(quality.metrics).classes
    failed = {label: entry.gate.failures for label, entry in classes.items()}
    return "".join(
        f" The synthetic images of {label} fail the quality gate ({', '.join(names)}), so this "
        "speaks of these images, not of what good ones would do."
        for label, names in failed.items()
        if names
    )


def _direction(row: Mapping[str, Any]) -> int:
    """1 where synthetic images did better beyond the interval, -1 where worse, 0 otherwise."""
    low, high = row["difference"]["low"], row["difference"]["high"]
    if low is None or low <= 0 <= high:
        return 0
    return int(np.sign(low)) * (-1 if row["metric"] == METRICS["ece"] else 1)


def draw_comparison(arms: Arms, comparison: Mapping[str, Any], folder: Path) -> None:
    """Draw the curves of both arms and the differences of all metrics into a folder."""
    _, first = arms["real"]
    positive = first.class_names.index(comparison["positive"])
    scores = {arm: read.probabilities[:, positive] for arm, (_, read) in arms.items()}
    is_positive = np.asarray(first.labels == positive)
    save_roc(scores, is_positive, folder / "comparison-roc.png")
    save_precision_recall(scores, is_positive, folder / "comparison-precision-recall.png")
    defined = [
        {"metric": row["metric"], "difference": row["difference"]["value"]}
        | {end: row["difference"][end] for end in ("low", "high")}
        for row in comparison["rows"]
        if row["difference"]["low"] is not None
    ]
    save_differences(defined, folder / "differences.png")


def write_rows(rows: list[dict[str, Any]], path: Path) -> None:
    """Write the rows of a comparison as CSV."""
    names = ("real", "real+synthetic", "difference")
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        ends = ("value", "low", "high")
        writer.writerow(["metric", *(f"{name} {end}" for name in names for end in ends)])
        for row in rows:
            writer.writerow([row["metric"], *(row[name][end] for name in names for end in ends)])
