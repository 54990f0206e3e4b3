"""Tables beside class folders: they may hold the classes, which stops a run, or the patients."""

import csv
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from balancer.data.class_places import METADATA_NAME
from balancer.data.columns import (
    PATIENT,
    names_file,
    names_label,
    names_something_else,
    patient_columns,
    rename_hint,
)
from balancer.data.entries import entries, is_file
from balancer.data.metadata import UNKNOWN, other_columns, patient_notes, patient_text, unit_of
from balancer.data.scan import Scan
from balancer.data.tables import workbook_rows
from balancer.errors import EnvironmentFault

_SUFFIXES = (".csv", ".tsv", ".txt", ".tab", ".xlsx")
_MOST_BYTES = 64 * 2**20
_MOST_ROWS = 1_000_000
_LEAST_NAMED = 0.5
"""Share of the images that a table must name to be one of these images."""
_AGREEING = 0.95
_CLASSES = range(2, 51)
_ROWS_PER_CLASS = 3
_SHORT_NUMBER = 5
"""Stems of fewer digits match numbers of any column, so only a column of files counts."""


@dataclass(frozen=True, slots=True)
class SideTable:
    """A table that names images.

    Attributes:
        path: Path to the table.
        header: Names of its columns.
        key: Position of the column that names the images.
        rows: Path of an image to its row.
    """

    path: Path
    header: Sequence[str]
    key: int
    rows: Mapping[str, Sequence[str]]


def table_instead_of_classes(place: Path, images: Mapping[str, str]) -> str:
    """Say that a table at the root of an archive holds the classes; empty if none does.

    Args:
        place: Folder of the archive.
        images: Path of an image to the label that its folder gives it; empty: it gives none.
    """
    for table in _tables(place, images):
        column = _contradicting(table, images)
        if column is None and any(images.values()):
            continue
        hint = rename_hint(table.header, ["path", "label"])
        if not hint:
            label = f"{column} to label" if column else "the column of the classes to label"
            hint = f"rename {table.header[table.key]} to path and {label}"
        found = (
            f"its column {column!r} divides them otherwise than the folders"
            if column and any(images.values())
            else "no folder is a class"
        )
        way_out = (
            ", or pass --layout class-folders if the folders are the classes"
            if any(images.values())
            else ""
        )
        return (
            f"{str(place)!r} should have one source of classes, but {table.path.name} names "
            f"{len(table.rows)} of {len(images)} images (column {table.header[table.key]!r}), and "
            f"{found}; a table needs the columns path and label and may have patient_id, source "
            f"and view: {hint}{way_out}."
        )
    return ""


def take_facts(
    place: Path, folders: Sequence[Path], scan: Scan, skipped: Collection[Path] = ()
) -> None:
    """Fill in what tables beside the images say of them: patients, and further columns.

    Patients are of the first table that names images and patients; of a column that several tables
    have, the first cell of an image counts.

    Args:
        place: Folder of the archive.
        folders: Other folders whose tables are about its images.
        scan: Scan whose metadata name no patients; its metadata and notes are changed.
        skipped: Tables that are read elsewhere.
    """
    images = dict(scan.files())
    used = ""
    for folder in dict.fromkeys((place, *folders)):
        for path in _files(folder):
            header, rows = _read(path)
            if not header or path in skipped or path.name.lower() == METADATA_NAME:
                continue
            patients = patient_columns(header)
            table = _matched(path, header, rows, images)
            if patients and (used or table is None):
                reason = f"{used} is read" if used else "no column names the images by their files"
                scan.notes.append(
                    f"{path.name}: the column {patients[0]!r} is not read, because {reason}; to "
                    f"use it, write {METADATA_NAME} with the columns path and {PATIENT}."
                )
            elif patients:
                used = path.name
                if patients[0] == PATIENT:
                    scan.notes.append(f"{path.name}: the column {PATIENT} is read.")
            if table is not None:
                scan.notes += patient_notes(path.name, header)
                _take_rows(table, patients[0] if used == path.name else "", scan)


def _take_rows(table: SideTable, patient: str, scan: Scan) -> None:
    """Add the rows of a table to the metadata; `patient` is the column of patients to read."""
    if _names_of(dict(scan.files())).get(table.header[table.key].lower()):
        return  # its first row is an image, so that no name of a column is known
    for image, row in table.rows.items():
        cells = dict(zip(table.header, row, strict=False))
        known = scan.metadata.get(image, UNKNOWN)
        further = other_columns(cells, (table.header[table.key], *patient_columns(table.header)))
        scan.metadata[image] = replace(
            known,
            patient_id=patient_text(cells.get(patient, "")) or known.patient_id,
            columns={**further, **known.columns},
            unit=known.unit or unit_of(cells),
        )


