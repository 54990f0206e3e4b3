"""The comparison of two classifiers as a section."""

from collections.abc import Iterator
from typing import Any

from balancer.drawing.wording import scalar
from balancer.report.blocks import Block, Figure, Folded, Heading, Paragraph, Section, Table
from balancer.report.records import ReportRecords

_ARMS = (("real", "real"), ("with-synthetic", "real + synthetic"))


def comparison_section(material: ReportRecords) -> Section | None:
    """Compare both classifiers of `balancer classify`; None without them."""
    found = material.comparison
    if found is None:
        return None
    real = material.arms["real"]
    blocks: list[Block] = []
    if material.ablation is not None:
        blocks += [
            Paragraph("One training run per arm, on the split of this workspace; the study above "
                      "weighs more.", "note"),
            Paragraph(found.sentence),
        ]  # fmt: skip
    rows = [
        [row.metric, scalar(row.real), scalar(row.with_synthetic),
         scalar(row.difference, sign=True)]
        for row in found.rows
    ]  # fmt: skip
    blocks.append(Table(
        f"Test split: {found.n} real images, {found.n_positive} {found.positive}",
        ["metric", "real", "real + synthetic", "difference"], rows,
        note="In brackets: 95 % interval, bootstrap over the test groups. Both arms: same split, "
        f"seed and {real['metrics']['n_steps']} optimizer steps of "
        f"{real['settings']['classifier']['model']}; every choice was made on "
        "validation images. ECE is better when lower, everything else when higher.",
    ))  # fmt: skip
    blocks += _figures(material)
    blocks += _plan(material)
    return Section("comparison", "Two classifiers, with and without synthetic images", blocks)


def _figures(material: ReportRecords) -> Iterator[Block]:
    yield Figure("comparison-roc", "ROC curves of both classifiers.", "ROC, test split")
    yield Figure("comparison-precision-recall", "Precision-recall curves of both classifiers.",
                 "Precision-recall, test split")  # fmt: skip
    if material.ablation is not None:
        yield Figure("differences", "Differences of all metrics with intervals; see the table.",
                     "Real + synthetic minus real")  # fmt: skip
    for prefix, title in _ARMS:
        yield Figure(f"{prefix}-confusion", f"Confusion of the classifier trained on {title}.",
                     f"Confusion, test: {title}")  # fmt: skip
    curves = [
        Figure(f"{prefix}-learning-curves", f"Learning curves of the classifier on {title}.",
               f"Learning curves: {title}")
        for prefix, title in _ARMS
    ]  # fmt: skip
    yield Folded("Learning curves", curves)


def _plan(material: ReportRecords) -> Iterator[Block]:
    if material.synthetic is None:
        return
    metrics: Any = material.synthetic["metrics"]
    rows = [
        [row["class"], *(str(row[key]) for key in ("real", "target", "to_make", "total"))]
        for row in metrics["plan"]
    ]
    yield Heading("Balance")
    yield Table(
        f"{metrics['ratio']}, largest class : every other, training split",
        ["class", "real", "target", "made", "total"], rows,
    )  # fmt: skip
    for label, screening in (metrics.get("screening") or {}).items():
        rejected = ", ".join(f"{reason} {n}" for reason, n in screening["rejected"].items())
        yield Paragraph(
            f"{label}: {screening['accepted']} of {screening['made']} images made were accepted "
            f"({100 * screening['keep_rate']:.1f} %)"
            + (f"; rejected: {rejected}." if rejected else "."),
            "note",
        )
