"""Read the optional `metadata.csv` beside the class folders."""

import csv
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from balancer.data.columns import PATIENT, group_columns, patient_columns, rename_hint, unit_column
from balancer.data.tables import MOST_ROWS, bounded, refuse_large
from balancer.errors import DataError

_OPTIONAL = ("patient_id", "source", "view")
SUBGROUP_COLUMNS = ("sex", "age", "scanner")
"""Further columns that are kept where a table has them, in any case."""
FINDING = "finding:"
"""Beginning of the names of columns that say which other findings an image has."""


@dataclass(frozen=True, slots=True)
class ImageMetadata:
    """Metadata of one image; empty where unknown.

    Patient ids never reach a log, a message or an output: see `grouping.group_images`.

    Attributes:
        patient_id: Name of the patient.
        source: Where the image is from.
        view: Such as PA, AP or L.
        columns: Other columns of the table, name to cell; `prepare` keeps those of subgroups alone.
        unit: Kind and name of the lesion, slide or specimen that the image shows, such as
            `slide:S12`; images of one stay in one split.
    """

    patient_id: str = ""
    source: str = ""
    view: str = ""
    columns: Mapping[str, str] = field(default_factory=dict, repr=False, hash=False)
    unit: str = field(default="", repr=False)


UNKNOWN = ImageMetadata()
_EMPTY = {"nan", "na", "n/a", "<na>", "none", "null"}
"""Words that programs write into empty cells."""
_NO_PATIENT = {
    *("", "nan", "na", "none", "null", "nil", "unknown", "unk", "notknown", "notavailable"),
    *("missing", "undefined", "empty", "tbd", "todo", "anonymous", "anonymized", "anonymised"),
    *("anon", "deidentified", "removed", "redacted", "noname", "unnamed", "nopatient", "patient"),
    *("patientid", "anonymouspatient", "anonpatient", "dummy", "default"),
}
"""Placeholders of patients, without case and punctuation; they would join strangers."""


def cell_text(written: str) -> str:
    """Return the text of a cell of a table; empty where it means nothing."""
    text = written.strip()
    return "" if text.lower() in _EMPTY else text


def patient_text(written: str) -> str:
    """Return the id of a patient; empty for a placeholder, in a table as in a tag.

    A lone `0` stays, since it may be the first of patients that are numbered; `set_patients`
    decides by its images. A number that a program wrote as `12.0` is `12`.

    >>> [patient_text(one) for one in ("P7", "12.0", "000", "Unknown", "-", "-1", "xxx", "N/A")]
    ['P7', '12', '', '', '', '', '', '']
    """
    text = written.strip()
    if text.endswith(".0") and text[:-2].isdigit():
        text = text[:-2]
    plain = "".join(letter for letter in text.lower() if letter.isalnum())
    empty = plain in _NO_PATIENT or text == "-1" or (set(plain) <= {"0"} and text != "0")
    return "" if empty or set(plain) == {"x"} else text


def read_metadata(
    path: Path, images: Iterable[str], notes: list[str] | None = None
) -> dict[str, ImageMetadata]:
    """Read the table, where there is one.

    Args:
        path: The CSV file; columns `path` (required), `patient_id` or another usual name of it,
            `source`, `view`; others are ignored. A byte-order mark and Windows line ends are
            accepted.
        images: Relative POSIX paths of the images that exist.
        notes: Sentences on columns of patients with other names are added to it.

    Returns:
        Relative path of an image to its metadata; images without a row are absent.

    Raises:
        DataError: A row does not fit; its number (the header is 1) is in the message.
    """
    if not path.is_file():
        return {}
    known = _by_any_form(images)
    table: dict[str, ImageMetadata] = {}
    header, rows = read_rows(path)
    columns = _columns(path, header)
    patients = patient_columns(header)
    if patients and patients[0] != PATIENT:
        columns[PATIENT] = header.index(patients[0])
    if notes is not None:
        notes += patient_notes(path.name, header)
    for number, row in rows:
        if len(row) != len(header):
            raise DataError(
                f"{path}, row {number}, should have {len(header)} cells like the header but has "
                f"{len(row)}; mend the row."
            )
        cells = {name: cell_text(row[place]) for name, place in columns.items()}
        cells[PATIENT] = patient_text(cells.get(PATIENT, ""))
        written = row[columns["path"]]
        image = known.get(_plain(written)) or known.get(_normal(_plain(written)))
        if image is None:
            raise DataError(
                f"{path}, row {number}, should name an image of a class folder, such as "
                f"COVID/1.png, but {written!r} is none; correct or remove the row."
            )
        if image in table:
            raise DataError(
                f"{path}, row {number}, names {written!r} a second time; keep one row per image."
            )
        further = dict(zip(header, row, strict=True))
        table[image] = ImageMetadata(
            **{name: cells.get(name, "") for name in _OPTIONAL},
            columns=other_columns(further),
            unit=unit_of(further),
        )
    return table


