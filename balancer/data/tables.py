"""Bounds of tables that come with an archive, checked before they fill the memory.

The largest public archives of chest films have 0.4 million rows.
"""

import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TypeVar

from balancer.errors import DataError, EnvironmentFault

Row = TypeVar("Row")

MOST_ROWS = 1_000_000
MOST_WORKBOOK_ROWS = 200_000
"""Fewer, because reading a workbook takes 50 times as long."""
MOST_BYTES = 256 * 2**20
_MOST_COLUMNS = 200


def refuse_large(path: Path, found: int) -> None:
    """Refuse a table of more bytes, unpacked, than are read.

    Raises:
        DataError: It has more.
    """
    if found > MOST_BYTES:
        raise DataError(
            f"{path} should be a table of at most {MOST_BYTES >> 20} MiB, but has "
            f"{found / 2**20:,.0f}; keep the rows and columns that are needed, or divide the "
            "archive into several."
        )


def bounded(path: Path, rows: Iterable[Row], most: int) -> Iterator[Row]:
    """Pass rows on, up to a number of them.

    Raises:
        DataError: There are more.
    """
    for number, row in enumerate(rows):
        if number >= most:
            raise DataError(
                f"{path} should be a table of at most {most:,} rows, but has more; keep those of "
                "images, or divide the archive into several."
            )
        yield row


def workbook_rows(path: Path) -> Iterator[list[str]]:
    """Read the cells of the first sheet of an Excel workbook as stripped text.

    Raises:
        DataError: It unpacks to more bytes, or has more rows, than are read.
        EnvironmentFault: The extra [excel] is not installed.
        Exception: It is no workbook; openpyxl raises errors of many kinds.
    """
    try:
        from openpyxl import load_workbook
    except ImportError:
        raise EnvironmentFault(
            f"{path} needs the extra [excel], which is not installed: "
            "pip install 'balancer[excel]', or save the table as CSV."
        ) from None
    with path.open("rb") as file:  # else the file stays open where a row is refused
        with zipfile.ZipFile(file) as archive:
            refuse_large(path, sum(member.file_size for member in archive.infolist()))
        book = load_workbook(file, read_only=True, data_only=True)
        # A sheet may claim 16,384 columns, which each of its rows would be filled up to.
        rows = book.worksheets[0].iter_rows(max_col=_MOST_COLUMNS, values_only=True)
        for row in bounded(path, rows, MOST_WORKBOOK_ROWS):
            yield ["" if cell is None else str(cell).strip() for cell in row]
