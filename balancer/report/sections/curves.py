"""ROC, precision-recall, confusion and reliability of the arms that matter, pooled over runs."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from balancer.ablation.run_predictions import RunPredictions
from balancer.drawing.numbers import HasReason
from balancer.drawing.wording import listing, reasons, scalar
from balancer.report import curves
from balancer.report.blocks import Block, Figure, Folded, Heading, Paragraph, Section, Table
from balancer.report.curve_records import (
    ConfusionShares,
    CurvePoints,
    ReliabilityBins,
    StudyCurves,
)
from balancer.report.plots.curves import (
    save_confusions,
    save_precision_recall_bands,
    save_reliability,
    save_roc_bands,
)
from balancer.report.records import ReportRecords, Study

_SCORES = {"brier": "Brier score", "ece": "ECE", "slope": "slope", "intercept": "intercept"}
_BAND = (
    "Line: mean over the runs. Band: 95 % bootstrap that draws runs and groups of test images anew."
)


def draw_curves(records: ReportRecords, study: Study) -> StudyCurves | None:
    """Compute and draw the curves of the predictions.

    Returns:
        The numbers behind the pictures; None without predictions.
    """
    runs = {name: found for name in study.with_curves() if (found := _runs(records, name))}
    if not runs:
        return None
    positive, seed = study.positive, records.seed
    folder, arms = records.folder, study.arms
    roc = {name: curves.roc_band(found, positive, seed) for name, found in runs.items()}
    precision = {
        name: curves.precision_recall_band(found, positive, seed) for name, found in runs.items()
    }
    drawn = {name: band for name, band in roc.items() if band is not None}
    drawn_precision = {name: band for name, band in precision.items() if band is not None}
    if drawn:
        save_roc_bands(drawn, arms, folder / "roc.png")
        prevalence = float(np.mean([run.positives(positive).mean() for run in _first(runs)]))
        save_precision_recall_bands(
            drawn_precision, arms, prevalence, folder / "precision-recall.png"
        )
    bins = {
        name: (
            curves.reliability(found, positive, seed),
            curves.reliability(found, positive, seed, recalibrated=True),
        )
        for name, found in runs.items()
    }
    save_reliability(bins, arms, folder / "reliability.png")
    confusions = {name: curves.confusion(found, positive, seed) for name, found in runs.items()}
    labels = list(study.question.class_names)
    save_confusions(confusions, arms, labels, folder / "confusion.png")
    return StudyCurves(
        roc={name: _points(band) for name, band in drawn.items()},
        precision_recall={name: _points(band) for name, band in drawn_precision.items()},
        reliability={
            name: ReliabilityBins(raw=raw, recalibrated=recalibrated)
            for name, (raw, recalibrated) in bins.items()
        },
        confusion={
            name: ConfusionShares(
                shares=table, mean_counts=curves.mean_counts(runs[name], positive).tolist()
            )
            for name, table in confusions.items()
        },
        runs={name: len(found) for name, found in runs.items()},
    )


def curves_section(records: ReportRecords, study: Study, drawn: StudyCurves | None) -> Section:
    """Show the classifiers at every threshold, and at the chosen one."""
    title = "ROC, precision-recall and confusion"
    if drawn is None:
        return Section("curves", title, [Paragraph(
            "The predictions of the runs are no longer in the workspace, so no curve can be drawn; "
            "`balancer ablate` writes them again.", "warning")])  # fmt: skip
    positive = study.question.positive_class
    shown = listing(list(drawn.runs), 12)
    blocks: list[Block] = [Paragraph(
        f"Of {shown}; {positive} against the rest. {_complete(study, drawn)}".strip())]  # fmt: skip
    aurocs = ", ".join(
        f"{name} {study.titles['auroc']} {scalar(study.arms[name].metrics['auroc'])}"
        for name in drawn.runs
    )
    if records.has_picture("roc"):
        blocks += [
            Figure("roc", f"ROC curves: {aurocs}.", f"ROC. {_BAND}"),
            Figure("precision-recall",
                   f"Precision at each recall of {shown}; dotted: the prevalence in the tests.",
                   "Precision-recall; the dotted line is the precision of guessing."
                   ),
        ]  # fmt: skip
    else:
        blocks.append(Paragraph("No run tested images of two classes: no curve.", "note"))
    table = _confusion_table(study, drawn.confusion)
    blocks += [
        Figure("confusion", f"Confusion of {shown} at the chosen thresholds; table below.",
               "Share of each true class (rows) that was predicted as each class, with 95 % "
               "intervals, pooled over the runs.", kind="wide"),
        Folded("Confusion as a table", [table]),
    ]  # fmt: skip
    return Section("curves", title, blocks)


def calibration_section(records: ReportRecords, study: Study) -> Section:
    """Show how well probabilities match frequencies, raw and after recalibration."""
    blocks: list[Block] = [Paragraph(
        "Balancing changes the class shares that a network sees, and with them its probabilities. "
        "Recalibrated: a slope and an intercept were fitted on the validation images of each run "
        "(Platt 1999). It matters to readers of probabilities, not of a ranking.")]  # fmt: skip
    if records.has_picture("reliability"):
        blocks.append(Figure(
            "reliability",
            "Observed against predicted shares of the positive class, one panel per arm, raw and "
            "recalibrated; on the dotted diagonal the probabilities are right.",
            "Reliability: up to ten bins of equal size, pooled over the runs; bars: 95 % bootstrap "
            "over runs and groups.", kind="wide",
        ))  # fmt: skip
    if records.has_picture("calibration"):
        blocks.append(Figure(
            "calibration", "Brier score and ECE of every arm, raw and recalibrated; table below.",
            "From raw to recalibrated, every arm.", kind="wide",
        ))  # fmt: skip
    blocks += [Heading("Every arm"), _calibration_table(study)]
    return Section("calibration", "Calibration", blocks)


def _runs(records: ReportRecords, name: str) -> list[RunPredictions]:
    return list(records.units.get(name, []))


def _first(runs: Mapping[str, Sequence[RunPredictions]]) -> Sequence[RunPredictions]:
    return next(iter(runs.values()))


def _complete(study: Study, drawn: StudyCurves) -> str:
    lacking = [
        f"{name}: {n} of {study.arms[name].n_runs}"
        for name, n in drawn.runs.items()
        if n < study.arms[name].n_runs
    ]
    return f"Predictions of some runs are gone: {listing(lacking)}." if lacking else ""


def _points(band: curves.CurveBand) -> CurvePoints:
    x, mean, low, high = (
        np.round(values, 6).tolist() for values in (band.x, band.mean, band.low, band.high)
    )
    return CurvePoints(x=x, mean=mean, low=low, high=high)


def _confusion_table(study: Study, found: Mapping[str, ConfusionShares]) -> Table:
    labels = list(study.question.class_names)
    rows = [
        [name, label, *_shares(entry.shares[row], entry.mean_counts[row])]
        for name, entry in found.items()
        for row, label in enumerate(labels)
    ]
    return Table(
        "Confusion", ["arm", "true class", *(f"as {label}" for label in labels)], rows,
        text_columns=(1,), note="Share with its 95 % interval; then images per run, on average.",
    )  # fmt: skip


def _shares(
    shares: Sequence[curves.ObservedShare | None], counts: Sequence[float]
) -> Iterator[str]:
    for share, count in zip(shares, counts, strict=True):
        yield "no image" if share is None else f"{scalar(share)}; {count:.1f}"


def _calibration_table(study: Study) -> Table:
    rows: list[list[str]] = []
    why: list[tuple[str, HasReason]] = []
    for name, arm in study.arms.items():
        forms = {"raw": arm.calibration.raw, "recalibrated": arm.calibration.recalibrated}
        corrected = "prior-corrected" if not forms["recalibrated"] else "at the given class shares"
        for title, levels in (forms | {corrected: arm.calibration.corrected}).items():
            if levels:
                rows.append(
                    [name, title]
                    + [scalar(levels[key]) if key in levels else "-" for key in _SCORES]
                )
            why += [(f"{name}, {title} {_SCORES[key]}", level) for key, level in levels.items()]
    return Table(
        "Calibration, mean over the runs", ["arm", "probabilities", *_SCORES.values()], rows,
        text_columns=(1,),
        note="Brier score and ECE: lower is better. Right probabilities have slope 1 and intercept "
        "0; a slope below 1 means too extreme. " + reasons(why),
    )  # fmt: skip
