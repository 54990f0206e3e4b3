"""Tables of archives: header in any case and order, rows with their numbers for errors."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from balancer.data.columns import rename_hint
from balancer.data.metadata import read_rows
from balancer.errors import DataError

_LONGEST_HEADER = 2**20


@dataclass(frozen=True, slots=True)
class TableRow:
    """One row of a table.

    Attributes:
        where: File name and row number; the header is row 1.
        cells: Column name, in lower case, to stripped text.
    """

    where: str
    cells: dict[str, str]

    def __getitem__(self, name: str) -> str:
        return self.cells.get(name, "")


def read_csv(
    path: Path,
    wanted: Sequence[str],
    *,
    once: Sequence[str] = (),
    encodings: Sequence[str] = ("utf-8-sig",),
) -> list[TableRow]:
    """Read a CSV table with a header in any case and order.

    A byte-order mark, Windows line ends, more columns and empty cells at the end of a row are
    accepted; of two columns with one name the first is used.

    Args:
        path: Path to the file.
        wanted: Required columns, in lower case.
        once: Columns that must not occur twice.
        encodings: Encodings to try, in order.

    Raises:
        DataError: The file cannot be read, lacks a column or has it twice, or a row does not fit.
    """
    header, rows = read_rows(path, encodings=encodings)
    names = [name.lower() for name in header]
    require_columns(path.name, names, wanted)
    refuse_double_columns(path.name, names, once)
    found = []
    for number, row in rows:
        cells = [cell.strip() for cell in row]
        while len(cells) > len(names) and not cells[-1]:
            cells.pop()
        if len(cells) != len(names) and any(names[len(cells) :] + cells[len(names) :]):
            raise DataError(
                f"{path}, row {number}, should have {len(names)} cells like the header but has "
                f"{len(row)}; correct the row."
            )
        found.append(table_row(f"{path.name}, row {number}", names, cells))
    return found


def table_row(where: str, names: Sequence[str], cells: Iterable[str]) -> TableRow:
    """Make a row from the names of its columns; of two equal names the first is used."""
    values: dict[str, str] = {}
    for name, cell in zip(names, cells, strict=False):
        values.setdefault(name, cell)
    return TableRow(where, values)


def require_columns(table: str, found: Sequence[str], wanted: Sequence[str]) -> None:
    """Stop at a table that lacks a column.

    Raises:
        DataError: A column is missing.
    """
    missing = [name for name in wanted if name not in found]
    if missing:
        advice = rename_hint([name for name in found if name], missing) or "add them"
        raise DataError(
            f"{table} should have the columns {', '.join(wanted)}, but lacks "
            f"{', '.join(missing)} among {', '.join(filter(None, found))}; {advice}."
        )


def refuse_double_columns(table: str, names: Sequence[str], once: Sequence[str]) -> None:
    """Stop at a table that has a column twice, since the right one is unknown.

    Raises:
        DataError: A column of `once` occurs twice.
    """
    double = [name for name in once if names.count(name) > 1]
    if double:
        raise DataError(
            f"{table} should have the column {double[0]} once, but has {names.count(double[0])} "
            "of that name (in any case); remove or rename the others."
        )


def columns_of(path: Path, encodings: Sequence[str] = ("utf-8-sig", "latin-1")) -> list[str]:
    """Return the names of the columns in lower case; none if the file is no CSV table."""
    if not path.is_file():
        return []  # opening a pipe would wait forever
    for encoding in encodings:
        try:
            with path.open(encoding=encoding, newline="") as file:
                return [
                    cell.strip().strip('"').lower()
                    for cell in file.readline(_LONGEST_HEADER).split(",")
                ]
        except UnicodeDecodeError:
            continue
        except OSError:
            break
    return []
