"""Cohen's collection and two of the same form, Actualmed and Figure 1: a `metadata.csv` each."""

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from balancer.data.class_places import METADATA_NAME
from balancer.data.entries import member
from balancer.data.layouts.files import ArchiveFiles
from balancer.data.layouts.layout import Layout
from balancer.data.layouts.match_rows import TableImage, scan_table
from balancer.data.layouts.table_rows import TableRow, columns_of, read_csv
from balancer.data.metadata import ImageMetadata, other_columns
from balancer.data.scan import Scan

WITHOUT_FINDING = "row without a finding"
_UNKNOWN_FINDINGS = ("", "todo", "unknown", "nan")
_XRAY = ("", "x-ray", "xray", "cxr", "dx", "cr")
_PERSON_OF_SEVERAL = re.compile(r"^(.*\d)[a-z]$")
_ANY_SUFFIX = ("", ".jpg", ".png", ".jpeg")
SEVERAL = ", "
_READ = ("patientid", "finding", "view", "modality", "folder", "filename", "imagename")


def leaf(finding: str) -> str:
    """Return the last level of a hierarchy of findings.

    >>> leaf("Pneumonia/Viral/COVID-19")
    'COVID-19'
    """
    return finding.rstrip("/").rpartition("/")[2].strip()


def one_person(patient: str) -> str:
    """Return patients 3a and 3b as one: in these tables, letters separate the films of a report.

    Not every table says whether two letters are two people; joined, they cannot leak.

    >>> one_person("COVID-00003b")
    'COVID-00003'
    """
    match = _PERSON_OF_SEVERAL.match(patient)
    return match[1] if match else patient


def _recognise_cohen(place: Path) -> str:
    columns = set(columns_of(member(place, METADATA_NAME)))
    if {"patientid", "finding", "filename"} <= columns:
        return "metadata.csv with the columns patientid, finding and filename"
    return ""


def _read_cohen(place: Path) -> Scan:
    rows = read_csv(member(place, METADATA_NAME), ("patientid", "finding", "filename"))
    ignored: Counter[str] = Counter()
    images = [
        _image(row, row["filename"], (row["folder"] or "images", "images", ""))
        for row in _radiographs(rows, ignored)
    ]
    return scan_table(ArchiveFiles(place), images, ignored)


def _recognise_actualmed(place: Path) -> str:
    columns = set(columns_of(member(place, METADATA_NAME)))
    if {"patientid", "finding", "imagename"} <= columns:
        return "metadata.csv with the columns patientid, finding and imagename"
    return ""


def _read_actualmed(place: Path) -> Scan:
    rows = read_csv(
        member(place, METADATA_NAME),
        ("patientid", "finding", "imagename"),
        encodings=("utf-8-sig", "latin-1"),
    )
    ignored: Counter[str] = Counter()
    images = [_image(row, row["imagename"], ("images", "")) for row in _radiographs(rows, ignored)]
    return scan_table(ArchiveFiles(place), images, ignored)


def _recognise_figure1(place: Path) -> str:
    columns = set(columns_of(member(place, METADATA_NAME)))
    if {"patientid", "finding", "view"} <= columns and not columns & {"filename", "imagename"}:
        return "metadata.csv with the columns patientid, finding and view, but no file names"
    return ""


def _read_figure1(place: Path) -> Scan:
    rows = read_csv(
        member(place, METADATA_NAME), ("patientid", "finding"), encodings=("utf-8-sig", "latin-1")
    )
    ignored: Counter[str] = Counter()
    images = [
        _image(row, row["patientid"], ("images", ""), _ANY_SUFFIX[1:])
        for row in _radiographs(rows, ignored)
    ]
    return scan_table(ArchiveFiles(place), images, ignored)


def _radiographs(rows: list[TableRow], ignored: Counter[str]) -> Iterator[TableRow]:
    """Yield rows of X-rays with a finding; the oldest tables have CT in the column of views."""
    for row in rows:
        modality = row["modality"].lower()
        if modality not in _XRAY or (not modality and row["view"].lower() == "ct"):
            ignored[f"row of the modality {row['modality'] or row['view']}"] += 1
        elif row["finding"].lower() in _UNKNOWN_FINDINGS:
            ignored[WITHOUT_FINDING] += 1
        else:
            yield row


def _image(
    row: TableRow, written: str, folders: tuple[str, ...], suffixes: tuple[str, ...] = ("",)
) -> TableImage:
    return TableImage(
        where=row.where,
        written=written,
        label=leaf(row["finding"]),
        folders=tuple(dict.fromkeys(folders)),
        suffixes=suffixes,
        known=ImageMetadata(
            patient_id=one_person(row["patientid"]),
            view=row["view"],
            columns=other_columns(row.cells, _READ),
        ),
    )


COHEN = Layout(
    name="cohen",
    title="COVID-19 Image Data Collection (Cohen)",
    marks="metadata.csv with patientid, finding, filename",
    recognise=_recognise_cohen,
    read=_read_cohen,
    several=SEVERAL,
    tables=(METADATA_NAME,),
    citation="Cohen et al. 2020, arXiv:2003.11597 and arXiv:2006.11988",
    licence="per image, in its column license; metadata CC BY-NC-SA 4.0",
    url="https://github.com/ieee8023/covid-chestxray-dataset",
    notes="dozens of findings, most of them rare: choose with data.classes",
)
ACTUALMED = Layout(
    name="actualmed",
    title="Actualmed COVID-19 Chest X-ray Dataset",
    marks="metadata.csv with patientid, finding, imagename",
    recognise=_recognise_actualmed,
    read=_read_actualmed,
    several=SEVERAL,
    tables=(METADATA_NAME,),
    citation="Chung 2020, Actualmed COVID-19 Chest X-ray Dataset Initiative (GitHub)",
    licence="for research only, by its README; no licence file",
    url="https://github.com/agchung/Actualmed-COVID-chestxray-dataset",
    notes="the view alone gives 80 % of the labels; inconclusive images have no finding",
)
FIGURE1 = Layout(
    name="figure1",
    title="Figure 1 COVID-19 Chest X-ray Dataset",
    marks="metadata.csv with patientid, finding, view; images named after patients",
    recognise=_recognise_figure1,
    read=_read_figure1,
    several=SEVERAL,
    tables=(METADATA_NAME,),
    citation="Chung 2020, Figure 1 COVID-19 Chest X-ray Dataset Initiative (GitHub)",
    licence="for research only, by its README; no licence file",
    url="https://github.com/agchung/Figure1-COVID-chestxray-dataset",
    notes="ids that differ by a final letter are one person",
)
