"""Patients and views from the tags of DICOM files, for the layouts that read such files."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from balancer.data.dicom import read_headers
from balancer.data.metadata import UNKNOWN
from balancer.data.scan import Scan


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
    found = {header.patient for header in headers} - {""}
    take = patients and len(found) > 1
    if patients and len(found) == 1 and len(paths) > 1:
        scan.notes.append("One PatientID names all DICOM files that have one: it is not used.")
    for path, header in zip(paths, headers, strict=True):
        known = scan.metadata.get(path, UNKNOWN)
        scan.metadata[path] = replace(
            known,
            patient_id=known.patient_id or (header.patient if take else ""),
            view=known.view or header.view,
        )
