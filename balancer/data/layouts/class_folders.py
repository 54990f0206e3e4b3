"""A folder per class, with an optional `metadata.csv`: the simplest archive."""

import re
from collections import defaultdict
from dataclasses import replace
from pathlib import Path, PurePosixPath

from balancer.data.layouts.layout import Layout
from balancer.data.masks.find import masks_of_archive
from balancer.data.metadata import UNKNOWN, read_metadata
from balancer.data.scan import (
    METADATA_NAME,
    NESTED,
    Scan,
    class_folder_names,
    entries,
    member,
    named_like_image,
    scan_folder,
)
from balancer.errors import DataError

_NIH_NAME = re.compile(r"(\d{8})_\d{3}$")
_NEARLY_ALL = 0.95
_PARTS = {"images", "image", "data", "train", "test", "val", "valid", "validation"}
_DARKCOVID = ({"covid-19", "no_findings"}, {"covid-19", "no_findings", "pneumonia"})


def recognise(place: Path) -> str:
    """Name the class folders, if one holds images and not all are just parts of an archive."""
    names = class_folder_names(place)
    if {name.lower() for name in names} <= _PARTS:
        return ""
    if not count(place):
        return ""
    more = f" and {len(names) - 4} more" if len(names) > 4 else ""
    return f"the folders {', '.join(names[:4])}{more}"


def read(place: Path) -> Scan:
    """List the images of all class folders, with their rows of `metadata.csv`.

    Raises:
        DataError: A folder or the table cannot be used.
    """
    scan = scan_folder(place, min_classes=1)
    known = [path for path, _ in scan.files()]
    scan.metadata = read_metadata(member(place, METADATA_NAME), known)
    if not any(one.patient_id for one in scan.metadata.values()):
        _take_patients_from_names(scan)
    scan.masks = masks_of_archive(place, scan)
    return scan


def count(place: Path) -> int:
    """Count the folders that hold images, and so could be classes."""
    return sum(_holds_images(place / name) for name in class_folder_names(place))


def why_not(place: Path) -> str:
    """Return the error that prevents a listing by class folders; empty if there is none."""
    if not place.is_dir():
        return ""
    try:
        scan_folder(place, min_classes=0)
    except DataError as error:
        return str(error) if class_folder_names(place) == [] else ""
    return ""


def _holds_images(folder: Path) -> bool:
    for place in (folder, folder / NESTED):
        if place.is_dir() and any(named_like_image(entry) for entry in entries(place)):
            return True
    return False


def _take_patients_from_names(scan: Scan) -> None:
    """Read `00001234_005.png` as image 5 of NIH patient 1234, in classes of such names only."""
    names: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for path, label in scan.files():
        match = _NIH_NAME.match(PurePosixPath(path).stem)
        names[label].append((path, match[1] if match else ""))
    for files in names.values():
        if sum(bool(patient) for _, patient in files) < _NEARLY_ALL * len(files):
            continue
        for path, patient in files:
            scan.metadata[path] = replace(scan.metadata.get(path, UNKNOWN), patient_id=patient)


LAYOUT = Layout(
    name="class-folders",
    title="Any folder per class, with metadata.csv or without",
    marks="folders of PNG or JPEG files",
    recognise=recognise,
    read=read,
    notes="names such as 00001234_005.png give the patient if a class has no other names",
)


def _recognise_darkcovid(place: Path) -> str:
    names = class_folder_names(place)
    if {name.lower() for name in names} not in _DARKCOVID:
        return ""
    return f"the class folders {', '.join(names)} of the DarkCovidNet repository"


DARKCOVIDNET = Layout(
    name="darkcovidnet",
    title="DarkCovidNet's images (Covid-19, No_findings, Pneumonia)",
    marks="class folders of these three names, or of the first two",
    recognise=_recognise_darkcovid,
    read=read,
    citation=(
        "Ozturk et al. 2020, Comput. Biol. Med. 121:103792, doi:10.1016/j.compbiomed.2020.103792"
    ),
    licence="none stated; the images are from Cohen's collection and NIH ChestX-ray8",
    url="https://github.com/muhammedtalo/COVID-19",
    notes="NIH file names give the patients of two classes; those of Covid-19 need Cohen's table",
)
