"""The data: its audit, shortcuts that give the class away, other sources, and reads of the test."""

from collections.abc import Iterator, Mapping, Sequence

from balancer.ablation.elsewhere_records import ExternalResult, SameImagesArm
from balancer.data.audit.admission import Copy
from balancer.data.audit.association import Association
from balancer.data.audit.content import NearDuplicatePair
from balancer.data.audit.findings import how
from balancer.data.audit.text import turned
from balancer.domains.domain import Domain
from balancer.drawing.wording import TITLES, cell, listing, scalar
from balancer.report.blocks import Block, Bullets, Folded, Heading, Paragraph, Section, Table
from balancer.report.records import ReportRecords, Study

_LISTED = 50
_OF_SOURCES = ("auroc", "balanced_accuracy", "sensitivity", "specificity")


def shortcuts_section(study: Study, domain: Domain) -> Section:
    """Show whether something other than the disease gives the class away.

    Args:
        study: The study.
        domain: Kind of its images, for words.
    """
    metrics = study.metrics
    blocks: list[Block] = []
    if metrics.caps:
        blocks += [Paragraph("Because of the following every claim is capped:", "warning"),
                   Bullets(list(metrics.caps))]  # fmt: skip
    seen = "see no lungs" if domain.lungs else "see an artefact"
    blocks.append(Heading(f"Probes that {seen}, or no image at all"))
    blocks += _probes(study, lungs=domain.lungs)
    blocks.append(Heading("Sources that training never saw"))
    blocks += _sources(study)
    blocks.append(Heading("Images from elsewhere"))
    if not metrics.external:
        blocks.append(Paragraph("No other data set was tested.", "note"))
    for name, found in metrics.external.items():
        blocks += _external(study, name, found)
    return Section("shortcuts", "Shortcuts, sources and other data", blocks)


def audit_section(material: ReportRecords) -> Section:
    """Show what is known of the images before any training."""
    metrics, audit = material.index.metrics, material.audit
    groups, warnings = metrics.groups, list(metrics.warnings)
    blocks: list[Block] = [
        Bullets(warnings) if warnings else Paragraph("Nothing to warn about."),
        Paragraph(
            f"{metrics.images} images in {groups.number} groups by {groups.kind}; no group is in "
            "two splits."
        ),
    ]
    if metrics.unused_columns:
        blocks.append(
            Paragraph(
                f"Columns of the metadata that were not used: {', '.join(metrics.unused_columns)}."
            )
        )
    if audit is not None:
        files = {label: row.model_dump() for label, row in audit.classes.items()}
        blocks.append(_counts("Files of each class", "class", files))
    blocks.append(_counts("Images of each split", "split", metrics.splits))
    if material.ablation is not None:
        blocks.append(Paragraph("The study above made new splits of the same images.", "note"))
    blocks += _association("source", None if audit is None else audit.source)
    blocks += _association("view", None if audit is None else audit.view)
    if audit is not None and audit.part is not None:
        blocks += _association("part", audit.part)
    copies = () if audit is None else audit.copies
    pairs = () if audit is None else audit.near_duplicates
    blocks.append(Paragraph(
        f"Exact copies left out: {len(copies)}. Near duplicates kept in one split: {len(pairs)}. "
        f"Files set aside: {metrics.quarantined}."))  # fmt: skip
    lists = list(_lists(copies, pairs, {} if audit is None else audit.flags))
    if lists:
        blocks.append(Folded("Which files", lists))
    return Section("audit", "Audit of the data", blocks)


def ledger_section(material: ReportRecords) -> Section | None:
    """Show how often each test image was read; None without counts."""
    study = material.study
    if study is None:
        return _reads_of_arms(material)
    ledger = study.metrics.ledger
    if ledger is None:
        return None
    counts = ledger.model_dump(exclude={"sentence"}, exclude_unset=True)
    rows = [[key.replace("_", " "), cell(value)] for key, value in counts.items()]
    return Section("ledger", "Reads of the test images", [
        Paragraph(ledger.sentence),
        Table("The ledger", ["count", "value"], rows,
              note="A line is written before each read and none is ever removed."),
    ])  # fmt: skip


def _reads_of_arms(material: ReportRecords) -> Section | None:
    reads = {
        name: result.metrics.test_reads
        for name, result in material.arms.items()
        if result.metrics.test_reads is not None
    }
    if not reads:
        return None
    sentence = "Both classifiers read the test images once."
    if max(reads.values()) > 1:
        sentence = (
            "The test images were read more than once, so what was chosen after the first look is "
            "no longer untouched by them."
        )
    return Section("ledger", "Reads of the test images", [
        Paragraph(sentence),
        Table("The ledger", ["classifier", "reads"], [[k, str(n)] for k, n in reads.items()],
              note="A line is written before each read and none is ever removed."),
    ])  # fmt: skip


