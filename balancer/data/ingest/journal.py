"""What a pass over many files has finished, so that one that was killed goes on where it was.

A line of JSON per finished chunk: its number, a key that holds the size and the times of its files,
and what was seen. A torn last line is no line. Thumbnails lie in a file of rows beside it.
"""

import dataclasses
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from balancer.data.film.examine import Examined, Seen
from balancer.data.film.facts import ImageFacts
from balancer.data.io import Pixels
from balancer.data.scan import Unusable

JOURNAL_NAME = "journal.jsonl"
_BOOT = Path("/proc/sys/kernel/random/boot_id")


class Journal:
    """Finished chunks of one pass.

    Pixels of finished chunks may still be on their way to the disk when a machine goes down, so
    a journal counts only while the system that it was begun on runs; where a system does not tell
    that, as on macOS, it never counts.

    Args:
        path: The file.
        settings: All that decides what is seen in a file, in words.
    """

    def __init__(self, path: Path, settings: str) -> None:
        boot = _BOOT.read_text().strip() if _BOOT.is_file() else ""
        self._path = path
        self._head = json.dumps({"settings": settings, "boot": boot})
        self._resumable = bool(boot)

    def read(self) -> Iterator[tuple[int, str, list[list[Any]]]]:
        """Number, key and rows of finished chunks; none where the settings were others.

        What is torn is cut off, so that `add` can go on.
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

    def add(self, chunk: int, key: str, rows: Sequence[list[Any]]) -> None:
        """Note a finished chunk."""
        line = json.dumps([chunk, key, rows], separators=(",", ":"))
        with self._path.open("ab") as file:
            file.write(f"{line}\n".encode())


def as_row(seen: Seen) -> list[Any]:
    """JSON types of all but pixels and thumbnail."""
    result = seen.result
    if isinstance(result, Unusable):
        return [seen.digest, result.path, result.label, result.reason]
    values = {name: getattr(result, name) for name in _EXAMINED}
    values["facts"] = [getattr(result.facts, name) for name in _FACTS]
    return [seen.digest, values]


def from_row(row: list[Any], thumbnail: Pixels) -> Seen:
    """Read back what `as_row` gave; the thumbnail is of no meaning for a file that is no image."""
    digest, *rest = row
    if len(rest) > 1:
        return Seen(digest, Unusable(*rest))
    values = dict(rest[0])
    values["facts"] = ImageFacts(*values["facts"])
    values["flags"] = tuple(values["flags"])
    return Seen(digest, Examined(thumbnail=thumbnail, **values))


_FACTS = [field.name for field in dataclasses.fields(ImageFacts)]
_EXAMINED = [field.name for field in dataclasses.fields(Examined) if field.name != "thumbnail"]


def _entry(line: bytes) -> tuple[int, str, list[list[Any]]] | None:
    if not line.endswith(b"\n"):
        return None
    try:
        chunk, key, rows = json.loads(line)
    except (ValueError, TypeError):
        return None
    return chunk, key, rows
