"""Entries of folders: listed in one order, links followed only where that is allowed."""

import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

from balancer.errors import NOT_OF_THE_FILE, DataError

LEAVING_LINK, BROKEN_LINK = "link that leaves the data folder", "broken or circular link"
_FORMULA = re.compile(r"[=+\-@\t\r]")
_NUMBER = re.compile(r"(?a:[-+]?[\d.,]*)")
_FOLLOWS: ContextVar[bool] = ContextVar("follows links", default=False)
"""Set while archives are listed; the listing is many small functions in one thread."""


@contextmanager
def links_followed(wanted: bool) -> Iterator[None]:
    """Follow links that leave the data folder, or not, while archives are listed."""
    token = _FOLLOWS.set(wanted)
    try:
        yield
    finally:
        _FOLLOWS.reset(token)


def follows_links() -> bool:
    """Return whether links that leave the data folder are followed at the moment."""
    return _FOLLOWS.get()


def member(folder: Path, name: str) -> Path:
    """Return an entry of a folder by its name in any case; the named path where there is none."""
    exact = folder / name
    if exact.exists() or not folder.is_dir():
        return exact
    found = (Path(entry.path) for entry in entries(folder) if entry.name.lower() == name.lower())
    return next(found, exact)


def entries(folder: Path) -> list[os.DirEntry[str]]:
    """Return the entries of a folder, sorted by name.

    Raises:
        DataError: It cannot be listed.
        OSError: The machine is at fault, such as with too many open files.
    """
    try:
        with os.scandir(folder) as entries:
            return sorted(entries, key=lambda entry: entry.name)
    except FileNotFoundError:
        found = "does not exist"
    except NotADirectoryError:
        found = "is a file"
    except OSError as error:
        if error.errno in NOT_OF_THE_FILE:
            raise
        found = f"cannot be read ({error.strerror})"
    raise DataError(
        f"{str(folder)!r} should be a folder of images per class, but {found}; "
        "check the path given to --data."
    )


def entry_kind(entry: os.DirEntry[str], root: Path) -> str:
    """Say what an entry is without opening it: opening a pipe would wait forever."""
    try:
        if entry.is_symlink() and not _FOLLOWS.get():
            target = Path(entry.path).resolve(strict=True)
            if not target.is_relative_to(root.resolve()):
                return LEAVING_LINK
        mode = entry.stat().st_mode
    except (OSError, RuntimeError):  # RuntimeError: a circular link before Python 3.13
        return BROKEN_LINK
    if stat.S_ISDIR(mode):
        return "folder"
    return "file" if stat.S_ISREG(mode) else "device, pipe or socket"


def is_file(entry: os.DirEntry[str]) -> bool:
    """Return whether an entry is a regular file, or a link to one; not where a link is broken."""
    try:
        return entry.is_file()
    except OSError:  # a circular link
        return False


def is_folder(entry: os.DirEntry[str]) -> bool:
    """Return whether an entry is a folder, or a link to one that may be followed."""
    try:
        return entry.is_dir(follow_symlinks=_FOLLOWS.get())
    except OSError:
        return False


def why_link(kind: str) -> str:
    """Return why a link of a kind is no image, and what helps."""
    advice = " (data.follow_links=true follows it; or copy the files with `cp -rL`)"
    return f"it is a {kind}{advice if kind == LEAVING_LINK else ''}"


def is_storable(path: str) -> bool:
    """Return whether a path fits a CSV table."""
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return "\r" not in path


def is_formula(text: str) -> bool:
    """Return whether a spreadsheet would take a cell of a CSV table for a formula.

    Excel and LibreOffice run what begins with `=`, `+`, `-`, `@`, a tab or a carriage return, such
    as `=cmd|' /C calc'!A0`. Texts of this kind are refused where an archive is read, and not
    escaped where a table is written: an apostrophe before them would be a part of the name for
    every other program that reads `index.csv` and `predictions.csv`, and a name of a class also
    names folders. Plain numbers such as `-1`, and a lone sign, run nothing.

    >>> [is_formula(text) for text in ("=1+1", "@SUM(A1)", "-1", "+", "COVID+")]
    [True, True, False, False, False]
    """
    return _FORMULA.match(text) is not None and _NUMBER.fullmatch(text) is None
