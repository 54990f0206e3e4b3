"""Two classifiers, with and without synthetic images: checked, compared and drawn."""

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from rich.table import Table

from balancer.config import BalancerConfig
from balancer.data.index import Index
from balancer.drawing.numbers import METRICS, interval
from balancer.drawing.plots import save_differences, save_precision_recall, save_roc
from balancer.errors import IntegrityError
from balancer.evaluation.performance import PREDICTIONS
from balancer.evaluation.predictions import Predictions, read_predictions
from balancer.evaluation.records import (
    ClassifyMetrics,
    Comparison,
    ComparisonRow,
    HeadlineMetrics,
)
from balancer.evaluation.trained_classifier import ARMS, REAL_ARM, SYNTHETIC_ARM, trained_arm
from balancer.manifest import fingerprint
from balancer.quality.records import QualityMetrics
from balancer.results import StageResult, difference
from classifier.metrics import paired_differences

_COLUMNS_FOR_ONE_LINE = 100

Arms = dict[str, tuple[StageResult[ClassifyMetrics], Predictions]]


def load_arm(
    directory: Path, arm: str, index: Index
) -> tuple[StageResult[ClassifyMetrics], Predictions]:
    """Read an arm's result and predictions.

    Raises:
        MissingStage: It has not been trained.
        IntegrityError: It belongs to another split, or was changed since.
    """
    result = trained_arm(directory, arm, index, wanted_by="The report compares two classifiers")
    path = directory / PREDICTIONS
    if not path.is_file() or fingerprint(path.read_bytes()) != result.metrics.predictions:
        raise IntegrityError(
            f"{path} is missing or was changed after the test; run `{ARMS[arm]} --force`."
        )
    return result, read_predictions(path)


def refuse_unlike(arms: Arms) -> None:
    """Refuse two classifiers that differ in more than the synthetic images.

    Raises:
        IntegrityError: They do.
    """
    (real, _), (synthetic, _) = arms[REAL_ARM], arms[SYNTHETIC_ARM]
    unlike = difference(_must_match(real), _must_match(synthetic))
    if unlike:
        raise IntegrityError(
            f"Both classifiers should be trained alike, but with synthetic images {unlike}; train "
            "one again with `balancer classify --force`."
        )


def _must_match(result: StageResult[ClassifyMetrics]) -> dict[str, object]:
    metrics = result.metrics
    facts = {"positive_class": metrics.positive_class, "n_steps": metrics.n_steps}
    return result.settings | facts


def refuse_stale(arms: Arms, quality: StageResult[QualityMetrics] | None, images: str) -> None:
    """Keep results of other synthetic images than today's out of one report.

    Args:
        arms: Both, or none.
        quality: Result of `quality`, if it has run.
        images: Fingerprint of the images in `synthetic/`.

    Raises:
        IntegrityError: A result is of other images.
    """
    if arms and arms[SYNTHETIC_ARM][0].inputs.get("synthetic") != images:
        raise IntegrityError(
            "The classifier with synthetic images was trained on other images than those in "
            f"synthetic/ today; run `{ARMS[SYNTHETIC_ARM]}` again."
        )
    if quality is not None and quality.inputs.get("synthetic") != images:
        raise IntegrityError(
            "quality/ measured other images than those in synthetic/ today; run "
            "`balancer quality` again."
        )


def compare_arms(
    config: BalancerConfig, arms: Arms, quality: StageResult[QualityMetrics] | None
) -> Comparison:
    """Compare the metrics of both arms, and state what one run per arm allows.

    Raises:
        IntegrityError: The arms were tested on different images.
    """
    (real, a), (synthetic, b) = arms[REAL_ARM], arms[SYNTHETIC_ARM]
    if a.image_ids != b.image_ids or a.class_names != b.class_names:
        raise IntegrityError(
            "Both arms should be tested on the same images, but their predictions.csv differ; run "
            "`balancer classify --force` and `balancer classify --with-synthetic --force`."
        )
    for arm, result in ((REAL_ARM, real), (SYNTHETIC_ARM, synthetic)):
        if result.metrics.test.is_of_early_version:
            raise IntegrityError(
                f"The AUROC of {arm} should be of {real.metrics.positive_class}, but an early "
                f"version wrote the mean over the classes; run `{ARMS[arm]} --force`."
            )
    positive = a.class_names.index(real.metrics.positive_class)
    differences = paired_differences(
        a.probabilities,
        real.metrics.threshold,
        b.probabilities,
        synthetic.metrics.threshold,
        a.labels,
        class_names=a.class_names,
        positive=positive,
        groups=a.groups,
        n_bootstrap=config.evaluation.bootstrap_samples,
        seed=config.seed,
    )
    scored = (
        real.metrics.test.titled(),
        synthetic.metrics.test.titled(),
        HeadlineMetrics.model_validate(differences).titled(),
    )
    rows = [
        ComparisonRow(metric=title, real=one, with_synthetic=other, difference=change)
        for (title, one), (_, other), (_, change) in zip(*scored, strict=True)
    ]
    return Comparison(
        rows=rows,
        sentence=_lineage_sentence(synthetic.metrics) + _sentence(rows) + _gate_sentence(quality),
        n=len(a.labels),
        n_positive=int((a.labels == positive).sum()),
        positive=a.class_names[positive],
    )


