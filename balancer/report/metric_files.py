"""The headline figures as small JSON files, for tools such as DVC that show one line per file."""

import json
from collections.abc import Mapping

from balancer.drawing.numbers import METRICS
from balancer.evaluation.records import Scalar
from balancer.quality.records import ClassQuality
from balancer.quality.summary import NOT_ASKED
from balancer.report.records import ReportRecords

FOLDER = "metrics"
_SHOWN = (
    *("auroc", "average_precision", "balanced_accuracy"),
    *("sensitivity", "specificity", "ece"),
)
"""Metrics that fit on one line."""
Figures = dict[str, float | str]


def write_metric_files(records: ReportRecords) -> None:
    """Write `metrics/NAME.json` into the folder of the report.

    One file per classifier (`real`, `real+synthetic`), one of their `difference`, one per arm of
    the ablation (`ablation-ARM`, means of its runs) and one per class of generated images
    (`images-CLASS`). Figures without a value are left out.

    Args:
        records: Records of the run.
    """
    folder = records.folder / FOLDER
    folder.mkdir()
    for name, figures in _files(records).items():
        text = json.dumps(figures, indent=2, ensure_ascii=False, allow_nan=False)
        (folder / f"{name.replace('/', '_')}.json").write_text(text + "\n", encoding="utf-8")


def _files(records: ReportRecords) -> dict[str, Figures]:
    files = {arm: _scores(result.metrics.test.by_name()) for arm, result in records.arms.items()}
    if records.comparison is not None:
        rows = {row.metric: row.difference for row in records.comparison.rows}
        known = {key: rows[title] for key, title in METRICS.items() if title in rows}
        files["difference"] = _scores(known)
    arms = {} if records.study is None else records.study.arms
    for name, arm in arms.items():
        means = {key: arm.metrics[key].value for key in _SHOWN if key in arm.metrics}
        files[f"ablation-{name}"] = _defined(means) | {"verdict": arm.verdict.word}
    if records.quality is not None:
        for label, quality in records.quality.metrics.classes.items():
            files[f"images-{label}"] = _of_images(quality)
    return files


def _scores(metrics: Mapping[str, Scalar]) -> Figures:
    return _defined({key: metrics[key].value for key in _SHOWN})


def _defined(values: Mapping[str, float | None]) -> Figures:
    return {key: value for key, value in values.items() if value is not None}


def _of_images(quality: ClassQuality) -> Figures:
    """Return KID by every extractor, to validation images, and the verdict of the gate.

    An extractor that also chose the images is named.
    """
    kid: Figures = {
        name: distance.value
        for name, distance in quality.against["validation"].items()
        if name.startswith("kid[")
    }
    gate = quality.gate
    words = {True: "passes", False: f"fails {', '.join(gate.failures)}", None: NOT_ASKED}
    chose: Figures = {"also chose the images": ", ".join(quality.chosen_by)}
    return kid | (chose if quality.chosen_by else {}) | {"gate": words[gate.passed]}
