"""Tables of archives: their header in any case and order, their rows with numbers for errors."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from balancer.data.metadata import read_rows
from balancer.errors import DataError


@dataclass(frozen=True, slots=True)
class TableRow:
    """One row.

    Attributes:
        where: File name and row number, the header being row 1.
        cells: Column name, in lower case, to the stripped text.
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
    """Read a CSV table whose header may be in any case and order.

    A byte-order mark, Windows line ends, further columns and empty cells at the end of a row are
    accepted; of two columns of one name the first counts.

    Args:
        path: The file.
        wanted: Columns that it must have, in lower case.
        once: Columns that it may not have twice.
        encodings: Tried in order.

    Raises:
        DataError: It cannot be read, lacks a column or has it twice, or a row does not fit.
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
                f"{len(row)}; mend the row."
            )
        found.append(table_row(f"{path.name}, row {number}", names, cells))
    return found


def table_row(where: str, names: Sequence[str], cells: Iterable[str]) -> TableRow:
    """A row by its columns' names; the first of two equal names counts."""
    values: dict[str, str] = {}
    for name, cell in zip(names, cells, strict=False):
        values.setdefault(name, cell)
    return TableRow(where, values)


def require_columns(table: str, found: Sequence[str], wanted: Sequence[str]) -> None:
    """Stop at a table that lacks a column.

    Raises:
        DataError: One is missing.
    """
    missing = [name for name in wanted if name not in found]
    if missing:
        raise DataError(
            f"{table} should have the columns {', '.join(wanted)}, but lacks "
            f"{', '.join(missing)} among {', '.join(filter(None, found))}; add them."
        )


def refuse_double_columns(table: str, names: Sequence[str], once: Sequence[str]) -> None:
    """Stop at a table in which a column that matters stands twice.

    Raises:
        DataError: One does; which of them counts is not for a reader to guess.
    """
    double = [name for name in once if names.count(name) > 1]
    if double:
        raise DataError(
            f"{table} should have the column {double[0]} once, but has {names.count(double[0])} "
            "of that name in any case; remove or rename the others."
        )


def columns_of(path: Path, encodings: Sequence[str] = ("utf-8-sig", "latin-1")) -> list[str]:
    """Names of the columns in lower case; none where the file is no CSV table."""
    for encoding in encodings:
        try:
            with path.open(encoding=encoding, newline="") as file:
                return [cell.strip().strip('"').lower() for cell in file.readline().split(",")]
        except UnicodeDecodeError:
            continue
        except OSError:
            break
    return []
