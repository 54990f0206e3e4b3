"""Any table of paths and labels, as CSV or Parquet."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from balancer.data.layouts.files import DICOM_SUFFIXES, ArchiveFiles
from balancer.data.layouts.layout import Layout
from balancer.data.layouts.listed import ListedImage, scan_listed
from balancer.data.layouts.tables import (
    TableRow,
    columns_of,
    read_csv,
    require_columns,
    table_row,
)
from balancer.data.metadata import ImageMetadata, read_rows
from balancer.data.roots import TABLE_SUFFIXES, base_folder
from balancer.data.scan import IMAGE_SUFFIXES, METADATA_NAME, Scan, class_folder_names
from balancer.errors import DataError, EnvironmentFault

_WANTED = ("path", "label")
_LOOKED_AT = 50
_PARQUET = ".parquet"
_PARQUET_MAGIC = b"PAR1"


def recognise(place: Path) -> str:
    """Name the table."""
    tables = _tables(place)
    return f"the table {tables[0].name} with the columns path and label" if len(tables) == 1 else ""


def read(place: Path) -> Scan:
    """The images of the table.

    Raises:
        DataError: There is not one table, or a row of it does not fit.
        EnvironmentFault: A Parquet table, without the extra.
    """
    tables = _tables(place)
    if len(tables) != 1:
        found = ", ".join(table.name for table in tables) or "none"
        raise DataError(
            f"{str(place)!r} should be or hold one CSV or Parquet table with the columns path and "
            f"label, but has {found}; give the table itself to --data."
        )
    rows = _read_parquet(tables[0]) if _is_parquet(tables[0]) else read_csv(tables[0], _WANTED)
    images = []
    for row in rows:
        if not row["path"] or not row["label"]:
            raise DataError(
                f"{row.where}, should have a path and a label, but has {row['path']!r} and "
                f"{row['label']!r}; fill or remove it."
            )
        images.append(
            ListedImage(
                where=row.where,
                written=row["path"],
                label=row["label"],
                known=ImageMetadata(row["patient_id"], row["source"], row["view"]),
                mask=row["mask"],
            )
        )
    files = ArchiveFiles(base_folder(tables[0]))
    suffixes = (*IMAGE_SUFFIXES, *DICOM_SUFFIXES)
    return scan_listed(files, images, Counter(), suffixes=suffixes)


def lists_folders(place: Path) -> bool:
    """Whether the table of a folder lists files in folders beside it, by its first rows."""
    tables = _tables(place)
    if len(tables) != 1 or _is_parquet(tables[0]):
        return len(tables) == 1
    folders = {name.lower() for name in class_folder_names(tables[0].parent)}
    header, rows = read_rows(tables[0])
    column = [name.lower() for name in header].index("path")
    written = [row[column] for _, row in rows[:_LOOKED_AT] if len(row) > column]
    parts = [path.strip().replace("\\", "/").removeprefix("./").split("/") for path in written]
    return any(path[0].lower() in folders for path in parts)


def _tables(place: Path) -> list[Path]:
    """The table given, whatever its name; in a folder not `metadata.csv`, which knows folders."""
    if place.is_file():
        return [place] if place.suffix.lower() in TABLE_SUFFIXES else []
    if not place.is_dir():
        return []
    return sorted(
        path
        for path in place.iterdir()
        if path.suffix.lower() in TABLE_SUFFIXES
        and path.is_file()
        and path.name.lower() != METADATA_NAME
        and (_is_parquet(path) or set(_WANTED) <= set(columns_of(path)))
    )


def _is_parquet(path: Path) -> bool:
    return path.suffix.lower() == _PARQUET


def _read_parquet(path: Path) -> list[TableRow]:
    try:
        from pyarrow import ArrowException, parquet
    except ImportError:
        raise EnvironmentFault(
            f"{path} wants the extra [parquet], which is not installed: "
            "pip install 'balancer[parquet]', or save the table as CSV."
        ) from None
    try:
        table = parquet.read_table(path)
    except (ArrowException, OSError) as error:
        reason = " ".join(str(error).split())[:200]
        raise DataError(f"{path} should be a Parquet table, but: {reason}.") from None
    names = [str(name).strip().lower() for name in table.column_names]
    require_columns(path.name, names, _WANTED)
    return [
        table_row(f"{path.name}, row {number}", names, _texts(row.values()))
        for number, row in enumerate(table.to_pylist(), 1)
    ]


def _texts(values: Sequence[object]) -> list[str]:
    return ["" if value is None else str(value).strip() for value in values]


LAYOUT = Layout(
    name="manifest",
    title="Any CSV or Parquet table",
    marks="columns path and label; patient_id, source, view, mask where known",
    recognise=recognise,
    read=read,
    notes="paths start in the folder of the table and may not leave it; Parquet needs [parquet]",
)
