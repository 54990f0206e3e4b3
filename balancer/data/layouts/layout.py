"""What a reader of archives is."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from balancer.data.scan import Scan


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """How one kind of archive is recognised and read.

    Attributes:
        name: What `--layout` takes.
        title: The archive, or kind of archive.
        marks: What it is recognised by, for people.
        recognise: What in a folder or file shows this layout, as the end of "because it has ...";
            empty where it is another.
        read: Everything that the archive lists, paths relative to `roots.base_folder`; neither
            views nor classes are chosen here. Raises DataError.
        several: What joins findings in a label; images with several are left out, unless
            `data.classes` names the joined label. Empty where labels are single.
        tables: Names of files of which one has to be there; none where `recognise` decides.
        citation: Of the archive, in short.
        licence: As its makers state it.
        url: Where it is to be had.
        notes: What a user should know before the first run.
    """

    name: str
    title: str
    marks: str
    recognise: Callable[[Path], str]
    read: Callable[[Path], Scan]
    several: str = ""
    tables: tuple[str, ...] = ()
    citation: str = ""
    licence: str = ""
    url: str = ""
    notes: str = ""