def _contradicting(table: SideTable, images: Mapping[str, str]) -> str | None:
    """Return the column that divides the images into other classes than the folders do."""
    for position in _class_columns(table):
        labels: dict[str, Counter[str]] = defaultdict(Counter)
        for image, row in table.rows.items():
            if len(row) > position and row[position].strip():
                labels[row[position].strip()][images[image]] += 1
        agreeing = sum(max(counts.values()) for counts in labels.values())
        total = sum(counts.total() for counts in labels.values())
        if not any(images.values()) or agreeing < _AGREEING * total:
            return table.header[position]
    return None


def _class_columns(table: SideTable) -> list[int]:
    """List the columns that may hold classes; those whose name says so decide alone."""
    found = []
    for position, name in enumerate(table.header):
        if position == table.key or names_something_else(name) or patient_columns([name]):
            continue
        values = Counter(
            row[position].strip() for row in table.rows.values() if len(row) > position
        )
        values.pop("", None)
        if len(values) in _CLASSES and values.total() >= _ROWS_PER_CLASS * len(values):
            words = not all(value.replace(".", "").isdigit() for value in values)
            if words or names_label(name):
                found.append(position)
    named = [position for position in found if names_label(table.header[position])]
    return named or found


def _tables(place: Path, images: Mapping[str, str]) -> Iterator[SideTable]:
    for path in _files(place):
        header, rows = _read(path)
        table = _matched(path, header, rows, images)
        if table is not None and (
            any(images.values()) is False or path.name.lower() != METADATA_NAME
        ):
            yield table


def _files(folder: Path) -> list[Path]:
    return [
        Path(entry.path)
        for entry in entries(folder)
        if entry.name.lower().endswith(_SUFFIXES)
        and not entry.name.startswith((".", "~$"))
        and is_file(entry)
        and entry.stat().st_size <= _MOST_BYTES
    ]


def _matched(
    path: Path, header: Sequence[str], rows: Sequence[Sequence[str]], images: Mapping[str, str]
) -> SideTable | None:
    """Find the column whose cells name the images; None if none names half of them."""
    names = _names_of(images)
    best: tuple[int, bool, int] | None = None
    found: dict[str, Sequence[str]] = {}
    for position, column in enumerate(header):
        matched: dict[str, Sequence[str]] = {}
        for row in rows:
            cell = row[position].strip().replace("\\", "/").lower() if len(row) > position else ""
            if cell.isdigit() and len(cell) < _SHORT_NUMBER and not names_file(column):
                continue
            image = names.get(cell.removeprefix("./"))
            image = names.get(cell.rpartition("/")[2]) if image is None else image
            if image:
                matched.setdefault(image, row)
        rank = (len(matched), names_file(column), -position)
        if len(matched) >= max(1.0, _LEAST_NAMED * len(images)) and (best is None or rank > best):
            best, found = rank, matched
    return None if best is None else SideTable(path, header, -best[2], found)


def _names_of(images: Mapping[str, str]) -> dict[str, str]:
    """Map each form in which a cell can name an image to its path; empty if several fit."""
    names: dict[str, str] = {}
    for path in images:
        pure = PurePosixPath(path.lower())
        for name in {str(pure), str(pure.with_suffix("")), pure.name, pure.stem}:
            names[name] = path if names.get(name, path) == path else ""
    names.pop("", None)
    return names


def _read(path: Path) -> tuple[list[str], list[list[str]]]:
    """Read header and rows in any usual encoding, with any separator; empty if it is none."""
    try:
        lines = workbook_rows(path) if path.suffix.lower() == ".xlsx" else _text(path)
        rows = [row for _, row in zip(range(_MOST_ROWS), lines, strict=False) if any(row)]
    except EnvironmentFault:
        raise
    except Exception:  # any, on foreign files: what cannot be read names no images
        return [], []
    if not rows or len(rows[0]) < 2:
        return [], []
    return [cell.strip() for cell in rows[0]], rows[1:]


def _text(path: Path) -> Iterator[list[str]]:
    content = path.read_bytes()
    wide = content.startswith((b"\xff\xfe", b"\xfe\xff"))
    try:
        text = content.decode("utf-16" if wide else "utf-8-sig")
    except UnicodeDecodeError:
        text = content.decode("latin-1")
    header = text.partition("\n")[0]
    separator = max(",;\t|", key=header.count)
    return csv.reader(text.splitlines(keepends=True), delimiter=separator)
