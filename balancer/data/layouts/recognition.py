"""Which layout an archive has, or what keeps it from having one."""

import zipfile
from collections.abc import Sequence
from pathlib import Path

from balancer.data.layouts import (
    class_folders,
    covid_collections,
    covidx,
    dicom_folders,
    manifest,
    medmnist,
    nih,
    radiography,
)
from balancer.data.layouts.layout import Layout
from balancer.data.scan import entries, named_like_image
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
_GENERAL = (manifest.LAYOUT, dicom_folders.LAYOUT, class_folders.LAYOUT)
"""Asked only where none of the archives is recognised."""
LAYOUTS = (*ARCHIVES, *_GENERAL)
_LEVELS, _LOOKED_AT = 2, 20
"""How far down, and at how many folders of a level, an archive is looked for."""
OF_FOLDERS = (
    class_folders.LAYOUT,
    class_folders.DARKCOVIDNET,
    radiography.LAYOUT,
    dicom_folders.LAYOUT,
)
"""Their classes are folders, so a class that is too small can be removed by hand."""


def recognise(place: Path) -> tuple[Layout, str]:
    """The layout of an archive, and what shows it.

    Raises:
        DataError: It is of none that is known, or of several.
    """
    if not place.is_file():
        entries(place)  # says what is wrong with a place that cannot be listed
    found = _recognised(place, ARCHIVES) or _recognised(place, _GENERAL)
    only_folders = [layout for layout, _ in found] == [class_folders.LAYOUT]
    # One folder of images beside a table that cannot be read: the table is meant.
    if only_folders and class_folders.count(place) < 2 and (fault := manifest.why_not(place)):
        raise DataError(fault)
    if len(found) == 1:
        return found[0]
    if not found:
        raise DataError(_unknown(place))
    both = "; ".join(f"{layout.name} because of {evidence}" for layout, evidence in found)
    raise DataError(
        f"{str(place)!r} should be of one layout, but could be of {len(found)} ({both}); say which "
        "by --layout."
    )


def _recognised(place: Path, layouts: Sequence[Layout]) -> list[tuple[Layout, str]]:
    found = [(layout, layout.recognise(place)) for layout in layouts]
    found = [(layout, evidence) for layout, evidence in found if evidence]
    if any(layout is dicom_folders.LAYOUT for layout, _ in found):
        # DICOM files lie in class folders too; the content is the stronger sign.
        found = [one for one in found if one[0] is not class_folders.LAYOUT]
    for one in found:
        # A table that lists what lies in the folders says more than their names do.
        if one[0] is manifest.LAYOUT and (
            class_folders.count(place) < 2 or manifest.lists_folders(place)
        ):
            return [one]
    return found


def _unknown(place: Path) -> str:
    """What keeps a place from being an archive, and what to give instead."""
    if place.is_file() and zipfile.is_zipfile(place) and place.suffix.lower() == ".zip":
        return (
            f"{str(place)!r} should be a folder, but is a zip file; unpack it and give the folder."
        )
    known = medmnist.why_not(place) or manifest.why_not(place) or class_folders.why_not(place)
    if known:
        return known
    wanted = f"{str(place)!r} should be an archive of a known layout, but "
    better = _archives_below(place)
    if len(better) == 1:
        return f"{wanted}is none itself; give {str(better[0])!r}, which looks like one."
    if better:
        named = ", ".join(repr(str(folder)) for folder in better[:4])
        more = f" and {len(better) - 4} more" if len(better) > 4 else ""
        return (
            f"{wanted}is none itself; {named}{more} look like archives: give those that are "
            "wanted, each by a --data of its own, which merges them."
        )
    return (
        f"{wanted}{_held(place)}; give the folder that holds the class folders or the table, or a "
        "table of paths and labels (`balancer prepare --list-layouts` shows what is recognised)."
    )


def _archives_below(place: Path) -> list[Path]:
    """Folders one or two levels down that are recognised, the higher ones first."""
    level = [place]
    for _ in range(_LEVELS):
        level = [
            Path(entry.path)
            for folder in level
            if folder.is_dir()
            for entry in entries(folder)
            if entry.is_dir(follow_symlinks=False) and not entry.name.startswith(".")
        ][:_LOOKED_AT]
        if better := [folder for folder in level if _recognised(folder, LAYOUTS)]:
            return better
    return []


def _held(place: Path) -> str:
    if place.is_file():
        return "is one file that is no table"
    found = entries(place)
    if not found:
        return "is empty"
    folders = sum(entry.is_dir() for entry in found)
    images = sum(named_like_image(entry) for entry in found if not entry.is_dir())
    others = len(found) - folders - images
    return f"holds {folders} folders, {images} images and {others} other files"
