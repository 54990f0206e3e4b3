"""A folder per class of DICOM files, at any depth."""

import os
from pathlib import Path

from balancer.data.class_places import ClassPlace, class_places
from balancer.data.entries import entries, is_file, is_folder
from balancer.data.formats import is_dicom_entry, named_like_image
from balancer.data.layouts import class_folders
from balancer.data.layouts.layout import Layout
from balancer.data.scan import Scan
from balancer.errors import DataError

_PROBED = 200
"""Number of files of a class folder that are probed for DICOM."""


def recognise(place: Path) -> str:
    """Name the first DICOM file, if no class folder holds other images."""
    first = ""
    for one in _places(place):
        for entry in _files(one.folder)[:_PROBED]:
            if named_like_image(entry):
                return ""
            if not first and is_dicom_entry(entry):
                first = Path(entry.path).relative_to(place).as_posix()
    return f"DICOM files such as {first}" if first else ""


def read(place: Path) -> Scan:
    """Read all images below the class folders; see `class_folders.read`.

    Raises:
        DataError: A folder or the table cannot be used.
        EnvironmentFault: The extra is not installed.
    """
    return class_folders.read(place, deep=True)


def _places(place: Path) -> list[ClassPlace]:
    try:
        return class_places(place)
    except DataError:
        return []


def _files(folder: Path) -> list[os.DirEntry[str]]:
    """List the files of a folder, or of its first folder, and so on down, that has any."""
    for _ in range(8):
        found = [entry for entry in entries(folder) if not entry.name.startswith(".")]
        files = [entry for entry in found if is_file(entry)]
        folders = [entry for entry in found if is_folder(entry)]
        if files or not folders:
            return files
        folder = Path(folders[0].path)
    return []


LAYOUT = Layout(
    name="dicom-folders",
    title="A folder per class of DICOM files, at any depth",
    marks="DICOM files in class folders, and no other images",
    recognise=recognise,
    read=read,
    notes="needs the extra [dicom]; no text of a tag is stored, patients only as hashes",
)
