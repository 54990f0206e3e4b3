"""A folder per class, with an optional `metadata.csv`: the simplest archive."""

from collections.abc import Collection
from pathlib import Path

from balancer.data.class_places import (
    METADATA_NAME,
    class_folder_names,
    class_places,
    places_with_images,
)
from balancer.data.dicom import is_dicom
from balancer.data.entries import member
from balancer.data.formats import DICOM_SUFFIXES, HEAD_BYTES, IMAGE_SUFFIXES
from balancer.data.layouts.dicom_headers import note_headers
from balancer.data.layouts.files import ArchiveFiles
from balancer.data.layouts.layout import Layout
from balancer.data.layouts.patient_names import take_patients_from_names
from balancer.data.layouts.side_tables import table_instead_of_classes, take_facts
from balancer.data.masks.find import masks_of_archive
from balancer.data.metadata import read_metadata
from balancer.data.scan import Scan, scan_folder
from balancer.errors import DataError

_DARKCOVID = ({"covid-19", "no_findings"}, {"covid-19", "no_findings", "pneumonia"})


def recognise(place: Path) -> str:
    """Name the class folders, in the archive or in parts of it, if one holds images."""
    if not places_with_images(place):
        return ""
    places = class_places(place)
    names = list(dict.fromkeys(one.label for one in places))
    parts = list(dict.fromkeys(one.part for one in places if one.part))
    more = f" and {len(names) - 4} more" if len(names) > 4 else ""
    inside = f" in the parts {', '.join(parts[:4])}" if parts else ""
    inside += f" and {len(parts) - 4} more" if len(parts) > 4 else ""
    return f"the folders {', '.join(names[:4])}{more}{inside}"


def read(place: Path, *, deep: bool = False, own_tables: Collection[Path] = ()) -> Scan:
    """List the images of all class folders, with what tables, tags and names know of them.

    Patients come from `metadata.csv`, else from the tags of DICOM files, else from another table
    beside the images, else from the names of the files.

    Args:
        place: Folder of the archive.
        deep: Read all folders inside those of the classes.
        own_tables: Tables that the layout reads itself.

    Raises:
        DataError: A folder or the table cannot be used.
        EnvironmentFault: There are DICOM files, and the extra is not installed.
    """
    scan = scan_folder(place, min_classes=1, deep=deep)
    known = [path for path, _ in scan.files()]
    scan.metadata = read_metadata(member(place, METADATA_NAME), known, scan.notes)
    dicom = [image.path for image in scan.images if _is_dicom(place, image.path)]
    if dicom:
        note_headers(place, scan, dicom, patients=True)
        _note_mixture(scan, {*dicom})
    if not any(one.patient_id for one in scan.metadata.values()):
        take_facts(place, [one.folder for one in class_places(place)], scan, own_tables)
    if not any(one.patient_id for one in scan.metadata.values()):
        take_patients_from_names(scan)
    scan.masks = masks_of_archive(place, scan)
    return scan


def count(place: Path) -> int:
    """Count the classes whose folders hold images."""
    return len({one.label for one in places_with_images(place)})


def why_not(place: Path) -> str:
    """Return the error that prevents a listing by class folders; empty if there is none."""
    if not place.is_dir():
        return ""
    try:
        scan_folder(place, min_classes=0)
    except DataError as error:
        return str(error) if class_folder_names(place) == [] else ""
    return ""


def why_table(place: Path) -> str:
    """Say that a table holds the classes in place of the folders; empty if none does."""
    if not place.is_dir():
        return ""
    if places_with_images(place):
        try:
            images = dict(scan_folder(place, min_classes=1).files())
        except DataError:
            return ""  # `read` raises it
    else:
        images = dict.fromkeys(ArchiveFiles(place).images(), "")
    return table_instead_of_classes(place, images) if images else ""


def _is_dicom(place: Path, path: str) -> bool:
    """Return whether an image is DICOM; images of other names were recognised by their content."""
    if path.lower().endswith(DICOM_SUFFIXES):
        return True
    if path.lower().endswith(IMAGE_SUFFIXES):
        return False
    try:
        with (place / path).open("rb") as file:
            return is_dicom(file.read(HEAD_BYTES))
    except OSError:
        return False


def _note_mixture(scan: Scan, dicom: set[str]) -> None:
    """Note that some images are DICOM and others not, if there are both."""
    if len(dicom) == len(scan.images):
        return
    of_label = {label: [0, 0] for label in scan.labels}
    for image in scan.images:
        of_label[image.label][image.path in dicom] += 1
    listed = "; ".join(f"{label} {of} of {of + no}" for label, (no, of) in of_label.items())
    scan.notes.append(
        f"Some images are DICOM and others are not ({listed}): a format that differs by class is a "
        "shortcut, since its windows and scaling can be recognised."
    )


LAYOUT = Layout(
    name="class-folders",
    title="Any folder per class, with metadata.csv or without",
    marks="folders of images, in the folder or in parts of it such as train and test",
    recognise=recognise,
    read=read,
    notes="folders such as train, fold_1 or images_001 are parts of the archive; names such as "
    "00001234_005.png or person12_bacteria_34.jpeg give the patient",
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
