"""ROC, precision-recall, confusion and reliability of the arms that matter, pooled over runs."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from balancer.drawing.wording import listing, reasons, scalar
from balancer.report import curves
from balancer.report.blocks import Block, Figure, Folded, Heading, Paragraph, Section, Table
from balancer.report.plots.curves import (
    save_confusions,
    save_precision_recall_bands,
    save_reliability,
    save_roc_bands,
)
from balancer.report.records import ReportRecords, Study
from balancer.report.units import Unit

_FORMS = {"raw": "raw", "corrected": "prior-corrected"}
_SCORES = {"brier": "Brier score", "ece": "ECE", "slope": "slope", "intercept": "intercept"}
_BAND = (
    "Line: mean over the runs. Band: 95 % bootstrap that draws runs and groups of test images anew."
)


def draw_curves(material: ReportRecords, study: Study) -> dict[str, Any]:
    """Compute and draw what the predictions show.

    Returns:
        The numbers behind the pictures, JSON types; empty without predictions.
    """
    units = {name: found for name in study.drawn_with_curves() if (found := _units(material, name))}
    if not units:
        return {}
    positive, seed, deployed = study.positive, material.seed, study.deployed
    folder, arms = material.folder, study.arms
    roc = {name: curves.roc_band(found, positive, seed) for name, found in units.items()}
    precision = {
        name: curves.precision_recall_band(found, positive, seed) for name, found in units.items()
    }
    drawn = {name: band for name, band in roc.items() if band is not None}
    drawn_precision = {name: band for name, band in precision.items() if band is not None}
    if drawn:
        save_roc_bands(drawn, arms, folder / "roc.png")
        prevalence = float(np.mean([u.positives(positive).mean() for u in _first(units)]))
        save_precision_recall_bands(
            drawn_precision, arms, prevalence, folder / "precision-recall.png"
        )
    bins = {
        name: (
            curves.reliability(found, positive, seed),
            None if deployed is None else curves.reliability(found, positive, seed, deployed),
        )
        for name, found in units.items()
    }
    save_reliability(bins, arms, folder / "reliability.png")
    confusions = {name: curves.confusion(found, positive, seed) for name, found in units.items()}
    labels = [str(label) for label in study.question["class_names"]]
    save_confusions(confusions, arms, labels, folder / "confusion.png")
    return {
        "roc": {name: _band(band) for name, band in drawn.items()},
        "precision_recall": {name: _band(band) for name, band in drawn_precision.items()},
        "reliability": {name: _forms(found) for name, found in bins.items()},
        "confusion": {
            name: {
                "shares": [[None if c is None else asdict(c) for c in row] for row in table],
                "mean_counts": curves.mean_counts(units[name], positive).tolist(),
            }
            for name, table in confusions.items()
        },
        "runs": {name: len(found) for name, found in units.items()},
    }


def curves_section(material: ReportRecords, study: Study, data: Mapping[str, Any]) -> Section:
    """What the classifiers do at every threshold, and at the one that was chosen."""
    title = "ROC, precision-recall and confusion"
    if not data:
        return Section("curves", title, [Paragraph(
            "The predictions of the runs are no longer in the workspace, so no curve can be drawn; "
            "`balancer ablate` writes them again.", "warning")])  # fmt: skip
    positive = study.question["positive_class"]
    shown = listing(list(data["runs"]), 12)
    blocks: list[Block] = [Paragraph(
        f"Of {shown}; {positive} against the rest. {_complete(study, data)}".strip())]  # fmt: skip
    said = ", ".join(
        f"{name} AUROC {scalar(study.arms[name]['metrics'].get('auroc'))}" for name in data["runs"]
    )
    if material.has_picture("roc"):
        blocks += [
            Figure("roc", f"ROC curves: {said}.", f"ROC. {_BAND}"),
            Figure("precision-recall",
                   f"Precision at each recall of {shown}; dotted: the prevalence in the tests.",
                   "Precision-recall; the dotted line is what guessing reaches at this prevalence."
                   ),
        ]  # fmt: skip
    else:
        blocks.append(Paragraph("No run tested images of two classes: no curve.", "note"))
    table = _confusion_table(study, data["confusion"])
    blocks += [
        Figure("confusion", f"Confusion of {shown} at the chosen thresholds; table below.",
               "Share of each true class (rows) that was predicted as each class, with 95 % "
               "intervals, pooled over the runs.", kind="wide"),
        Folded("Confusion as a table", [table]),
    ]  # fmt: skip
    return Section("curves", title, blocks)


def calibration_section(material: ReportRecords, study: Study) -> Section:
    """Whether probabilities mean what they say, as given and after prior correction."""
    blocks: list[Block] = [Paragraph(
        "Balancing changes the class shares that a network sees, and with them its probabilities. "
        "Corrected means that this known change was taken back; whoever reads probabilities, not "
        "just a ranking, should look here.")]  # fmt: skip
    if material.has_picture("reliability"):
        blocks.append(Figure(
            "reliability",
            "Observed against predicted shares of the positive class, one panel per arm, raw and "
            "prior-corrected; on the dotted diagonal the probabilities are right.",
            "Reliability: up to ten bins of equal size, pooled over the runs; bars: 95 % bootstrap "
            "over runs and groups.", kind="wide",
        ))  # fmt: skip
    if material.has_picture("calibration"):
        blocks.append(Figure(
            "calibration", "Brier score and ECE of every arm, raw and corrected; table below.",
            "From raw to corrected, every arm.", kind="wide",
        ))  # fmt: skip
    blocks += [Heading("Every arm"), _calibration_table(study)]
    return Section("calibration", "Calibration", blocks)


def _units(material: ReportRecords, name: str) -> list[Unit]:
    return list(material.units.get(name, []))


def _first(units: Mapping[str, Sequence[Unit]]) -> Sequence[Unit]:
    return next(iter(units.values()))


def _complete(study: Study, data: Mapping[str, Any]) -> str:
    lacking = [
        f"{name}: {n} of {study.arms[name]['n_runs']}"
        for name, n in data["runs"].items()
        if n < study.arms[name]["n_runs"]
    ]
    return f"Predictions of some runs are gone: {listing(lacking)}." if lacking else ""


def _band(band: curves.Band) -> dict[str, list[float]]:
    return {
        key: np.round(getattr(band, key), 6).tolist() for key in ("x", "mean", "low", "high")
    }  # fmt: skip


def _forms(
    bins: tuple[Sequence[curves.Bin] | None, Sequence[curves.Bin] | None],
) -> dict[str, Any]:
    return {
        form: None if found is None else [asdict(bin_) for bin_ in found]
        for form, found in zip(_FORMS, bins, strict=True)
    }


def _confusion_table(study: Study, found: Mapping[str, Any]) -> Table:
    labels = list(study.question["class_names"])
    rows = [
        [name, label, *_shares(entry["shares"][row], entry["mean_counts"][row])]
        for name, entry in found.items()
        for row, label in enumerate(labels)
    ]
    return Table(
        "Confusion", ["arm", "true class", *(f"as {label}" for label in labels)], rows,
        text_columns=(1,), note="Share with its 95 % interval; then images per run, on average.",
    )  # fmt: skip


def _shares(shares: Sequence[Any], counts: Sequence[float]) -> Iterator[str]:
    for share, count in zip(shares, counts, strict=True):
        yield "no image" if share is None else f"{scalar(share)}; {count:.1f}"


def _calibration_table(study: Study) -> Table:
    rows, why = [], []
    for name, arm in study.arms.items():
        for form, title in _FORMS.items():
            entry = arm["calibration"][form]
            rows.append([name, title, *(scalar(entry.get(key)) for key in _SCORES)])
            why += [(f"{name}, {title} {_SCORES[key]}", entry.get(key)) for key in _SCORES]
    return Table(
        "Calibration, mean over the runs", ["arm", "probabilities", *_SCORES.values()], rows,
        text_columns=(1,),
        note="Brier score and ECE: lower is better. Right probabilities have slope 1 and intercept "
        "0; a slope below 1 means too extreme. " + reasons(why),
    )  # fmt: skip
