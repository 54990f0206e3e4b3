"""Tables with a column per finding, such as those of CheXpert and of the ISIC challenges."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from balancer.data.class_places import METADATA_NAME
from balancer.data.columns import (
    group_columns,
    names_file,
    names_something_else,
    patient_columns,
    plain,
    unit_column,
)
from balancer.data.formats import DICOM_SUFFIXES, IMAGE_SUFFIXES
from balancer.data.layouts import class_folders
from balancer.data.layouts.files import ArchiveFiles
from balancer.data.layouts.layout import Layout
from balancer.data.layouts.match_rows import TableImage, scan_table
from balancer.data.layouts.patient_names import take_patients_from_names
from balancer.data.layouts.table_rows import TableRow, columns_of, read_csv
from balancer.data.metadata import ImageMetadata, other_columns, patient_notes, read_rows, unit_of
from balancer.data.roots import base_folder
from balancer.data.scan import Scan
from balancer.errors import DataError

SEVERAL, UNCERTAIN = "|", "?"
NO_FINDING = "no finding"
_YES, _NO, _UNSURE = {"1", "1.0"}, {"", "0", "0.0"}, {"-1", "-1.0"}
_FEWEST_FINDINGS = 2
_VIEWS = ("frontallateral", "appa", "view", "viewposition")
_SUFFIX, _ENCODINGS = ".csv", ("utf-8-sig", "latin-1")


@dataclass(frozen=True, slots=True)
class _Table:
    """A table with a column per finding.

    Attributes:
        path: Path to the table.
        rows: Its rows.
        files: Column that names the files.
        findings: Columns of findings, in lower case, and as written.
    """

    path: Path
    rows: Sequence[TableRow]
    files: str
    findings: Mapping[str, str]


def recognise(place: Path) -> str:
    """Name the tables; a folder with class folders is left to them."""
    if place.is_dir() and class_folders.count(place) >= _FEWEST_FINDINGS:
        return ""
    tables = _tables(place)
    if not tables:
        return ""
    names = ", ".join(table.path.name for table in tables)
    return f"{names}: {len(tables[0].findings)} columns of findings, with 1 where an image has it"


def read(place: Path) -> Scan:
    """Read the images of the tables.

    A label joins the findings of a row by `|`; an uncertain one (-1) ends with `?`.

    Raises:
        DataError: No table has a column of files and two of findings, or a row does not fit.
    """
    tables = _tables(place)
    if not tables:
        raise DataError(
            f"{str(place)!r} should be or hold a CSV table with a column of files and two or more "
            "columns of findings that have 1, 0, -1 or nothing in every row, but has none; give "
            "the table itself to --data, or the columns path and label to it."
        )
    files = ArchiveFiles(base_folder(tables[0].path))
    images = [image for table in tables for image in _images(table, files)]
    scan = scan_table(
        files, images, Counter(), suffixes=(*IMAGE_SUFFIXES, *DICOM_SUFFIXES), anywhere=True
    )
    for table in tables:
        findings = ", ".join(table.findings.values())
        scan.notes.append(f"{table.path.name}: read as findings: {findings}.")
        scan.notes += patient_notes(table.path.name, list(table.rows[0].cells))
    if not any(known.patient_id for known in scan.metadata.values()):
        take_patients_from_names(scan)
    return scan


def _tables(place: Path) -> list[_Table]:
    """List the tables of a folder that have the columns of the first, or the table itself."""
    paths = [place] if place.is_file() else sorted(place.iterdir()) if place.is_dir() else []
    found = []
    for path in paths:
        is_table = path.suffix.lower() == _SUFFIX and path.name.lower() != METADATA_NAME
        if is_table and (table := _table(path)) is not None:
            found.append(table)
    return [table for table in found if table.findings.keys() == found[0].findings.keys()]


def _table(path: Path) -> _Table | None:
    """Read a table; None if it has no column of files or no columns of findings."""
    header = columns_of(path)
    files = [name for name in header if names_file(name) and not patient_columns([name])]
    if not files or {"path", "label"} <= {*header}:
        return None
    try:
        rows = read_csv(path, files[:1], encodings=_ENCODINGS)
    except DataError:
        return None  # other layouts have words for a table that cannot be read
    written, _ = read_rows(path, encodings=_ENCODINGS)
    names = {name.lower(): name for name in reversed(written)}
    findings = {name: names[name] for name in _findings(rows, files[0])}
    return _Table(path, rows, files[0], findings) if findings else None


def _findings(rows: Sequence[TableRow], files: str) -> list[str]:
    """List the columns whose cells are all 1, 0, -1 or empty; none if fewer than two have a 1."""
    found, positive = [], 0
    for name in rows[0].cells if rows else ():
        other = name == files or names_something_else(name)
        if other or patient_columns([name]) or group_columns([name]) or unit_column((name,))[0]:
            continue
        cells = {row[name] for row in rows}
        if cells <= _YES | _NO | _UNSURE and cells != {""}:
            found.append(name)
            positive += bool(cells & _YES)
    return found if positive >= _FEWEST_FINDINGS else []


def _images(table: _Table, files: ArchiveFiles) -> list[TableImage]:
    header = list(table.rows[0].cells)
    patients = patient_columns(header)
    views = [name for name in header if plain(name) in _VIEWS]
    used = (table.files, *table.findings, *patients, *views)
    return [
        TableImage(
            where=row.where,
            written=_inside(row[table.files], files),
            label=_label(row, table.findings),
            suffixes=("", *IMAGE_SUFFIXES, *DICOM_SUFFIXES),
            known=ImageMetadata(
                patient_id=row[patients[0]] if patients else "",
                view=" ".join(filter(None, (row[name] for name in views))),
                columns=other_columns(row.cells, used),
                unit=unit_of(row.cells),
            ),
        )
        for row in table.rows
    ]


def _inside(written: str, files: ArchiveFiles) -> str:
    """Take off the name of the archive's own folder, with which CheXpert's paths begin."""
    first, _, rest = written.replace("\\", "/").partition("/")
    known = any(path.startswith(f"{first}/") for path in files.paths)
    return written if known or not rest else rest


def _label(row: TableRow, findings: Mapping[str, str]) -> str:
    names = [
        written + (UNCERTAIN if row[name] in _UNSURE else "")
        for name, written in findings.items()
        if row[name] not in _NO
    ]
    return SEVERAL.join(names) or NO_FINDING


LAYOUT = Layout(
    name="findings-table",
    title="Any CSV table with a column per finding",
    marks="a column of files, and two or more columns with 1, 0, -1 (uncertain) or nothing",
    recognise=recognise,
    read=read,
    uncertain=UNCERTAIN,
    notes="several findings in a row need data.target; an uncertain finding is in neither class",
)
