"""Matching of the rows of an archive's tables with its files."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from balancer.data.formats import IMAGE_SUFFIXES
from balancer.data.layouts.files import ArchiveFiles, OutsideError
from balancer.data.metadata import UNKNOWN, ImageMetadata, cell_text, patient_text
from balancer.data.scan import FoundImage, Scan, Unusable
from balancer.errors import DataError

NOT_LISTED = "image that no row lists"
REPEATED = "row that repeats an image"


@dataclass(frozen=True, slots=True, kw_only=True)
class TableImage:
    """One image as a table describes it; texts are empty if unknown.

    Attributes:
        where: Table and row, for errors.
        written: Path or name of the file, as in the table.
        label: Label of the archive.
        folders: Folders that may hold the file, in order.
        suffixes: Suffixes that the name may lack, in order.
        known: Patient, source and view.
        mask: Path to its lung mask.
    """

    where: str
    written: str
    label: str
    folders: Sequence[str] = ("",)
    suffixes: Sequence[str] = ("",)
    known: ImageMetadata = UNKNOWN
    mask: str = ""


def scan_table(
    files: ArchiveFiles,
    rows: Iterable[TableImage],
    ignored: Counter[str],
    *,
    suffixes: Sequence[str] = IMAGE_SUFFIXES,
    anywhere: bool = False,
) -> Scan:
    """Match the rows of tables with files.

    Args:
        files: Files of the archive.
        rows: Rows of its tables.
        ignored: Counts of rows left out already; increased here.
        suffixes: Suffixes of files that count as images if no row lists them.
        anywhere: Find a bare name, with or without its suffix, in any folder that holds the only
            image of that name.

    Raises:
        DataError: A row leads out of the archive, contradicts the label or patient of an earlier
            row, or names a missing mask.
    """
    scan = Scan(labels=(), ignored=ignored)
    first: dict[str, TableImage] = {}
    for listed_row in rows:
        row = replace(listed_row, known=_without_placeholders(listed_row.known))
        path, reason = _locate(files, row, anywhere)
        earlier = first.setdefault(path, row)
        if earlier is not row:
            _refuse_contradiction(row, earlier)
            if not earlier.known.patient_id:
                first[path] = replace(
                    earlier, known=replace(earlier.known, patient_id=row.known.patient_id)
                )
                scan.metadata[path] = first[path].known
            ignored[REPEATED] += 1
            continue
        scan.metadata[path] = row.known
        if reason:
            scan.refused.append(Unusable(path, row.label, reason))
            continue
        scan.images.append(FoundImage(path, row.label))
        if row.mask:
            scan.masks[path] = _mask(files, row)
    listed = {*first, *scan.masks.values()}
    left = sum(path not in listed for path in files.images(suffixes))
    if left:
        ignored[NOT_LISTED] += left
    scan.images.sort(key=lambda image: image.path)
    scan.refused.sort(key=lambda file: file.path)
    scan.labels = tuple(sorted({row.label for row in first.values()}))
    return scan


def _without_placeholders(known: ImageMetadata) -> ImageMetadata:
    return replace(
        known,
        patient_id=patient_text(known.patient_id),
        source=cell_text(known.source),
        view=cell_text(known.view),
    )


def _locate(files: ArchiveFiles, row: TableImage, anywhere: bool) -> tuple[str, str]:
    """Return the path of an image, and why it cannot be used; empty if it can."""
    try:
        path = files.find(row.written, folders=row.folders, suffixes=row.suffixes)
        if path is None and anywhere:
            path = files.find_by_name(row.written)
        if path is None:
            plain = files.plain(row.written)
            missing = f"{row.folders[0]}/{plain}" if row.folders[0] else plain
            return missing, f"it is missing, though {row.where}, lists it"
    except OutsideError:
        raise DataError(
            f"{row.where}, should name a file inside {str(files.root)!r}, but "
            f"{row.written!r} leads out of it; correct or remove the row."
        ) from None
    return path, files.strange.get(path, "")


def _refuse_contradiction(row: TableImage, earlier: TableImage) -> None:
    if row.label != earlier.label:
        raise DataError(
            f"{row.where}, gives {row.written!r} the label {row.label!r}, but {earlier.where}, the "
            f"label {earlier.label!r}; keep one of the rows."
        )
    patients = {row.known.patient_id, earlier.known.patient_id} - {""}
    if len(patients) > 1:  # patient ids are not shown
        raise DataError(
            f"{row.where}, gives {row.written!r} another patient than {earlier.where}; keep the "
            "correct row."
        )


def _mask(files: ArchiveFiles, row: TableImage) -> str:
    try:
        mask = files.find(row.mask)
    except OutsideError:
        mask = None
    if mask is None or mask in files.strange:
        raise DataError(
            f"{row.where}, should name a mask inside {str(files.root)!r}, but {row.mask!r} is "
            "no file there; correct it or leave the cell empty."
        )
    return mask
