"""Find the images of a data folder: a folder per class, in an order that never changes."""

import os
from collections import Counter, defaultdict
from collections.abc import Collection
from dataclasses import dataclass, field, replace
from pathlib import Path

from balancer.data.class_places import (
    MASKS_FOLDER,
    NESTED,
    OTHER_FILE,
    PARTS_DEEP,
    QUIET_FILES,
    QUIET_FOLDERS,
    ClassPlace,
    class_places,
    holds_masks,
    ignored_kind,
)
from balancer.data.entries import entries, entry_kind, is_formula, is_storable, why_link
from balancer.data.formats import READ, is_image, named_like_image
from balancer.data.metadata import FINDING, ImageMetadata
from balancer.data.parts import is_part
from balancer.errors import DataError

_BAD_NAME = "its name is not UTF-8, or holds a carriage return, and fits no CSV table"


@dataclass(frozen=True, slots=True)
class FoundImage:
    """A file that is an image by its name or content; `path` is relative, in POSIX form."""

    path: str
    label: str


@dataclass(frozen=True, slots=True)
class Unusable:
    """A file that is named like an image and cannot be one of the index."""

    path: str
    label: str
    reason: str


@dataclass(slots=True)
class Scan:
    """Content of archives.

    Attributes:
        labels: Class names, sorted.
        images: Files that are images, or listed as such, sorted by path.
        refused: Links that cannot be followed and listed files that are missing, sorted by path.
        ignored: Kind of other entry, or reason to leave an image out, to number of these.
        layout: Name of the layout that was read; of several archives, joined by ` + `.
        metadata: Path of an image to its metadata; also for files in `refused`.
        masks: Path of an image to path of its lung mask, relative to the same folder.
        unused_columns: Columns of the tables that are not used; see `keep_columns`.
        left_out: Label to reason to number of its images that are not read; `ignored` counts them
            too.
        parts: Path of an image to the part of the archive that it is in, such as `train`; absent
            where it is in none.
        notes: Sentences on how the archive was read.
        min_side: Side in pixels of the images, where all are that small; None: as is usual.
    """

    labels: tuple[str, ...]
    images: list[FoundImage] = field(default_factory=list)
    refused: list[Unusable] = field(default_factory=list)
    ignored: Counter[str] = field(default_factory=Counter)
    layout: str = "class-folders"
    metadata: dict[str, ImageMetadata] = field(default_factory=dict)
    masks: dict[str, str] = field(default_factory=dict)
    unused_columns: tuple[str, ...] = ()

    def keep_columns(self, wanted: Collection[str]) -> None:
        """Keep some of the further columns of the metadata, and note the names of the others.

        Columns of findings are always kept.

        Raises:
            DataError: A cell of a column to keep would run as a formula in a spreadsheet.
        """
        names = {name for known in self.metadata.values() for name in known.columns}
        kept = {name for name in names if name in wanted or name.startswith(FINDING)}
        self.unused_columns = tuple(sorted(names - kept))
        self.metadata = {
            path: replace(known, columns={n: c for n, c in known.columns.items() if n in kept})
            for path, known in self.metadata.items()
        }
        for path, known in self.metadata.items():
            for name, cell in known.columns.items():
                if is_formula(name) or is_formula(cell):
                    # The cell may be a patient's, so the sentence does not quote it.
                    raise DataError(
                        f"The column {name!r} of the image {path!r} should hold text that a "
                        "spreadsheet shows, but it would be run as a formula; change it in the "
                        "table of the archive."
                    )

    left_out: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    parts: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    min_side: int | None = None

    def files(self) -> list[tuple[str, str]]:
        """Yield path and label of every file, usable or refused."""
        return [
            *((image.path, image.label) for image in self.images),
            *((file.path, file.label) for file in self.refused),
        ]

    def leave_out(self, label: str, reason: str, number: int = 1) -> None:
        """Count images of a class that are not read."""
        self.ignored[reason] += number
        self.left_out[label][reason] += number


