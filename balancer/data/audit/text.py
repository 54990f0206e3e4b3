"""The audit as a page to read: `audit.md`."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from balancer.data.audit.association import Association
from balancer.data.audit.content import Audit, Finding, Statistics, read_audit
from balancer.data.audit.record import grouping_sentence
from balancer.drawing.wording import printable
from balancer.errors import IntegrityError

_LISTED = 50
_CLASS = "class"
MOST_COLUMNS = 8
"""Largest number of classes that are columns of a table."""
T = TypeVar("T")


def audit_page(audit: Audit) -> str:
    """Render the content of `audit.json` as Markdown; file names stay what they are."""
    parts = ["# Audit of the images", _bullets(audit.warnings) or "Nothing to warn about."]
    parts.append(
        "## Classes\n\n"
        + _table("class", {label: row.model_dump() for label, row in audit.classes.items()})
    )
    parts.append("## Splits\n\n" + _table("split", audit.splits))
    parts.append(grouping_sentence(audit.groups))
    parts += [_association("source", audit.source), _association("view", audit.view)]
    parts.append("" if audit.part is None else _association("part", audit.part))
    parts.append(
        "" if audit.statistics is None else _statistics(audit.statistics, audit.kind.subject)
    )
    ignored = [f"{number} ignored: {kind}" for kind, number in audit.ignored.items()]
    parts.append("## Files\n\n" + _bullets([f"{audit.quarantined} quarantined", *ignored]))
    parts.append("## Findings" if audit.findings else "## Findings\n\nNone.")
    parts.extend(_finding(finding) for finding in audit.findings)
    # Sentences on the reading quote names from the archive, so the page is cleaned as a whole.
    return printable("\n\n".join(part for part in parts if part), keep="\n") + "\n"


def _statistics(found: Statistics, subject: str) -> str:
    rows = {
        row.title: {
            label: f"{cell.median:.3g}, AUROC "
            + ("-" if cell.auroc is None else f"{cell.auroc:.2f}")
            for label, cell in row.classes.items()
        }
        for row in found.table.values()
    }
    title = f"## Statistics that separate the classes without {subject}\n\n"
    return title + "Median, and AUROC against the other classes.\n\n" + _table("statistic", rows)


def _finding(finding: Finding) -> str:
    counts = "Counts" if finding.counts else "Does not count"
    groups = finding.groups
    lines = [
        " and ".join(_code(path) for path in paths[:_LISTED]) + (f" ({caption})" if caption else "")
        for paths, caption in zip(
            groups[:_LISTED], finding.captions or [""] * len(groups), strict=False
        )
    ]
    if len(groups) > _LISTED:
        lines.append(f"and {len(groups) - _LISTED} more: audit.json")
    title = f"### {finding.title}" + (f" ({len(groups)})" if groups else "")
    text = f"{title}\n\n{finding.sentence} {counts} with `--strict`."
    return f"{text}\n\n{_bullets(lines)}" if lines else text


def refuse_findings(directory: Path) -> None:
    """Stop at the findings of an audit that count.

    Raises:
        IntegrityError: A finding counts, or `audit.json` cannot be read.
    """
    counting = [finding.title for finding in read_audit(directory).findings if finding.counts]
    if counting:
        raise IntegrityError(
            f"The images should have no findings that count with --strict, but {len(counting)} "
            f"count: {'; '.join(counting)}; see {directory / 'audit.html'} and correct the data."
        )


def _association(name: str, found: Association | None) -> str:
    title = f"## {name.capitalize()} by class\n\n"
    if found is None:
        return title + f"Unknown: the metadata name no {name}, so it was not checked."
    strength = found.cramers_v
    verdict = "needs two values and two classes" if strength is None else f"{strength:.2f}"
    loud = f" **The {name} alone gives the class away.**" if found.gives_label_away else ""
    return title + _table(name, found.table) + f"\n\nCramer's V: {verdict}.{loud}"


def turned(
    corner: str, rows: Mapping[str, Mapping[str, T]]
) -> tuple[str, Mapping[str, Mapping[str, T]]]:
    """Return a table with a class per row if it has many classes as columns, else as it is.

    Args:
        corner: Title of the column of row names.
        rows: Row to column to cell; all rows have the same columns.
    """
    columns = list(next(iter(rows.values()), {}))
    if corner == _CLASS or len(columns) <= MOST_COLUMNS:
        return corner, rows
    return _CLASS, {one: {name: row[one] for name, row in rows.items()} for one in columns}


def _table(corner: str, rows: Mapping[str, Mapping[str, object]]) -> str:
    corner, rows = turned(corner, rows)
    columns = list(next(iter(rows.values())))
    lines = [[corner, *columns], ["---"] + ["---:"] * len(columns)]
    lines += [[name, *(str(row[column]) for column in columns)] for name, row in rows.items()]
    return "\n".join("| " + " | ".join(_cell(cell) for cell in line) + " |" for line in lines)


def _bullets(lines: Sequence[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)


def _code(path: str) -> str:
    return "`" + printable(path).replace("`", "'") + "`"


def _cell(text: str) -> str:
    return printable(text).replace("|", "\\|").replace("<", "&lt;")
