"""Rows that Spark's executors and driver exchange, as Arrow."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np

from balancer.data.film.examine import Examined, FileResult, thumbnails_of
from balancer.data.ingest.journal import as_row, from_row
from balancer.data.ingest.passes import Store
from balancer.data.ingest.reader import FileReader
from balancer.data.io import Pixels

if TYPE_CHECKING:
    import pyarrow

_PER_BATCH = 32
"""Number of rows that an executor collects before it sends them."""


def schema(sizes: Sequence[int]) -> str:
    """Return the columns of a row: position in the scan, result, thumbnail and pixels."""
    columns = "".join(f", pixels_{size} binary" for size in sizes)
    return f"place long, row string, thumbnail binary{columns}"


def as_batches(
    results: Iterable[tuple[int, FileResult, Mapping[int, Pixels]]], reader: FileReader
) -> Iterator["pyarrow.RecordBatch"]:
    """Pack the results of an executor.

    Args:
        results: Position in the scan, result, and pixels by side.
        reader: Reader that made them.
    """
    import pyarrow

    rows = (_packed(place, result, squares, reader.sizes) for place, result, squares in results)
    while part := list(islice(rows, _PER_BATCH)):
        yield pyarrow.RecordBatch.from_pylist(part)


def one_row(**values: str) -> "pyarrow.RecordBatch":
    """Make a row of text."""
    import pyarrow

    return pyarrow.RecordBatch.from_pylist([values])


def contents(batches: Iterable["pyarrow.RecordBatch"]) -> Iterator[tuple[str, bytes]]:
    """Yield path and bytes of each file of a `binaryFile` source, one in memory at a time."""
    for batch in batches:
        for path, content in zip(batch.column("path"), batch.column("content"), strict=True):
            yield path.as_py(), content.as_py()


def relative(path: str, prefix: str) -> str:
    """Make a path from Spark relative to the folder of the archive, as in a scan."""
    return path.removeprefix(prefix).lstrip("/")


def unpack_row(row: Mapping[str, Any], store: Store) -> FileResult:
    """Unpack a row and write its pixels and thumbnail where the local pass writes them."""
    place, thumbnail = row["place"], np.frombuffer(row["thumbnail"], np.uint8)
    if len(thumbnail):
        store.thumbnails.write(place, thumbnail)
        for size, rows in store.squares.items():
            rows.write(place, np.frombuffer(row[f"pixels_{size}"], np.uint8))  # or nothing
    return from_row(json.loads(row["row"]), store.thumbnails.at(place))


def _packed(
    place: int, result: FileResult, squares: Mapping[int, Pixels], sizes: Sequence[int]
) -> dict[str, Any]:
    outcome = result.outcome
    pixels = [squares[size].tobytes() if size in squares else b"" for size in sizes]
    return {
        "place": place,
        "row": json.dumps(as_row(result)),
        "thumbnail": thumbnails_of([outcome]).tobytes() if isinstance(outcome, Examined) else b"",
        **{f"pixels_{size}": one for size, one in zip(sizes, pixels, strict=True)},
    }
