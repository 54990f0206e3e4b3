"""COVIDx: text lists of patient, file, class and source beside the images."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from balancer.data.entries import member
from balancer.data.layouts.covid_collections import one_person
from balancer.data.layouts.files import ArchiveFiles, OutsideError
from balancer.data.layouts.layout import Layout
from balancer.data.layouts.match_rows import TableImage, scan_table
from balancer.data.metadata import ImageMetadata, patient_text
from balancer.data.scan import Scan
from balancer.data.tables import refuse_large
from balancer.errors import DataError

CLASSES = ("normal", "pneumonia", "covid-19", "positive", "negative", "viral", "bacteria")
"""Labels in the lists of all releases, in lower case."""
_HEAD = 2**12
_LISTS = ("train", "val", "test")
_FOLDERS = ("", "data", "images")
_LETTERED = ("cohen", "fig1")
"""Sources whose patient ids may end in a letter."""


def recognise(place: Path) -> str:
    """Name the text lists."""
    lists = _lists(place)
    return f"the lists {', '.join(path.name for path in lists)}" if lists else ""


def read(place: Path) -> Scan:
    """Read all images of all lists.

    The authors' division into train, val and test is not used for this index.

    Raises:
        DataError: A line does not fit, or two lists give an image different classes.
    """
    files = ArchiveFiles(place)
    rows = [row for path in _lists(place) for row in _read_list(path, files)]
    return scan_table(files, rows, Counter())


def _lists(place: Path) -> list[Path]:
    if not place.is_dir():
        return []
    return sorted(
        path
        for folder in (place, member(place, "labels"))
        if folder.is_dir()
        for path in folder.iterdir()
        if path.name.lower().startswith(_LISTS)
        and path.suffix.lower() == ".txt"
        and path.is_file()  # opening a pipe would wait forever
        and _begins_as_list(path)
    )


def _begins_as_list(path: Path) -> bool:
    try:
        with path.open(encoding="utf-8-sig", errors="replace") as file:
            head = file.read(_HEAD).splitlines()
            first = next((line for line in head if line.strip()), "")
    except OSError:
        return False
    words = first.lower().split()
    return len(words) >= 3 and (words[-1] in CLASSES or words[-2] in CLASSES)


def _read_list(path: Path, files: ArchiveFiles) -> Iterator[TableImage]:
    refuse_large(path, path.stat().st_size)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise DataError(f"{path} should be UTF-8 text but is not; save it as UTF-8.") from None
    part = next(name for name in _LISTS if path.name.lower().startswith(name))
    folders = tuple(
        f"{base}/{folder}".strip("/")
        for folder in (part, *(name for name in _LISTS if name != part), "")
        for base in _FOLDERS
    )
    for number, line in enumerate(text.splitlines(), 1):
        words = line.split()
        if not words:
            continue
        where = f"{path.name}, row {number}"
        place = next((at for at in (-1, -2) if words[at:] and _is_class(words, at)), None)
        if place is None or len(words) + place < 2:
            raise DataError(
                f"{path}, row {number}, should have patient, file, class and perhaps source, such "
                f"as '3 film.png pneumonia cohen', but is {line.strip()!r:.80}; correct the row."
            )
        source = words[-1] if place == -2 else ""
        patient, written = _part(words[:place], files, folders)
        yield TableImage(
            where=where,
            written=written,
            label=words[place],
            folders=folders,
            known=ImageMetadata(patient_id=_patient(patient, source), source=source),
        )


def _is_class(words: list[str], place: int) -> bool:
    return len(words) >= -place and words[place].lower() in CLASSES


def _part(words: list[str], files: ArchiveFiles, folders: tuple[str, ...]) -> tuple[str, str]:
    """Separate patient and file by an existing file name, because both may hold spaces."""
    for start in range(len(words) - 1, 0, -1):
        written = " ".join(words[start:])
        try:
            if files.find(written, folders=folders) is not None:
                return " ".join(words[:start]), written
        except OutsideError:
            return " ".join(words[:start]), written
    return " ".join(words[:-1]), words[-1]


def _patient(patient: str, source: str) -> str:
    """Make a patient unique, because each source numbers its own."""
    patient = patient_text(patient)
    if not patient:
        return ""
    if source in _LETTERED:
        patient = one_person(patient)
    return f"{source}-{patient}" if source else patient


LAYOUT = Layout(
    name="covidx",
    title="COVIDx CXR (lists of COVID-Net)",
    marks="train*.txt, val*.txt, test*.txt with patient, file, class, source",
    recognise=recognise,
    read=read,
    citation="Wang, Lin & Wong 2020, Sci. Rep. 10:19549, doi:10.1038/s41598-020-76550-z",
    licence="as stated on its Kaggle page; the images keep the terms of their sources",
    url="https://www.kaggle.com/datasets/andyczhao/covidx-cxr2",
    notes="its own train and test lists are joined and divided anew; "
    "give lists of one release and one labelling (A or B)",
)
