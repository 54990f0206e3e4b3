"""The class folders of an archive: in its folder, or in folders that are parts of it."""

import os
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from balancer.data.entries import (
    BROKEN_LINK,
    LEAVING_LINK,
    entries,
    entry_kind,
    is_formula,
    is_storable,
    why_link,
)
from balancer.data.formats import is_image, named_like_image, unread_kind
from balancer.data.parts import is_part, parts_among
from balancer.errors import DataError

METADATA_NAME = "metadata.csv"
MASKS_FOLDER = "masks"
_MASKS = re.compile(r"(?:^|[\W_])masks?$")
OTHER_FILE = "other file"
QUIET_FILES = ("thumbs.db", "desktop.ini", METADATA_NAME)
# The bundled samples are a Python package, so an import leaves a __pycache__ beside their classes.
QUIET_FOLDERS = (
    *("__macosx", "__pycache__", "@eadir", "#recycle", "$recycle.bin"),
    *("system volume information", "lost+found"),
)
# Names that a workspace uses beside those of the classes.
_TAKEN_NAMES = ("cache", "lineage.json", "manifest.csv", "rejected", "result.json")
_TAKEN_ENDINGS = (".partial", ".unfinished")
NESTED = "images"
"""Folder in a class folder, as the COVID-19 Radiography Database has it beside `masks`."""
PARTS_DEEP = 4
"""Largest number of parts inside one another."""


@dataclass(frozen=True, slots=True)
class ClassPlace:
    """A folder with images of one class.

    Attributes:
        label: Name of the class.
        folder: The folder.
        part: Part of the archive that it is in, such as `train` or `fold_1/train`; empty: none.
    """

    label: str
    folder: Path
    part: str = ""


def class_folder_names(root: Path) -> list[str]:
    """Return the folders in a folder, quiet ones aside; none where the folder cannot be listed."""
    try:
        return [entry.name for entry in _folders(root, root, Counter())]
    except DataError:
        return []


def class_places(root: Path, ignored: Counter[str] | None = None) -> list[ClassPlace]:
    """List the class folders of an archive, in its folder or in its parts, sorted by path.

    Args:
        root: Folder of the archive.
        ignored: Counts of entries that are no class folders; increased here.

    Raises:
        DataError: A folder cannot be listed, or cannot be a class.
    """
    ignored = Counter() if ignored is None else ignored
    return _places(root, root, "", ignored)


def places_with_images(root: Path) -> list[ClassPlace]:
    """Return the class folders that hold images, directly or in `images/`.

    Images in parts inside class folders, such as `COVID/train/`, count if two folders have them:
    a single folder with parts is more likely an archive itself.
    """
    try:
        places = class_places(root)
    except DataError:
        return []
    found = [place for place in places if holds_images(place.folder, root)]
    if found:
        return found
    found = [place for place in places if holds_images(place.folder, root, in_parts=True)]
    return found if len({place.label for place in found}) > 1 else []


def holds_images(folder: Path, root: Path, *, in_parts: bool = False) -> bool:
    """Return whether a class folder has images, directly or in `images/`, or in parts inside it."""
    # Of a class folder with many files only the folders are asked for: no file is opened for it.
    inner = (
        Path(entry.path)
        for entry in entries(folder)
        if entry_kind(entry, root) == "folder" and not _is_set_aside(entry.name.lower())
    )
    for inside in (folder, *inner):
        reads = inside == folder or inside.name.lower() == NESTED
        if (reads or (in_parts and is_part(inside.name))) and any(
            is_image(entry)
            for entry in entries(inside)
            if not entry.name.startswith(".") and entry_kind(entry, root) != "folder"
        ):
            return True
    return False


def holds_masks(name: str) -> bool:
    """Return whether a folder holds masks by its name, such as `masks` or `lung masks`."""
    return _MASKS.search(name.lower()) is not None


def _places(root: Path, folder: Path, part: str, ignored: Counter[str]) -> list[ClassPlace]:
    stray = "image outside a class folder"
    if part:
        stray = f"image in {part!r}, a part of the archive, and in no class folder"
    found = _folders(folder, root, ignored, stray)
    parts = parts_among([entry.name for entry in found])
    own = [entry for entry in found if entry.name not in parts]
    nested: list[ClassPlace] = []
    for entry in found:
        inside = f"{part}/{entry.name}" if part else entry.name
        if entry.name in parts and inside.count("/") < PARTS_DEEP:
            nested += _places(root, Path(entry.path), inside, ignored)
    if nested and not part:
        # Beside parts with classes, a folder of folders is another copy, or something else.
        for entry in [
            entry for entry in own if not holds_images(Path(entry.path), root, in_parts=True)
        ]:
            own.remove(entry)
            ignored["folder without images of its own, beside parts of the archive"] += 1
    for entry in own:
        _require_storable(entry)
    places = [ClassPlace(entry.name, Path(entry.path), part) for entry in own]
    return sorted([*places, *nested], key=lambda place: place.folder.as_posix())


def _folders(
    folder: Path, root: Path, ignored: Counter[str], stray: str = ""
) -> list[os.DirEntry[str]]:
    """List the folders of a folder; count its other entries."""
    found = []
    for entry in entries(folder):
        kind, name = entry_kind(entry, root), entry.name.lower()
        if _is_quiet(name):
            continue
        if kind == "folder" and holds_masks(name):
            ignored["folder of masks"] += 1
        elif kind == "folder":
            found.append(entry)
        elif kind in (LEAVING_LINK, BROKEN_LINK):
            if not named_like_image(entry):
                raise DataError(
                    f"{entry.path!r} should be a class folder, but {why_link(kind)}; put the "
                    "images themselves there."
                )
            ignored[stray] += 1
        elif kind == "file" and is_image(entry):
            ignored[stray] += 1
        else:
            ignored[ignored_kind(entry, kind)] += 1
    return found


def _is_quiet(name: str) -> bool:
    """Return whether an entry, by its name in lower case, is passed over without a count."""
    return name.startswith(".") or name in (*QUIET_FILES, *QUIET_FOLDERS)


def _is_set_aside(name: str) -> bool:
    return _is_quiet(name) or holds_masks(name)


def ignored_kind(entry: os.DirEntry[str], kind: str) -> str:
    """Return the kind of an entry that is neither an image nor a class folder."""
    if kind != "file":
        return kind
    found = unread_kind(entry)
    return f"unsupported image format {found}" if found else OTHER_FILE


def why_no_class(name: str) -> str:
    """Return why a name cannot be that of a class, and so of folders; empty if it can."""
    if name.lower() in _TAKEN_NAMES or name.lower().endswith(_TAKEN_ENDINGS):
        return "a workspace has files of that name"
    if not is_storable(name) or set(name) & set("/\\\0\n") or name.startswith("."):
        return "it cannot be the name of a folder"
    if is_formula(name):
        return "a spreadsheet that opens a table would run it as a formula"
    return "" if name and name == name.strip() else "it is empty or ends in a space"


def _require_storable(entry: os.DirEntry[str]) -> None:
    if not is_storable(entry.name):
        raise DataError(
            f"The class folder {os.fsencode(entry.name)!r} should have a name in UTF-8 "
            "without a carriage return; rename it."
        )
    if entry.name.lower() in _TAKEN_NAMES or entry.name.lower().endswith(_TAKEN_ENDINGS):
        raise DataError(
            f"The class folder {entry.name!r} should have another name: a workspace has files of "
            "that name; rename it."
        )
