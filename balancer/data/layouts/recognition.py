"""All layouts, and recognition of the one that an archive has."""

import textwrap
import zipfile
from collections.abc import Sequence
from pathlib import Path

from balancer.data.audit.findings import count
from balancer.data.entries import entries, is_folder
from balancer.data.formats import is_image
from balancer.data.layouts import (
    class_folders,
    covid_collections,
    covidx,
    dicom_folders,
    findings_table,
    medmnist,
    nih,
    path_table,
    radiography,
)
from balancer.data.layouts.layout import Layout
from balancer.errors import DataError

ARCHIVES = (
    radiography.LAYOUT,
    covidx.LAYOUT,
    covid_collections.COHEN,
    covid_collections.ACTUALMED,
    covid_collections.FIGURE1,
    class_folders.DARKCOVIDNET,
    nih.RSNA,
    nih.NIH,
    medmnist.LAYOUT,
)
_GENERAL = (path_table.LAYOUT, findings_table.LAYOUT, dicom_folders.LAYOUT, class_folders.LAYOUT)
"""Layouts that are tried only if none of the archives is recognised."""
LAYOUTS = (*ARCHIVES, *_GENERAL)
_BY_FOLDER = (dicom_folders.LAYOUT, class_folders.LAYOUT)
"""Layouts that take any folder for a class, so that a table of classes must stop them."""
_LEVELS, _FOLDERS_PER_LEVEL = 2, 20
"""Number of levels below a folder, and of folders per level, that are searched for archives."""
_WIDTH = 98
OF_FOLDERS = (
    class_folders.LAYOUT,
    class_folders.DARKCOVIDNET,
    radiography.LAYOUT,
    dicom_folders.LAYOUT,
)
"""Layouts whose classes are folders, so that a class that is too small can be removed by hand."""


def layouts_of(recorded: str | None) -> list[Layout]:
    """Return the layouts that an index names; those that this version does not know are left out.

    Args:
        recorded: Names joined by ` + `, as in the metrics of an index.
    """
    known = {layout.name: layout for layout in LAYOUTS}
    names = (recorded or "").split(" + ")
    return [known[name] for name in dict.fromkeys(names) if name in known]


def recognise(place: Path) -> tuple[Layout, str]:
    """Return the layout of an archive, and the evidence for it.

    Raises:
        DataError: No layout fits, or several do.
    """
    if not place.is_file():
        entries(place)  # raises if the folder cannot be listed
    found = _recognised(place, ARCHIVES) or _recognised(place, _GENERAL)
    only_folders = [layout for layout, _ in found] == [class_folders.LAYOUT]
    # Beside a single folder of images, a table that cannot be read is the archive.
    if only_folders and class_folders.count(place) < 2 and (fault := path_table.why_not(place)):
        raise DataError(fault)
    by_folder = found and all(layout in _BY_FOLDER for layout, _ in found)
    if by_folder and (fault := class_folders.why_table(place)):
        raise DataError(fault)
    if len(found) == 1:
        return found[0]
    if not found:
        raise DataError(_unknown(place))
    both = "; ".join(f"{layout.name} because of {evidence}" for layout, evidence in found)
    raise DataError(
        f"{str(place)!r} should have one layout, but could have {len(found)} ({both}); choose one "
        "by --layout."
    )


def is_archive(place: Path) -> bool:
    """Return whether a layout describes a folder, other than as one class in its own folder."""
    found = [layout for layout, _ in _recognised(place, LAYOUTS)]
    return class_folders.count(place) > 1 if found == [class_folders.LAYOUT] else bool(found)


def layout_page() -> str:
    """Return the text of `balancer prepare --list-layouts`: all layouts, a paragraph each."""
    head = (
        "Archives that `balancer prepare --data` reads. Repeat --data to merge several; use "
        "--layout NAME if one is not recognised. See docs/layouts.md for details."
    )
    return "\n\n".join([textwrap.fill(head, _WIDTH), *(layout.describe() for layout in LAYOUTS)])


def _recognised(place: Path, layouts: Sequence[Layout]) -> list[tuple[Layout, str]]:
    found = [(layout, layout.recognise(place)) for layout in layouts]
    found = [(layout, evidence) for layout, evidence in found if evidence]
    if any(layout is dicom_folders.LAYOUT for layout, _ in found):
        # DICOM files are in class folders too; their content is the stronger evidence.
        found = [one for one in found if one[0] is not class_folders.LAYOUT]
    for one in found:
        # A table that lists the files of the folders is stronger evidence than their names.
        if one[0] is path_table.LAYOUT and (
            class_folders.count(place) < 2 or path_table.lists_folders(place)
        ):
            return [one]
        if one[0] is findings_table.LAYOUT:  # which leaves several class folders alone
            return [one]
    return found


def _unknown(place: Path) -> str:
    """Say why a folder or file is no archive, and what to give instead."""
    if place.is_file() and zipfile.is_zipfile(place) and place.suffix.lower() == ".zip":
        return (
            f"{str(place)!r} should be a folder, but is a zip file; unpack it and give the folder."
        )
    known = medmnist.why_not(place) or path_table.why_not(place)
    known = known or class_folders.why_table(place) or class_folders.why_not(place)
    if known:
        return known
    wanted = f"{str(place)!r} should be an archive with a known layout, but "
    better = _archives_below(place)
    if len(better) == 1:
        return f"{wanted}is not one itself; give {str(better[0])!r}, which looks like one."
    if better:
        named = ", ".join(repr(str(folder)) for folder in better[:4])
        more = f" and {len(better) - 4} more" if len(better) > 4 else ""
        return (
            f"{wanted}is not one itself; {named}{more} look like archives: give each that you want "
            "with its own --data to merge them."
        )
    return (
        f"{wanted}{_content(place)}; give the folder that holds the class folders or the table, or "
        "a table of paths and labels (`balancer prepare --list-layouts` shows all layouts)."
    )


def _archives_below(place: Path) -> list[Path]:
    """Find folders one or two levels down that are recognised; stop at the first such level."""
    level = [place]
    for _ in range(_LEVELS):
        level = [
            Path(entry.path)
            for folder in level
            if folder.is_dir()
            for entry in entries(folder)
            if is_folder(entry) and not entry.name.startswith(".")
        ][:_FOLDERS_PER_LEVEL]
        if better := [folder for folder in level if _recognised(folder, LAYOUTS)]:
            return better
    return []


def _content(place: Path) -> str:
    if place.is_file():
        return "is a file but not a table"
    found = entries(place)
    if not found:
        return "is empty"
    folders = sum(is_folder(entry) for entry in found)
    images = sum(is_image(entry) for entry in found if not is_folder(entry))
    counted = (count(folders, "folder"), count(images, "image"))
    return f"holds {', '.join(counted)} and {count(len(found) - folders - images, 'other file')}"
