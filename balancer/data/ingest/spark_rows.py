"""What travels between the executors and the driver of Spark, as Arrow."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np

from balancer.data.film.examine import Examined, Seen
from balancer.data.ingest.journal import as_row, from_row
from balancer.data.ingest.look import Look
from balancer.data.ingest.passes import Store
from balancer.data.io import Pixels

if TYPE_CHECKING:
    import pyarrow

_PER_BATCH = 32
"""Rows that an executor holds before it sends them."""


def schema(sizes: Sequence[int]) -> str:
    """Columns of a row per file: its place in the scan, what was seen, thumbnail and pixels."""
    columns = "".join(f", pixels_{size} binary" for size in sizes)
    return f"place long, row string, thumbnail binary{columns}"


def as_batches(
    looked: Iterable[tuple[int, Seen, Mapping[int, Pixels]]], look: Look
) -> Iterator["pyarrow.RecordBatch"]:
    """Pack what an executor saw.

    Args:
        looked: Place in the scan, what was seen there, and pixels by side.
        look: How it was looked at.
    """
    import pyarrow

    rows = (_packed(place, seen, squares, look.sizes) for place, seen, squares in looked)
    while part := list(islice(rows, _PER_BATCH)):
        yield pyarrow.RecordBatch.from_pylist(part)


def one_row(**values: str) -> "pyarrow.RecordBatch":
    """A row of text."""
    import pyarrow

    return pyarrow.RecordBatch.from_pylist([values])


def contents(batches: Iterable["pyarrow.RecordBatch"]) -> Iterator[tuple[str, bytes]]:
    """Path and bytes of every file of a `binaryFile` source, one in memory at a time."""
    for batch in batches:
        for path, content in zip(batch.column("path"), batch.column("content"), strict=True):
            yield path.as_py(), content.as_py()


def relative(path: str, prefix: str) -> str:
    """A path of Spark as those of a scan are: from the folder of the archive on."""
    return path.removeprefix(prefix).lstrip("/")


def stored(row: Mapping[str, Any], store: Store) -> Seen:
    """Unpack a row and put its thumbnail and pixels where the local pass puts them."""
    place, thumbnail = row["place"], np.frombuffer(row["thumbnail"], np.uint8)
    if len(thumbnail):
        thumbnail = thumbnail.reshape(store.thumbnails.shape)
        for size, rows in store.squares.items():
            rows.write(place, np.frombuffer(row[f"pixels_{size}"], np.uint8))  # or nothing
    return from_row(json.loads(row["row"]), thumbnail)


def _packed(
    place: int, seen: Seen, squares: Mapping[int, Pixels], sizes: Sequence[int]
) -> dict[str, Any]:
    result = seen.result
    pixels = [squares[size].tobytes() if size in squares else b"" for size in sizes]
    return {
        "place": place,
        "row": json.dumps(as_row(seen)),
        "thumbnail": result.thumbnail.tobytes() if isinstance(result, Examined) else b"",
        **{f"pixels_{size}": one for size, one in zip(sizes, pixels, strict=True)},
    }