def scan_folder(root: Path, *, min_classes: int = 2, deep: bool = False) -> Scan:
    """List the images of a folder that holds one folder per class.

    Class folders are in the folder itself, or in folders that are parts of the archive. Images are
    in the class folder, or in `images/` or parts inside it; deeper folders are read only if `deep`.

    Args:
        root: The folder.
        min_classes: Least number of class folders; one is enough to test on.
        deep: Take images of all folders inside those of the classes.

    Raises:
        DataError: The folder cannot be read, or holds too few classes, or a class is empty.
    """
    ignored: Counter[str] = Counter()
    places = class_places(root, ignored)
    scan = Scan(labels=tuple(sorted({place.label for place in places})), ignored=ignored)
    others: dict[str, Counter[str]] = defaultdict(Counter)
    for place in places:
        before = scan.ignored.copy()
        _scan_class(root, place, place.folder, scan, deep)
        others[place.label] += scan.ignored - before
    counts = Counter(label for _, label in scan.files())
    for place in places:
        if not counts[place.label]:
            _refuse_empty(place.folder, others[place.label])
    if len(scan.labels) < min_classes:
        found = f"only {scan.labels[0]!r}" if scan.labels else "no folder"
        wanted = "each of two or more classes" if min_classes > 1 else "each class"
        option = "--data" if min_classes > 1 else "--external"
        raise DataError(
            f"{str(root)!r} should hold a folder of images for {wanted}, but has {found}; give the "
            f"folder above the class folders to {option}."
        )
    scan.images.sort(key=lambda image: image.path)
    scan.refused.sort(key=lambda image: image.path)
    return scan


def _refuse_empty(folder: Path, others: Counter[str]) -> None:
    found, advice = "none", "add images or remove the folder"
    if others:
        found += f", only {', '.join(f'{number} x {kind}' for kind, number in others.items())}"
        advice += ", or list files of all kinds in a table (the layout manifest)"
    raise DataError(
        f"The class folder {str(folder)!r} should hold images ({READ}), directly or in {NESTED}/, "
        f"but holds {found}; {advice}."
    )


def _scan_class(root: Path, place: ClassPlace, folder: Path, scan: Scan, deep: bool) -> None:
    label = place.label
    for entry in entries(folder):
        kind, name = entry_kind(entry, root), entry.name
        if name.startswith(".") or name.lower() in (*QUIET_FILES, *QUIET_FOLDERS, MASKS_FOLDER):
            continue
        if kind == "folder":
            _scan_inside(root, place, folder, entry, scan, deep)
        elif kind == "device, pipe or socket":
            scan.ignored[kind] += 1
        elif kind == "file" and not is_image(entry):
            reason = ignored_kind(entry, kind)
            if reason == OTHER_FILE:
                scan.ignored[f"file in the class folder {label!r} that is no image"] += 1
            else:
                scan.leave_out(label, reason)
        elif kind != "file" and not named_like_image(entry):
            scan.leave_out(label, kind)
        else:
            _add(root, place, entry, kind, scan)


def _scan_inside(
    root: Path, place: ClassPlace, folder: Path, entry: os.DirEntry[str], scan: Scan, deep: bool
) -> None:
    """Scan a folder inside that of a class, or count the images in it."""
    label = place.label
    if holds_masks(entry.name):
        scan.ignored["folder of masks"] += 1
    elif inside := _read_inside(place, folder, entry, deep):
        _scan_class(root, inside, Path(entry.path), scan, deep)
    elif number := _images_below(entry, root):
        scan.leave_out(label, f"image in a folder inside the class folder {label!r}", number)
    else:
        scan.ignored["folder"] += 1


def _add(root: Path, place: ClassPlace, entry: os.DirEntry[str], kind: str, scan: Scan) -> None:
    path = Path(entry.path).relative_to(root).as_posix()
    if not is_storable(path):
        printable = path.encode("utf-8", "backslashreplace").decode()
        scan.refused.append(Unusable(printable, place.label, _BAD_NAME))
        return
    if place.part:
        scan.parts[path] = place.part
    if kind == "file":
        scan.images.append(FoundImage(path, place.label))
    else:
        scan.refused.append(Unusable(path, place.label, why_link(kind)))


def _read_inside(
    place: ClassPlace, folder: Path, entry: os.DirEntry[str], deep: bool
) -> ClassPlace | None:
    """Return what a folder inside that of a class is; None: its images are not read."""
    if entry.name.lower() == NESTED and folder == place.folder:
        return place
    if is_part(entry.name):
        part = f"{place.part}/{entry.name}" if place.part else entry.name
        return replace(place, part=part) if part.count("/") < PARTS_DEEP else None
    return place if deep and not entry.is_symlink() else None


def _images_below(folder: os.DirEntry[str], root: Path) -> int:
    if folder.is_symlink():
        return 0
    number = 0
    for entry in entries(Path(folder.path)):
        kind = entry_kind(entry, root)
        if kind == "folder":
            number += _images_below(entry, root)
        else:
            number += named_like_image(entry) or (kind == "file" and is_image(entry))
    return number
