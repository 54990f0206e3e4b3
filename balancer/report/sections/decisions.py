"""Decisions and subgroups: net benefit at each threshold, and the primary metric in each part."""

from balancer.ablation.runs import REAL
from balancer.drawing.wording import reasons, scalar
from balancer.report.blocks import Block, Figure, Folded, Paragraph, Section, Table
from balancer.report.records import ReportRecords, Study

_SHOWN = (0.05, 0.1, 0.2, 0.3, 0.5)


def decisions_section(records: ReportRecords, study: Study) -> Section | None:
    """Show what decisions by the probabilities are worth; None in studies of early versions."""
    if not any(arm.decision for arm in study.arms.values()):
        return None
    positive, threshold = study.question.positive_class, study.question.decision_threshold
    at = "" if threshold is None else f" The registered threshold is {threshold:.3f}."
    blocks: list[Block] = [Paragraph(
        "Who acts at a probability of t counts a false alarm as t / (1 - t) of a case found. Net "
        f"benefit: cases of {positive} found per image, less the false alarms so counted, with "
        f"probabilities recalibrated on validation images (Vickers and Elkin 2006).{at}"
    )]  # fmt: skip
    if records.has_picture("decisions"):
        blocks.append(Figure(
            "decisions", "Decision curves of the arms that are compared; the table has numbers.",
            "Decision curve: mean over the splits; band: 95 % interval. Grey: to act on all "
            "images, and on none.", kind="wide",
        ))  # fmt: skip
    blocks += [_net_benefit(study), Folded("Net benefit at every threshold", [_all(study)])]
    return Section("decisions", "Decisions: net benefit", blocks)


def subgroups_section(study: Study) -> Section | None:
    """Show the primary metric in subgroups; None where the metadata name none."""
    found = study.metrics.subgroups
    if not found:
        return None
    classes = study.question.class_names
    columns = ["column", "value", *(f"images of {name}" for name in classes), "arm", study.title,
               "difference to real"]  # fmt: skip
    rows, why = [], []
    for part in found:
        for name, arm in part.arms.items():
            change = arm.difference_to_real
            rows.append([
                part.column, part.value, *(str(part.n[one]) for one in classes), name,
                scalar(arm.level), "-" if change is None else scalar(change, sign=True),
            ])  # fmt: skip
            why.append((f"{part.column} {part.value}, {name}", arm.level))
    return Section("subgroups", "Subgroups", [
        Paragraph(
            "Mean over the splits on the test images of each subgroup alone, with its 95 % "
            "interval. No claim is made and nothing is corrected for the number of subgroups: a "
            "difference between two of them can be chance. A finding of one class alone is no "
            "subgroup."
        ),
        Table(f"{study.title} by subgroup", columns, rows, text_columns=(1, len(classes) + 2),
              note="Images: different test images over all splits. " + reasons(why)),
    ])  # fmt: skip


def _net_benefit(study: Study) -> Table:
    known = {point.threshold for arm in study.arms.values() for point in arm.decision}
    shown = [threshold for threshold in _SHOWN if threshold in known]
    rows = []
    for name, arm in study.arms.items():
        points = {point.threshold: point for point in arm.decision}
        cells = []
        for threshold in shown:
            point = points.get(threshold)
            change = None if point is None else point.difference_to_real
            cells.append(
                scalar(None if point is None else point.level)
                if name == REAL or change is None
                else scalar(change, sign=True)
            )
        rows.append([name, *cells])
    return Table(
        "Net benefit: real, and differences to it", ["arm", *(f"at {t:g}" for t in shown)], rows,
        note="Of `real` the net benefit itself, of the others the difference to it; 95 % intervals "
        "(Nadeau-Bengio), not corrected for the number of thresholds.",
    )  # fmt: skip


def _all(study: Study) -> Table:
    rows = [
        [name, f"{point.threshold:g}", scalar(point.level),
         "-" if point.difference_to_real is None else scalar(point.difference_to_real, sign=True)]
        for name, arm in study.arms.items()
        for point in arm.decision
    ]  # fmt: skip
    return Table("Net benefit", ["arm", "threshold", "net benefit", "difference to real"], rows)
