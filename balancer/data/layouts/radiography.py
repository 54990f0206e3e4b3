"""The COVID-19 Radiography Database."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

from balancer.data.class_places import METADATA_NAME
from balancer.data.entries import member
from balancer.data.layouts import class_folders
from balancer.data.layouts.layout import Layout
from balancer.data.layouts.table_rows import TableRow, require_columns, table_row
from balancer.data.metadata import UNKNOWN
from balancer.data.scan import Scan, Unusable
from balancer.data.tables import workbook_rows
from balancer.errors import DataError, EnvironmentFault

NOT_LISTED = "image that no row of its metadata.xlsx lists, kept without a source"
_ENDINGS = (".metadata.xlsx", ".matadata.xlsx")
"""The misspelling occurs in an early release."""
_WANTED = ("file name", "url")
_WITH_OWNER = ("github.com", "kaggle.com")
"""Hosts of many collections, which are named by two parts of the path."""


def recognise(place: Path) -> str:
    """Name the workbooks beside the class folders."""
    names = sorted(path.name for path in _workbooks(place))
    return f"the workbooks {', '.join(names[:4])}" if names else ""


def read(place: Path) -> Scan:
    """Read class folders with masks; the sources come from the URLs in the workbooks.

    Raises:
        DataError: A folder or a workbook cannot be used, or lists no image of its class.
    """
    scan = class_folders.read(place, own_tables=_workbooks(place))
    if member(place, METADATA_NAME).is_file():
        return scan
    known = scan.files()
    missing: list[Unusable] = []
    for workbook in sorted(_workbooks(place)):
        label = _class_of(workbook, scan.labels)
        rows = _read_workbook(workbook)
        if label is None:
            scan.ignored[f"{workbook.name}, which has no class folder"] += 1
            continue
        missing += _note_sources(scan, label, rows, known)
    scan.refused = sorted([*scan.refused, *missing], key=lambda file: file.path)
    return scan


def source_of(url: str) -> str:
    """Return the collection behind an address: its host, and for shared hosts owner and name.

    >>> source_of("https://www.kaggle.com/c/rsna-pneumonia-detection-challenge/data")
    'kaggle.com/c/rsna-pneumonia-detection-challenge'
    """
    parts = urlsplit(url if "//" in url else f"//{url}")
    host = parts.netloc.lower().removeprefix("www.")
    if not host:
        return url.strip()
    path = [part for part in parts.path.split("/") if part]
    return "/".join([host, *path[:2]]) if host in _WITH_OWNER else host


def _workbooks(place: Path) -> list[Path]:
    if not place.is_dir():
        return []
    return [
        path
        for path in place.iterdir()
        # Lock files of Excel and hidden files of macOS end like workbooks too.
        if path.name.lower().endswith(_ENDINGS)
        and not path.name.startswith(("~$", "."))
        and path.is_file()  # opening a pipe would wait forever
    ]


def _class_of(workbook: Path, labels: Sequence[str]) -> str | None:
    """Match `Lung_Opacity.metadata.xlsx` with `Lung_Opacity`, `Lung Opacity` or `lung_opacity`."""
    name = _plain(workbook.name[: -len(_ENDINGS[0])])
    return next((label for label in labels if _plain(label) == name), None)


def _note_sources(
    scan: Scan, label: str, rows: Sequence[TableRow], known: Sequence[tuple[str, str]]
) -> list[Unusable]:
    """Add the sources of a class's images; return the files that are listed but missing."""
    paths = {_plain(PurePosixPath(path).stem): path for path, its in known if its == label}
    listed: Mapping[str, TableRow] = {_plain(_stem(row["file name"])): row for row in rows}
    folder = f"{label}/images" if any("/images/" in path for path in paths.values()) else label
    for name, path in paths.items():
        row = listed.get(name)
        if row is None:
            scan.ignored[NOT_LISTED] += 1
        elif row["url"]:
            known_before = scan.metadata.get(path, UNKNOWN)
            scan.metadata[path] = replace(known_before, source=source_of(row["url"]))
    return [
        Unusable(
            f"{folder}/{_stem(row['file name'])}.{(row['format'] or 'png').lower()}",
            label,
            f"it is missing, though {row.where}, lists it",
        )
        for name, row in listed.items()
        if name and name not in paths
    ]


def _read_workbook(path: Path) -> list[TableRow]:
    try:
        rows = list(workbook_rows(path))
    except (DataError, EnvironmentFault):
        raise
    except Exception as error:  # any, on hostile bytes
        raise DataError(
            f"{path} should be an Excel workbook with the columns FILE NAME and URL, but cannot be "
            f"read ({error}); download it again or remove it."
        ) from None
    names = [cell.lower() for cell in rows[0]] if rows else []
    require_columns(path.name, names, _WANTED)
    return [
        table_row(f"{path.name}, row {number}", names, row)
        for number, row in enumerate(rows[1:], 2)
        if any(row)
    ]


def _stem(name: str) -> str:
    return name[:-4] if name.lower().endswith(".png") else name


def _plain(name: str) -> str:
    """Reduce a name to letters and digits: folder and workbook differ in case and brackets."""
    return "".join(letter for letter in name.casefold() if letter.isalnum())


LAYOUT = Layout(
    name="radiography-database",
    title="COVID-19 Radiography Database (COVID, Lung_Opacity, Normal, Viral Pneumonia)",
    marks="CLASS.metadata.xlsx beside the class folders",
    recognise=recognise,
    read=read,
    citation=(
        "Chowdhury et al. 2020, IEEE Access 8:132665, doi:10.1109/ACCESS.2020.3010287; "
        "Rahman et al. 2021, Comput. Biol. Med. 132:104319, doi:10.1016/j.compbiomed.2021.104319"
    ),
    licence="as stated on its Kaggle page; the images keep the terms of their sources",
    url="https://www.kaggle.com/datasets/tawsifurrahman/covid19-radiography-database",
    notes="patients are unknown; the source gives the class away for almost all images",
)
