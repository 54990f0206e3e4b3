"""A folder per class of DICOM files, at any depth."""

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from balancer.data.dicom import MAGIC_PLACE, is_dicom, read_headers
from balancer.data.layouts.files import DICOM_SUFFIXES
from balancer.data.layouts.layout import Layout
from balancer.data.metadata import UNKNOWN, read_metadata
from balancer.data.scan import (
    METADATA_NAME,
    Scan,
    class_folder_names,
    entries,
    named_like_image,
    scan_folder,
)

_PROBED = 200
"""Number of files of a class folder that are probed for DICOM."""


def recognise(place: Path) -> str:
    """Name the first DICOM file, if no class folder holds other images."""
    first = ""
    for name in class_folder_names(place):
        for entry in _files(place / name)[:_PROBED]:
            if named_like_image(entry):
                return ""
            if not first and is_dicom_entry(entry):
                first = f"{name}/{entry.name}"
    return f"DICOM files such as {first}" if first else ""


def read(place: Path) -> Scan:
    """Read all DICOM files below the class folders; patients from `metadata.csv` or the tags.

    Raises:
        DataError: A folder or the table cannot be used.
        EnvironmentFault: The extra is not installed.
    """
    scan = scan_folder(place, min_classes=1, is_image=is_dicom_entry, deep=True)
    known = [path for path, _ in scan.files()]
    scan.metadata = read_metadata(place / METADATA_NAME, known)
    note_headers(place, scan, [image.path for image in scan.images], patients=True)
    return scan


def note_headers(place: Path, scan: Scan, paths: Sequence[str], *, patients: bool) -> None:
    """Fill gaps in the metadata from the tags of DICOM files.

    Args:
        place: Folder of the archive.
        scan: Scan whose metadata is filled.
        paths: Paths to the DICOM files, relative to `place`.
        patients: Read patients from the tag PatientID; an id that all files share is a
            placeholder.
    """
    headers = read_headers([place / path for path in paths])
    take = patients and len({header.patient for header in headers} - {""}) > 1
    for path, header in zip(paths, headers, strict=True):
        known = scan.metadata.get(path, UNKNOWN)
        scan.metadata[path] = replace(
            known,
            patient_id=known.patient_id or (header.patient if take else ""),
            view=known.view or header.view,
        )


def is_dicom_entry(entry: os.DirEntry[str]) -> bool:
    """Decide whether a file is DICOM by its name, or by its content if the name is no help."""
    suffix = Path(entry.name).suffix.lower()
    if suffix in DICOM_SUFFIXES:
        return True
    # Devices name files IM0001 or by a UID, which ends in a number like a suffix.
    if suffix and not suffix[1:].isdigit():
        return False
    try:
        with open(entry.path, "rb") as file:  # noqa: PTH123  # entries have no open()
            return entry.is_file() and is_dicom(file.read(MAGIC_PLACE + 4))
    except OSError:
        return False


def _files(folder: Path) -> list[os.DirEntry[str]]:
    """List the files of a folder, or of its first folder, and so on down, that has any."""
    for _ in range(8):
        found = [entry for entry in entries(folder) if not entry.name.startswith(".")]
        files = [entry for entry in found if entry.is_file()]
        folders = [entry for entry in found if entry.is_dir(follow_symlinks=False)]
        if files or not folders:
            return files
        folder = Path(folders[0].path)
    return []


LAYOUT = Layout(
    name="dicom-folders",
    title="A folder per class of DICOM files, at any depth",
    marks="DICOM files in class folders, and no PNG or JPEG",
    recognise=recognise,
    read=read,
    notes="needs the extra [dicom]; no text of a tag is stored, patients only as hashes",
)