def other_columns(
    row: Mapping[str, str], known: Sequence[str] = ("path", *_OPTIONAL)
) -> dict[str, str]:
    """Return the cells of a row that are no known facts; names of subgroups in lower case.

    Args:
        row: Column to cell.
        known: Columns that are read as something else, beside that of `unit_of`.
    """
    _, unit = unit_column(tuple(row))
    return {
        name.lower() if name.lower() in SUBGROUP_COLUMNS else name: cell_text(cell)
        for name, cell in row.items()
        if name and name != unit and name not in known
    }


def unit_of(row: Mapping[str, str]) -> str:
    """Return the lesion, slide or specimen of a row, such as `slide:S12`; empty where unknown.

    Args:
        row: Column to cell.
    """
    kind, column = unit_column(tuple(row))
    name = patient_text(row.get(column, ""))
    return f"{kind}:{name}" if kind and name else ""


def patient_notes(table: str, header: Sequence[str]) -> list[str]:
    """Return what is said of the columns of a table that name patients, or other groups of images.

    Args:
        table: Name of the table.
        header: Its columns; the surest of those of patients is read.
    """
    notes = []
    patients = patient_columns(header)
    if patients and patients[0] != PATIENT:
        notes.append(f"{table}: the column {patients[0]!r} is read as {PATIENT}.")
    notes += [
        f"{table}: the column {name!r} is not read; rename it to {PATIENT} if it, and not "
        f"{patients[0]!r}, names the patients."
        for name in patients[1:]
    ]
    kind, unit = unit_column(tuple(header))
    if unit:
        notes.append(f"{table}: images of one {kind} stay in one split, by the column {unit!r}.")
    if not patients and not unit:
        notes += [
            f"{table}: the column {name!r} is not read; rename it to {PATIENT} to keep its images "
            "in one split."
            for name in group_columns(header)
        ]
    return notes


def read_rows(
    path: Path, *, encodings: Sequence[str] = ("utf-8-sig",)
) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """Read a CSV table.

    Args:
        path: The file.
        encodings: Encodings to try, in order.

    Returns:
        The stripped header, and the other rows that are not blank with their numbers, the header
        being row 1.

    Raises:
        DataError: It is no CSV table in one of the encodings, is empty, or has too many rows.
    """
    for encoding in encodings:
        number = 1
        rows: list[tuple[int, list[str]]] = []
        try:
            refuse_large(path, path.stat().st_size)
            with path.open(encoding=encoding, newline="") as file:
                table = bounded(path, csv.reader(file, strict=True), MOST_ROWS)
                for number, row in enumerate(table, 1):
                    if any(cell.strip() for cell in row):
                        rows.append((number, row))
        except UnicodeDecodeError:
            continue
        except (OSError, csv.Error) as error:
            raise DataError(
                f"{path} should be a CSV table, but near row {number}: {error}."
            ) from None
        if not rows:
            raise DataError(f"{path} should have a header with the column path, but is empty.")
        header = [cell.strip() for cell in rows[0][1]]
        if len(header) == 1 and ";" in header[0]:
            raise DataError(
                f"{path}, row 1, should separate its columns by commas but uses semicolons; "
                "save it as comma-separated CSV."
            )
        return header, rows[1:]
    raise DataError(f"{path} should be UTF-8 text but is not; save it as UTF-8 CSV.")


def _columns(path: Path, header: list[str]) -> dict[str, int]:
    if "" in header or len(set(header)) != len(header):
        raise DataError(
            f"{path}, row 1, should name every column once, but has "
            f"{', '.join(map(repr, header))}; remove trailing commas and double names."
        )
    if "path" not in header:
        advice = rename_hint(header, ["path"]) or "add it"
        raise DataError(
            f"{path}, row 1, should have the column path, but has {', '.join(header)}; "
            f"{advice}, with entries such as COVID/1.png."
        )
    return {name: header.index(name) for name in ("path", *_OPTIONAL) if name in header}


def _by_any_form(images: Iterable[str]) -> dict[str, str]:
    """Accept a name in another Unicode form, unless a file of that exact name exists too."""
    exact = {image: image for image in images}
    return {_normal(image): image for image in exact} | exact


def _plain(written: str) -> str:
    return PurePosixPath(written).as_posix()  # `./COVID/1.png` is `COVID/1.png`


def _normal(path: str) -> str:
    return unicodedata.normalize("NFC", path)