def _probes(study: Study, *, lungs: bool) -> Iterator[Block]:
    """Show the AUROC of each probe beside that of the model."""
    sees, which = (
        ("sees no lung", "that sees no lung but") if lungs else ("shortcut", "of these that")
    )
    if not study.metrics.probes:
        yield Paragraph("No probe was run, so shortcuts are not excluded.", "note")
        return
    model = study.of_kind("reference")[:1]
    rows = [
        [f"the model itself ({name})", scalar(study.arms[name].metrics["auroc"]),
         scalar(study.arms[name].metrics["balanced_accuracy"]), "-",
         "The trained classifier, for comparison."]
        for name in model
    ]  # fmt: skip
    for probe in study.metrics.probes:
        why = f" Not measured: {probe.reason}." if probe.reason else ""
        if probe.left_out:
            lost = listing([f"{n} of {label}" for label, n in probe.left_out.items()])
            why += f" Left out, since their lungs are not known well enough: {lost}."
        rows.append([probe.probe, scalar(probe.auroc), scalar(probe.balanced_accuracy),
                     "yes" if probe.shortcut else "no", probe.describes + why])  # fmt: skip
    yield Table(
        "Probes beside the model",
        ["probe", "AUROC", "balanced accuracy", sees, "what it is given"], rows,
        text_columns=(3, 4),
        note=f"Mean over the splits; 95 % interval over groups and splits. A probe {which} "
        "finds the class reads a shortcut; one that fails proves nothing.",
    )  # fmt: skip


def _sources(study: Study) -> Iterator[Block]:
    """Show tests on a source that no training or validation image is from."""
    tested, reasons = study.metrics.sources.tested, study.metrics.sources.reasons
    if tested:
        rows = [
            [
                source,
                arm,
                _counted(entry.n, entry.of_others),
                *(scalar(one.metrics.get(key)) for key in _OF_SOURCES),
                _to_real(one, study.primary),
            ]
            for source, entry in tested.items()
            for arm, one in entry.arms.items()
        ]
        yield Table(
            "Leave-one-source-out",
            [
                *("source", "arm", "images"),
                *(TITLES[key] for key in _OF_SOURCES),
                f"{study.title}, difference to real",
            ],
            rows, text_columns=(1, 2),
            note="Mean over the seeds; interval: bootstrap over the groups of the tested images. "
            "*: of other sources, kept from training, since this one lacks the class.",
        )  # fmt: skip
    if reasons:
        yield Paragraph("Not left out:", "note")
        yield Bullets([f"{source}: {reason}" for source, reason in reasons.items()])
    if not tested and not reasons:
        yield Paragraph("No source was left out.", "note")


def _counted(counts: Mapping[str, int], of_others: Sequence[str] = ()) -> str:
    return ", ".join(f"{n} {label}{'*' * (label in of_others)}" for label, n in counts.items())


def _external(study: Study, name: str, found: ExternalResult) -> Iterator[Block]:
    keys = [key for key in TITLES if any(key in arm.metrics for arm in found.arms.values())]
    rows = [
        [arm, _to_real(entry, study.primary), *(scalar(entry.metrics.get(key)) for key in keys)]
        for arm, entry in found.arms.items()
    ]
    dropped = {why: n for why, n in found.dropped.items() if n}
    left_out = f" Left out: {_counted(dropped)}." if dropped else ""
    yield Table(
        f"{name}: every arm, mean over the runs",
        ["arm", f"{study.title}, difference to real", *(TITLES[key] for key in keys)], rows,
        note=f"{_counted(found.classes)}.{left_out} Finished models of the runs, their weights and "
        "thresholds unchanged; intervals: bootstrap over the groups of these images.",
    )  # fmt: skip


def _to_real(entry: SameImagesArm, key: str) -> str:
    difference = (entry.difference_to_real or {}).get(key)
    return "-" if difference is None else scalar(difference, sign=True)


def _counts(caption: str, corner: str, rows: Mapping[str, Mapping[str, int]]) -> Table:
    corner, rows = turned(corner, rows)
    columns = list(next(iter(rows.values())))
    cells = [[name, *(str(row[column]) for column in columns)] for name, row in rows.items()]
    return Table(caption, [corner, *columns], cells)


def _association(name: str, found: Association | None) -> Iterator[Block]:
    if found is None:
        yield Paragraph(
            f"{name.capitalize()} by class: not known, since the metadata name no {name}.",
            "note",
        )
        return
    yield _counts(f"{name.capitalize()} by class", name, found.table)
    strength = found.cramers_v
    text = "undefined (needs two values and two classes)" if strength is None else f"{strength:.2f}"
    yield Paragraph(f"Cramer's V of {name} and class: {text} (0: independent, 1: one decides the "
                    "other).")  # fmt: skip
    if found.gives_label_away:
        yield Paragraph(f"The {name} alone gives the class away.", "warning")


def _lists(
    copies: Sequence[Copy], pairs: Sequence[NearDuplicatePair], flags: Mapping[str, Sequence[str]]
) -> Iterator[Block]:
    if copies:
        yield Heading("Exact copies, left out")
        yield Bullets(_cut([f"{copy.dropped} is {copy.kept}" for copy in copies]))
    if pairs:
        yield Heading("Near duplicates, kept in one split")
        yield Bullets(_cut([
            f"{pair.first} and {pair.second} ({how(pair)}"
            f"{', IN TWO CLASSES' if pair.across_classes else ''})"
            for pair in pairs
        ]))  # fmt: skip
    for flag, paths in flags.items():
        yield Heading(f"To check: {flag} ({len(paths)})")
        yield Bullets([listing(list(paths), _LISTED)])


def _cut(lines: Sequence[str]) -> list[str]:
    more = [f"and {len(lines) - _LISTED} more: audit.json"] if len(lines) > _LISTED else []
    return [*lines[:_LISTED], *more]
