"""NIH ChestX-ray14 and the RSNA Pneumonia Challenge, which uses its images."""

from collections import Counter
from pathlib import Path

from balancer.data.formats import DICOM_SUFFIXES, IMAGE_SUFFIXES
from balancer.data.layouts.dicom_headers import note_headers
from balancer.data.layouts.files import ArchiveFiles
from balancer.data.layouts.layout import Layout
from balancer.data.layouts.match_rows import TableImage, scan_table
from balancer.data.layouts.table_rows import columns_of, read_csv
from balancer.data.metadata import ImageMetadata, other_columns
from balancer.data.scan import Scan
from balancer.errors import DataError
from balancer.files import parse_json

SEVERAL = "|"
_ENTRIES = "data_entry_2017"
_FOLDERS = ("images", *(f"images_{number:03}/images" for number in range(1, 13)), "")
_NIH_COLUMNS = ("image index", "finding labels", "patient id")
_NIH_RENAMED = {"patient gender": "sex", "patient sex": "sex", "patient age": "age"}
_RSNA_LABELS, _RSNA_CLASSES = "stage_2_train_labels.csv", "stage_2_detailed_class_info.csv"
_RSNA_IMAGES = ("stage_2_train_images", "train", "images", "")
_MAPPINGS = "pneumonia-challenge-dataset-mappings_2018.json"
_NO_OPACITY = "No Lung Opacity / Not Normal"
_RSNA_NAMES = {_NO_OPACITY: "No Lung Opacity - Not Normal"}
"""A class names folders, so it must not hold a slash."""


def _recognise_nih(place: Path) -> str:
    table = _entries(place)
    return f"{table.name}" if table else ""


def _read_nih(place: Path) -> Scan:
    table = _entries(place)
    if table is None:
        raise DataError(
            f"{str(place)!r} should hold Data_Entry_2017.csv or Data_Entry_2017_v2020.csv, but has "
            "neither; give the folder above images/."
        )
    images = [
        TableImage(
            where=row.where,
            written=row["image index"],
            label=SEVERAL.join(part.strip() for part in row["finding labels"].split(SEVERAL)),
            folders=_FOLDERS,
            known=ImageMetadata(
                patient_id=row["patient id"],
                view=row["view position"],
                columns=other_columns(
                    {_NIH_RENAMED.get(name, name): cell for name, cell in row.cells.items()},
                    (*_NIH_COLUMNS, "view position"),
                ),
            ),
        )
        for row in read_csv(table, _NIH_COLUMNS)
    ]
    return scan_table(ArchiveFiles(place), images, Counter())


def _entries(place: Path) -> Path | None:
    if not place.is_dir():
        return None
    tables = sorted(
        path
        for path in place.iterdir()
        if path.name.lower().startswith(_ENTRIES)
        and path.suffix.lower() == ".csv"
        and set(_NIH_COLUMNS) <= set(columns_of(path))
    )
    return tables[-1] if tables else None  # the later release corrects the earlier one


def _recognise_rsna(place: Path) -> str:
    if {"patientid", "class"} <= set(columns_of(place / _RSNA_CLASSES)):
        return _RSNA_CLASSES
    if {"patientid", "target"} <= set(columns_of(place / _RSNA_LABELS)):
        return _RSNA_LABELS
    return ""


def _read_rsna(place: Path) -> Scan:
    labels = _rsna_classes(place) if (place / _RSNA_CLASSES).is_file() else _rsna_targets(place)
    patients = _rsna_patients(place / _MAPPINGS)
    images = [
        TableImage(
            where=where,
            written=name,
            label=label,
            folders=_RSNA_IMAGES,
            suffixes=(".dcm", ".png", ".jpg"),
            known=ImageMetadata(patient_id=patients.get(name, "")),
        )
        for name, (label, where) in labels.items()
    ]
    suffixes = (*IMAGE_SUFFIXES, *DICOM_SUFFIXES)
    scan = scan_table(ArchiveFiles(place), images, Counter(), suffixes=suffixes)
    paths = [image.path for image in scan.images if image.path.lower().endswith(DICOM_SUFFIXES)]
    if paths:
        note_headers(place, scan, paths, patients=False)  # PatientID is the image's id again
    return scan


def _rsna_classes(place: Path) -> dict[str, tuple[str, str]]:
    """Map each image to class and row; an image has a row per box, all with the same class."""
    found: dict[str, tuple[str, str]] = {}
    for row in read_csv(place / _RSNA_CLASSES, ("patientid", "class")):
        label = _RSNA_NAMES.get(row["class"], row["class"])
        first = found.setdefault(row["patientid"], (label, row.where))
        if first[0] != label:
            raise DataError(
                f"{row.where}, gives {row['patientid']!r} the class {label!r}, but {first[1]}, the "
                f"class {first[0]!r}; keep one of the rows."
            )
    return found


def _rsna_targets(place: Path) -> dict[str, tuple[str, str]]:
    found: dict[str, tuple[str, str]] = {}
    for row in read_csv(place / _RSNA_LABELS, ("patientid", "target")):
        if row["target"] not in ("0", "1"):
            raise DataError(
                f"{row.where}, should have the Target 0 or 1, but has {row['target']!r}; "
                "correct the row."
            )
        label = "Pneumonia" if row["target"] == "1" else "No Pneumonia"
        found.setdefault(row["patientid"], (label, row.where))
    return found


def _rsna_patients(path: Path) -> dict[str, str]:
    """Map each image to its NIH patient, if the RSNA's mapping is beside the tables.

    The column patientId of the tables names an image; a person has several.
    """
    if not path.is_file():
        return {}
    try:
        entries = parse_json(path.read_text(encoding="utf-8-sig"))
        return {entry["subset_img_id"]: entry["img_id"].partition("_")[0] for entry in entries}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(
            f"{path} should be the RSNA's list of subset_img_id and img_id, but: "
            f"{type(error).__name__} {error}; download it again or remove it."
        ) from None


NIH = Layout(
    name="nih-chestxray14",
    title="NIH ChestX-ray14",
    marks="Data_Entry_2017*.csv beside images/ or images_001/images/ and so on",
    recognise=_recognise_nih,
    read=_read_nih,
    several=SEVERAL,
    citation="Wang et al. 2017, CVPR, arXiv:1705.02315",
    licence="free to use with attribution to the NIH Clinical Center and a link to the download",
    url="https://nihcc.app.box.com/v/ChestXray-NIHCC",
    notes="labels were mined from reports by text search; images with several findings are left "
    "out, unless data.classes names the combination",
)
RSNA = Layout(
    name="rsna-pneumonia",
    title="RSNA Pneumonia Detection Challenge (2018)",
    marks="stage_2_detailed_class_info.csv, stage_2_train_labels.csv",
    recognise=_recognise_rsna,
    read=_read_rsna,
    tables=(_RSNA_CLASSES, _RSNA_LABELS),
    citation="Shih et al. 2019, Radiol. Artif. Intell. 1(1):e180041, doi:10.1148/ryai.2019180041",
    licence="competition rules of Kaggle: academic and other non-commercial use",
    url="https://www.kaggle.com/c/rsna-pneumonia-detection-challenge",
    notes="DICOM: needs the extra [dicom]; its patientId names an image, patients are known only "
    f"with {_MAPPINGS}",
)
