"""Any table of paths and labels, as CSV or Parquet; its layout is called `manifest`."""

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from balancer.data.class_places import METADATA_NAME, class_folder_names
from balancer.data.columns import patient_columns
from balancer.data.formats import DICOM_SUFFIXES, IMAGE_SUFFIXES
from balancer.data.layouts import findings_table
from balancer.data.layouts.files import ArchiveFiles
from balancer.data.layouts.layout import Layout
from balancer.data.layouts.match_rows import TableImage, scan_table
from balancer.data.layouts.patient_names import take_patients_from_names
from balancer.data.layouts.table_rows import (
    TableRow,
    columns_of,
    read_csv,
    refuse_double_columns,
    require_columns,
    table_row,
)
from balancer.data.metadata import ImageMetadata, other_columns, patient_notes, read_rows, unit_of
from balancer.data.roots import TABLE_SUFFIXES, base_folder
from balancer.data.scan import Scan
from balancer.data.tables import MOST_ROWS, bounded, refuse_large
from balancer.errors import DataError, EnvironmentFault

if TYPE_CHECKING:
    from pyarrow import Array, DataType
    from pyarrow.parquet import ParquetFile

_BATCH = 2**14
_WANTED = ("path", "label")
_ONCE = (*_WANTED, "patient_id", "source", "view", "mask")
_PROBED_ROWS = 50
_PARQUET = ".parquet"
_PARQUET_MAGIC = b"PAR1"


def recognise(place: Path) -> str:
    """Name the table."""
    tables = _tables(place)
    if len(tables) != 1:
        return ""
    if place.is_file():
        return "" if findings_table.recognise(place) else "its suffix, that of a table"
    return f"the table {tables[0].name} with the columns path and label"


def read(place: Path) -> Scan:
    """Read the images of the table.

    Raises:
        DataError: There is not exactly one table, or a row does not fit.
        EnvironmentFault: The table is Parquet, and the extra is missing.
    """
    tables = _tables(place)
    if len(tables) != 1:
        found = ", ".join(table.name for table in tables) or "none"
        raise DataError(
            f"{str(place)!r} should be or hold one CSV or Parquet table with the columns path and "
            f"label, but has {found}; give the table itself to --data."
        )
    table = tables[0]
    rows = _read_parquet(table) if _is_parquet(table) else read_csv(table, _WANTED, once=_ONCE)
    images = []
    patients = patient_columns(list(rows[0].cells)) if rows else []
    for row in rows:
        if not row["path"] or not row["label"]:
            raise DataError(
                f"{row.where}, should have a path and a label, but has {row['path']!r} and "
                f"{row['label']!r}; fill or remove it."
            )
        images.append(
            TableImage(
                where=row.where,
                written=row["path"],
                label=row["label"],
                known=ImageMetadata(
                    row[patients[0]] if patients else "",
                    row["source"],
                    row["view"],
                    other_columns(row.cells, (*_ONCE, *patients)),
                    unit_of(row.cells),
                ),
                mask=row["mask"],
            )
        )
    files = ArchiveFiles(base_folder(tables[0]))
    suffixes = (*IMAGE_SUFFIXES, *DICOM_SUFFIXES)
    scan = scan_table(files, images, Counter(), suffixes=suffixes, anywhere=True)
    scan.notes += patient_notes(table.name, list(rows[0].cells) if rows else [])
    if not any(known.patient_id for known in scan.metadata.values()):
        take_patients_from_names(scan)
    return scan


def why_not(place: Path) -> str:
    """Return the error of a table that cannot be used; empty if there is none."""
    if len(tables := _tables(place)) > 1:
        return (
            f"{str(place)!r} should hold one table of paths and labels, but has "
            f"{', '.join(table.name for table in tables)}; give the one that you want to --data."
        )
    places = [place] if place.is_file() else sorted(place.iterdir()) if place.is_dir() else []
    for path in places:
        is_table = path.suffix.lower() in (".csv", ".tsv", ".tab") and path.is_file()
        if is_table and (fault := _wrong_form(path)):
            return f"{path} should be CSV text in UTF-8 with commas, but {fault}; save it as such."
    return ""


