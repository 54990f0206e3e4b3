"""The data: its audit, shortcuts that give the class away, other sources, and reads of the test."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from balancer.data.audit.admission import Copy
from balancer.data.audit.association import Association
from balancer.data.audit.content import Audit, NearDuplicatePair
from balancer.data.audit.findings import how
from balancer.data.audit.text import turned
from balancer.data.records import PrepareMetrics
from balancer.drawing.wording import TITLES, cell, listing, scalar
from balancer.report.blocks import Block, Bullets, Folded, Heading, Paragraph, Section, Table
from balancer.report.records import Json, ReportRecords, Study

_LISTED = 50
_OF_SOURCES = ("auroc", "balanced_accuracy", "sensitivity", "specificity")


def shortcuts_section(study: Study) -> Section:
    """Whether something other than the disease gives the class away."""
    metrics = study.metrics
    blocks: list[Block] = []
    caps = metrics.get("caps") or []
    if caps:
        blocks += [Paragraph("Because of the following every claim is capped:", "warning"),
                   Bullets([str(cap) for cap in caps])]  # fmt: skip
    blocks.append(Heading("Probes that see no lungs, or no image at all"))
    blocks += _probes(study, metrics.get("probes"))
    blocks.append(Heading("Sources that training never saw"))
    blocks += _sources(study, metrics.get("sources") or {})
    blocks.append(Heading("Images from elsewhere"))
    external = metrics.get("external") or {}
    if not external:
        blocks.append(Paragraph("No other data set was tested.", "note"))
    for name, found in external.items():
        blocks += _external(study, name, found)
    return Section("shortcuts", "Shortcuts, sources and other data", blocks)


def audit_section(material: ReportRecords) -> Section:
    """Show what is known of the images before any training."""
    metrics = PrepareMetrics.model_validate(material.index["metrics"])
    audit = Audit.model_validate(material.audit) if material.audit else None
    groups, warnings = metrics.groups, list(metrics.warnings)
    blocks: list[Block] = [
        Bullets(warnings) if warnings else Paragraph("Nothing to warn about."),
        Paragraph(
            f"{metrics.images} images in {groups.number} groups by {groups.kind}; no group is in "
            "two splits."
        ),
    ]
    if audit is not None:
        files = {label: row.model_dump() for label, row in audit.classes.items()}
        blocks.append(_counts("Files of each class", "class", files))
    blocks.append(_counts("Images of each split", "split", metrics.splits))
    if material.ablation is not None:
        blocks.append(Paragraph("The study above split the same images anew for each run.", "note"))
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
    """How often a test image was looked at; None where nothing was counted."""
    if material.ablation is None:
        return _reads_of_arms(material)
    ledger = material.ablation["metrics"].get("ledger")
    if not ledger:
        return None
    rows = [
        [key.replace("_", " "), cell(value)] for key, value in ledger.items() if key != "sentence"
    ]
    return Section("ledger", "Reads of the test images", [
        Paragraph(ledger["sentence"]),
        Table("The ledger", ["count", "value"], rows,
              note="A line is written before each read and none is ever removed."),
    ])  # fmt: skip


def _reads_of_arms(material: ReportRecords) -> Section | None:
    reads = {
        name: record["metrics"]["test_reads"]
        for name, record in material.arms.items()
        if "test_reads" in record["metrics"]
    }
    if not reads:
        return None
    told = "Both classifiers read the test images once."
    if max(reads.values()) > 1:
        told = (
            "The test images were read more than once, so what was chosen after the first look is "
            "no longer untouched by them."
        )
    return Section("ledger", "Reads of the test images", [
        Paragraph(told),
        Table("The ledger", ["classifier", "reads"], [[k, str(n)] for k, n in reads.items()],
              note="A line is written before each read and none is ever removed."),
    ])  # fmt: skip


def _probes(study: Study, probes: Any) -> Iterator[Block]:
    """AUROC of each probe beside that of the model."""
    if not probes:
        yield Paragraph("No probe was run, so shortcuts are not excluded.", "note")
        return
    model = study.of_kind("reference")[:1]
    rows = [
        [f"the model itself ({name})", scalar(study.arms[name]["metrics"].get("auroc")),
         scalar(study.arms[name]["metrics"].get("balanced_accuracy")), "-",
         "The trained classifier, for comparison."]
        for name in model
    ]  # fmt: skip
    for probe in probes:
        reason = probe.get("reason")
        values = ["not measured"] * 2 if reason else [
            scalar(probe.get(key)) for key in ("auroc", "balanced_accuracy")
        ]  # fmt: skip
        told = probe["describes"] + (f" Not measured: {reason}." if reason else "")
        rows.append([probe["probe"], *values, "yes" if probe["shortcut"] else "no", told])
    yield Table(
        "Probes beside the model",
        ["probe", "AUROC", "balanced accuracy", "sees no lung", "what it is given"], rows,
        text_columns=(3, 4),
        note="Mean over the splits; 95 % interval over groups and splits. A probe that sees no "
        "lung but finds the class reads a shortcut; one that fails proves nothing.",
    )  # fmt: skip


def _sources(study: Study, found: Json) -> Iterator[Block]:
    """Tests on a source that no training or validation image is from."""
    tested, reasons = found.get("tested") or {}, found.get("reasons") or {}
    if tested:
        rows = [
            [
                source,
                arm,
                _counted(entry["n"]),
                *(scalar(one["metrics"].get(key)) for key in _OF_SOURCES),
                _to_real(one, study.primary),
            ]
            for source, entry in tested.items()
            for arm, one in entry["arms"].items()
        ]
        yield Table(
            "Leave-one-source-out",
            [
                *("source", "arm", "images"),
                *(TITLES[key] for key in _OF_SOURCES),
                f"{study.title}, difference to real",
            ],
            rows, text_columns=(1, 2),
            note="Mean over the seeds; interval: bootstrap over the groups of the left-out source.",
        )  # fmt: skip
    if reasons:
        yield Paragraph("Not left out:", "note")
        yield Bullets([f"{source}: {reason}" for source, reason in reasons.items()])
    if not tested and not reasons:
        yield Paragraph("No source was left out.", "note")


def _counted(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{n} {label}" for label, n in counts.items())


def _external(study: Study, name: str, found: Json) -> Iterator[Block]:
    arms = found.get("arms") or {}
    keys = [k for k in TITLES if any(k in (arm.get("metrics") or {}) for arm in arms.values())]
    rows = []
    for arm, entry in arms.items():
        metrics = entry.get("metrics") or {}
        rows.append(
            [arm, _to_real(entry, study.primary), *(scalar(metrics.get(key)) for key in keys)]
        )
    dropped = {why: n for why, n in (found.get("dropped") or {}).items() if n}
    left_out = f" Left out: {_counted(dropped)}." if dropped else ""
    counted = f"{_counted(found['classes'])}." if found.get("classes") else ""
    yield Table(
        f"{name}: every arm, mean over the runs",
        ["arm", f"{study.title}, difference to real", *(TITLES[key] for key in keys)], rows,
        note=f"{counted}{left_out} The finished models of the runs, thresholds and weights as they "
        "were; intervals: bootstrap over the groups of these images.".strip(),
    )  # fmt: skip


def _to_real(entry: Json, key: str) -> str:
    difference = (entry.get("difference_to_real") or {}).get(key)
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
