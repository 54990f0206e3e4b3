"""Journal of the finished chunks of a pass, so that a killed pass can be resumed.

Each finished chunk is a line of JSON: its number, a key made of the sizes and times of its files,
and the results. An incomplete last line is ignored. Thumbnails are in a row file beside it.
"""

import dataclasses
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from balancer.data.film.examine import Examined, FileResult
from balancer.data.film.facts import ImageFacts
from balancer.data.row_file import StoredRow
from balancer.data.scan import Unusable
from balancer.files import parse_json

JOURNAL_NAME = "journal.jsonl"
_BOOT = Path("/proc/sys/kernel/random/boot_id")

Row = list[Any]
"""JSON types of a `FileResult`; see `as_row`."""


class JournalEntry(NamedTuple):
    """Finished chunk.

    Attributes:
        chunk: Number of the chunk.
        key: Hash of the sizes and times of its files.
        rows: Results of its files.
    """

    chunk: int
    key: str
    rows: Sequence[Row]


class Journal:
    """Finished chunks of one pass.

    When a machine crashes, pixels of finished chunks may not be on the disk yet. So a journal is
    valid only until the next boot, and never on systems without a boot id, such as macOS.

    Args:
        path: Path to the journal.
        settings: Text of all settings that affect the results.
    """

    def __init__(self, path: Path, settings: str) -> None:
        boot = _BOOT.read_text().strip() if _BOOT.is_file() else ""
        self._path = path
        self._head = json.dumps({"settings": settings, "boot": boot})
        self._resumable = bool(boot)

    def read(self) -> Iterator[JournalEntry]:
        """Yield the finished chunks; none if the settings differ.

        An incomplete end is cut off, so that `add` can append.
        """
        whole = 0
        if self._resumable and self._path.is_file():
            with self._path.open("rb") as file:
                if file.readline() == f"{self._head}\n".encode():
                    whole = file.tell()
                    for line in file:
                        entry = _entry(line)
                        if entry is None:
                            break
                        whole += len(line)
                        yield entry
        with self._path.open("ab") as file:
            file.truncate(whole)
            if not whole:
                file.write(f"{self._head}\n".encode())

    def add(self, chunk: int, key: str, rows: Sequence[Row]) -> None:
        """Append a finished chunk."""
        line = json.dumps([chunk, key, rows], separators=(",", ":"))
        with self._path.open("ab") as file:
            file.write(f"{line}\n".encode())


def as_row(result: FileResult) -> Row:
    """Return JSON types of everything but pixels and thumbnail."""
    outcome = result.outcome
    if isinstance(outcome, Unusable):
        return [result.digest, outcome.path, outcome.label, outcome.reason]
    values = {name: getattr(outcome, name) for name in _EXAMINED}
    values["facts"] = [getattr(outcome.facts, name) for name in _FACTS]
    return [result.digest, values]


def from_row(row: Row, thumbnail: StoredRow) -> FileResult:
    """Rebuild a result from `as_row`; the thumbnail is ignored for an unusable file."""
    digest, *rest = row
    if len(rest) > 1:
        return FileResult(digest, Unusable(*rest))
    values = dict(rest[0])
    values["facts"] = ImageFacts(*values["facts"])
    values["flags"] = tuple(values["flags"])
    return FileResult(digest, Examined(thumbnail=thumbnail, **values))


_FACTS = [field.name for field in dataclasses.fields(ImageFacts)]
_EXAMINED = [field.name for field in dataclasses.fields(Examined) if field.name != "thumbnail"]


def _entry(line: bytes) -> JournalEntry | None:
    if not line.endswith(b"\n"):
        return None
    try:
        chunk, key, rows = parse_json(line)
    except (ValueError, TypeError):
        return None
    return JournalEntry(chunk, key, rows)