def _wrong_form(path: Path) -> str:
    """Describe a wrong encoding or separator of a table of paths and labels; else empty."""
    with path.open("rb") as file:
        head = file.read(4096)
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        text, how = head.decode("utf-16", errors="ignore"), "is in UTF-16"
    else:
        text, how = head.decode("utf-8", errors="ignore"), ""
    header = (text.splitlines() or [""])[0].lower()
    for mark, name in ((";", "semicolons"), ("\t", "tabs"), (",", "")):
        if set(_WANTED) <= {cell.strip().strip('"') for cell in header.split(mark)}:
            return how or (f"separates its columns by {name}" if name else "")
    return ""


def lists_folders(place: Path) -> bool:
    """Decide by its first rows whether the table of a folder lists files in folders beside it."""
    tables = _tables(place)
    if len(tables) != 1 or _is_parquet(tables[0]):
        return len(tables) == 1
    folders = {name.lower() for name in class_folder_names(tables[0].parent)}
    header, rows = read_rows(tables[0])
    column = [name.lower() for name in header].index("path")
    written = [row[column] for _, row in rows[:_PROBED_ROWS] if len(row) > column]
    parts = [path.strip().replace("\\", "/").removeprefix("./").split("/") for path in written]
    if any(path[0].lower() in folders for path in parts):
        return True
    files = ArchiveFiles(tables[0].parent)
    return any(len(path) == 1 and files.find_by_name(path[0]) for path in parts)


def _tables(place: Path) -> list[Path]:
    """List the tables of a folder, except `metadata.csv`, or the table itself."""
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
            f"{path} needs the extra [parquet], which is not installed: "
            "pip install 'balancer[parquet]', or save the table as CSV."
        ) from None
    try:
        text = [field.name for field in parquet.read_schema(path) if _is_text(field.type)]
        with parquet.ParquetFile(path, read_dictionary=text) as file:
            groups = (file.metadata.row_group(place) for place in range(file.num_row_groups))
            refuse_large(path, sum(group.total_byte_size for group in groups))
            names = [str(name).strip().lower() for name in file.schema_arrow.names]
            rows = list(bounded(path, _parquet_rows(path, file), MOST_ROWS))
    except (ArrowException, OSError) as error:
        reason = " ".join(str(error).split())[:200]
        raise DataError(f"{path} should be a Parquet table, but: {reason}.") from None
    require_columns(path.name, names, _WANTED)
    refuse_double_columns(path.name, names, _ONCE)
    return [
        table_row(f"{path.name}, row {number}", names, _texts(list(row.values())))
        for number, row in enumerate(rows, 1)
    ]


def _is_text(kind: "DataType") -> bool:
    from pyarrow import types

    return bool(types.is_string(kind) or types.is_large_string(kind))


def _parquet_rows(path: Path, file: "ParquetFile") -> Iterator[dict[str, object]]:
    unpacked = 0
    for batch in file.iter_batches(_BATCH):
        unpacked += sum(_unpacked_bytes(column) for column in batch.columns)
        refuse_large(path, unpacked)
        yield from batch.to_pylist()


def _unpacked_bytes(column: "Array") -> int:
    """Return the bytes of a column; one long text of its dictionary may stand in every row."""
    from pyarrow import compute, types

    if not types.is_dictionary(column.type):
        return int(column.nbytes)
    lengths = compute.binary_length(column.dictionary)
    return int(compute.sum(compute.take(lengths, column.indices)).as_py() or 0)


def _texts(values: Sequence[object]) -> list[str]:
    return ["" if value is None else str(value).strip() for value in values]


LAYOUT = Layout(
    name="manifest",
    title="Any CSV or Parquet table",
    marks="columns path and label; optional patient_id, source, view, mask",
    recognise=recognise,
    read=read,
    notes="paths are relative to the folder of the table and stay inside; Parquet needs [parquet]",
)
