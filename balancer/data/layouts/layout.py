"""The interface of a layout: how a kind of archive is recognised and read."""

import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from balancer.data.scan import Scan

_WIDTH = 98
_INDENT = 4
_KEY = 14


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """Reader of one kind of archive.

    Attributes:
        name: Name for `--layout`.
        title: Name of the archive, or kind of archive.
        marks: Features by which it is recognised, in words.
        recognise: Function that returns the evidence for this layout in a folder or file, to end
            a sentence with "because of"; empty if the layout does not fit.
        read: Function that returns everything the archive lists, without a choice of views or
            classes; paths are relative to `roots.base_folder`. Raises DataError.
        several: Separator of several findings in a label; such images are left out unless
            `data.classes` names the joined label. Empty if labels are single.
        uncertain: End of a finding that may or may not be there; empty if all are certain.
        tables: Names of files of which one must exist; none if `recognise` decides.
        citation: Short citation of the archive.
        licence: Licence, as its makers state it.
        url: Address of the archive.
        notes: Advice for the first run.
    """

    name: str
    title: str
    marks: str
    recognise: Callable[[Path], str]
    read: Callable[[Path], Scan]
    several: str = ""
    uncertain: str = ""
    tables: tuple[str, ...] = ()
    citation: str = ""
    licence: str = ""
    url: str = ""
    notes: str = ""

    def describe(self) -> str:
        """Return a paragraph for `balancer prepare --list-layouts`."""
        facts = {
            "recognised by": self.marks,
            "cite": self.citation,
            "licence": self.licence,
            "from": self.url,
            "note": self.notes,
        }
        lines = [_line(key, text) for key, text in facts.items() if text]
        return "\n".join([f"{self.name}: {self.title}", *lines])


def _line(key: str, text: str) -> str:
    return textwrap.fill(
        text,
        _WIDTH,
        initial_indent=" " * _INDENT + key.ljust(_KEY),
        subsequent_indent=" " * (_INDENT + _KEY),
        break_long_words=False,
        break_on_hyphens=False,
    )
