"""The comparison of two classifiers as a section."""

from collections.abc import Iterator

from balancer.drawing.wording import scalar
from balancer.report.blocks import Block, Figure, Folded, Heading, Paragraph, Section, Table
from balancer.report.records import ReportRecords

_ARMS = (("real", "real"), ("with-synthetic", "real + synthetic"))
_MANY, _FEW = 100, 20
"""Numbers of training images above which a class is of the head, and below which of the tail (many,
medium and few shots of Liu 2019, arXiv 1904.05160)."""


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
        f"seed and {real.metrics.n_steps} optimizer steps of "
        f"{real.setting('classifier.model')}; every choice was made on "
        "validation images. ECE is better when lower, everything else when higher.",
    ))  # fmt: skip
    blocks += _figures(material)
    blocks += _plan(material)
    blocks += _long_tail(material)
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
    metrics = material.synthetic.metrics
    rows = [
        [row.label, *(str(n) for n in (row.real, row.target, row.to_make, row.total))]
        for row in metrics.plan
    ]
    yield Heading("Balance")
    yield Table(
        f"{metrics.ratio}, largest class : every other, training split",
        ["class", "real", "target", "made", "total"], rows,
    )  # fmt: skip
    for label, screening in metrics.screening.items():
        rejected = ", ".join(f"{reason} {n}" for reason, n in screening.rejected.items())
        yield Paragraph(
            f"{label}: {screening.accepted} of {screening.made} images made were accepted "
            f"({100 * screening.keep_rate:.1f} %)"
            + (f"; rejected: {rejected}." if rejected else "."),
            "note",
        )


def _long_tail(material: ReportRecords) -> Iterator[Block]:
    """Show what became of frequent and of rare classes, where there are more than two."""
    tests = [material.arms[name].metrics.test for name, _ in _ARMS if name in material.arms]
    if material.synthetic is None or len(tests) < len(_ARMS) or len(tests[0].class_names) < 3:
        return
    plan = {row.label: row.real for row in material.synthetic.metrics.plan}
    parts = {
        f"head, over {_MANY} images": [label for label, n in plan.items() if n > _MANY],
        "medium": [label for label, n in plan.items() if _FEW <= n <= _MANY],
        f"tail, under {_FEW} images": [label for label, n in plan.items() if n < _FEW],
    }
    rows = []
    for part, labels in parts.items():
        found = [
            [test.per_class[label].recall.value for label in labels if test.per_class[label].n]
            for test in tests
        ]
        values = [[one for one in some if one is not None] for some in found]
        if all(values):
            real, mixed = (sum(some) / len(some) for some in values)
            numbers = [f"{real:.3f}", f"{mixed:.3f}", f"{mixed - real:+.3f}"]
            rows.append(
                [part, ", ".join(labels), str(sum(map(plan.__getitem__, labels))), *numbers]
            )
    yield Heading("Frequent and rare classes")
    yield Table(
        "Mean sensitivity of the classes, test split",
        ["part", "classes", "real images", "real", "real + synthetic", "difference"], rows,
        note="By the number of real training images of a class. One training run per arm: "
        "the intervals of single classes are in report.json.",
    )  # fmt: skip
