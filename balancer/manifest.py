"""The two tables of images: `index/index.csv` (real) and `synthetic/manifest.csv` (synthetic)."""

import csv
import dataclasses
import hashlib
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, cast, get_args, get_type_hints

from balancer.errors import IntegrityError

SPLITS = ("train", "val", "test")
HELD_BACK = "held-back"
"""Split of real images that only one control arm of an ablation may train on."""
REAL, SYNTHETIC = "real", "synthetic"


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageRecord:
    """One image, real or synthetic; a row of `index.csv`.

    `path` is relative and in POSIX form: to the data folder for real images, to the folder of the
    manifest for synthetic ones. `image_id` is the SHA-256 of the file's bytes, in hex.
    """

    image_id: str
    path: str
    label: str
    group: str
    source: str
    width: int
    height: int
    split: str
    origin: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SyntheticRecord(ImageRecord):
    """One synthetic image.

    Image `seed` of `checkpoint` can be made again from these two alone; both are None, and their
    cells empty, for images that no checkpoint of ours drew.
    """

    seed: int | None
    checkpoint: str | None
    accepted: bool
    reason: str


Row = TypeVar("Row", bound=ImageRecord)


def table_bytes(records: Sequence[ImageRecord], kind: type[ImageRecord]) -> bytes:
    """Encode records as CSV (UTF-8, LF), columns in the order of the fields of `kind`."""
    names = [field.name for field in dataclasses.fields(kind)]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(names)
    for record in records:
        writer.writerow([_cell(getattr(record, name)) for name in names])
    return text.getvalue().encode()


def read_table(path: Path, kind: type[Row]) -> list[Row]:
    """Read a table that `table_bytes` wrote.

    Raises:
        IntegrityError: The columns or a value differ from what this version writes.
    """
    types = get_type_hints(kind)
    names = [field.name for field in dataclasses.fields(kind)]
    with path.open(encoding="utf-8", newline="") as file:
        rows = csv.reader(file)
        header = next(rows, [])
        if header != names:
            raise IntegrityError(
                f"{path} should have the columns {', '.join(names)} but has {', '.join(header)}; "
                "make it again with --force."
            )
        return [
            _record(path, kind, types, names, row, number) for number, row in enumerate(rows, 2)
        ]


def fingerprint(content: bytes) -> str:
    """Return the SHA-256 of the content, in hex."""
    return hashlib.sha256(content).hexdigest()


def _record(
    path: Path, kind: type[Row], types: dict[str, type], names: list[str], row: list[str], n: int
) -> Row:
    if len(row) != len(names):
        raise IntegrityError(
            f"{path}, row {n}, should have {len(names)} cells but has {len(row)}; "
            "make the table again with --force."
        )
    values = {
        name: _value(path, types[name], name, cell, n)
        for name, cell in zip(names, row, strict=True)
    }
    return kind(**cast(dict[str, Any], values))


def _value(path: Path, kind: Any, name: str, cell: str, n: int) -> object:
    options = get_args(kind)  # of `int | None`; empty for a plain type
    if options and not cell:
        return None
    type_ = options[0] if options else kind
    try:
        if type_ is bool:
            return {"true": True, "false": False}[cell]
        return type_(cell)
    except (KeyError, ValueError):
        raise IntegrityError(
            f"{path}, row {n}, column {name}, holds {cell!r}, which is no {type_.__name__}; "
            "make the table again with --force."
        ) from None


def _cell(value: object) -> str:
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)