def _sentence(rows: Sequence[ComparisonRow]) -> str:
    """State what one run per arm allows; more needs repeated splits, several seeds and controls.

    The first metric gives the answer; every other one whose interval excludes zero is named, so
    that neither a gain nor a loss is left out.
    """
    first = rows[0]
    if first.difference.value is None:
        return f"{first.metric} is undefined here, so nothing can be said."
    change = f"{first.metric} changed by {interval(first.difference, sign=True)}"
    openings = {
        0: "The synthetic images did not measurably help",
        1: "With synthetic images the classifier did better in this run",
        -1: "With synthetic images the classifier did worse in this run",
    }
    others = {
        word: [row.metric for row in rows[1:] if _direction(row) == sign]
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
    return f"{openings[_direction(first)]}: {change}.{also} {scope}"


def _lineage_sentence(metrics: ClassifyMetrics) -> str:
    """Name generators from outside; say first what an unknown lineage does to the answer."""
    if not metrics.outside:
        return ""
    named = f"Synthetic images{metrics.outside_words}. "
    if all(source.lineage != "unknown" for source in metrics.outside.values()):
        return named
    return (
        f"Unverified: nobody says which images the generator was trained on, so it may have seen "
        f"test images. {named}"
    )


def _gate_sentence(quality: StageResult[QualityMetrics] | None) -> str:
    if quality is None:
        return " The quality of the synthetic images was not measured."
    failed = {label: entry.gate.failures for label, entry in quality.metrics.classes.items()}
    return "".join(
        f" The synthetic images of {label} fail the quality gate ({', '.join(names)}), so this "
        "speaks of these images, not of what good ones would do."
        for label, names in failed.items()
        if names
    )


def _direction(row: ComparisonRow) -> int:
    """Return 1 where the interval shows synthetic images to be better, -1 where worse, else 0."""
    low, high = row.difference.low, row.difference.high
    if low is None or high is None or low <= 0 <= high:
        return 0
    return int(np.sign(low)) * (-1 if row.metric == METRICS["ece"] else 1)


def draw_comparison(arms: Arms, comparison: Comparison, folder: Path) -> None:
    """Draw the curves of both arms and the differences of all metrics into a folder."""
    _, first = arms[REAL_ARM]
    positive = first.class_names.index(comparison.positive)
    scores = {arm: read.probabilities[:, positive] for arm, (_, read) in arms.items()}
    is_positive = np.asarray(first.labels == positive)
    save_roc(scores, is_positive, folder / "comparison-roc.png")
    save_precision_recall(scores, is_positive, folder / "comparison-precision-recall.png")
    defined = {
        row.metric: (found.value, found.low, found.high)
        for row in comparison.rows
        if (found := row.difference).value is not None
        and found.low is not None
        and found.high is not None
    }
    save_differences(defined, folder / "differences.png")


def write_rows(rows: Sequence[ComparisonRow], path: Path) -> None:
    """Write the rows of a comparison as CSV."""
    names = (REAL_ARM, SYNTHETIC_ARM, "difference")
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        ends = ("value", "low", "high")
        writer.writerow(["metric", *(f"{name} {end}" for name in names for end in ends)])
        for row in rows:
            scalars = (row.real, row.with_synthetic, row.difference)
            values = [(scalar.value, scalar.low, scalar.high) for scalar in scalars]
            writer.writerow([row.metric, *(value for three in values for value in three)])


def comparison_table(rows: Sequence[ComparisonRow], title: str, *, columns: int) -> Table:
    """Lay the rows out for a terminal; a narrow one gets intervals on their own line.

    Args:
        rows: One row per metric.
        title: Title of the table.
        columns: Width of the terminal in characters.
    """
    table = Table(title=title)
    gap = "\n(" if columns < _COLUMNS_FOR_ONE_LINE else " ("
    for heading in ("metric", "real", "real + synthetic", "difference"):
        table.add_column(heading, justify="left" if heading == "metric" else "right")
    for row in rows:
        table.add_row(
            row.metric,
            interval(row.real).replace(" (", gap),
            interval(row.with_synthetic).replace(" (", gap),
            interval(row.difference, sign=True).replace(" (", gap),
        )
    return table
