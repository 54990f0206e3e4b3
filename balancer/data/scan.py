"""Find the images of a data folder: a folder per class, in an order that never changes."""

import os
import stat
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from balancer.data.metadata import ImageMetadata
from balancer.errors import DataError

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg")
METADATA_NAME = "metadata.csv"
_OTHER_IMAGE_SUFFIXES = (
    *(".dcm", ".tif", ".tiff", ".gif", ".webp", ".bmp", ".eps", ".svg"),
    *(".jp2", ".nii", ".heic", ".avif"),
)
_QUIET_FILES = ("thumbs.db", "desktop.ini", METADATA_NAME)
# The bundled samples are a Python package, so an import leaves a __pycache__ beside their classes.
QUIET_FOLDERS = ("__macosx", "__pycache__")
MASKS_FOLDER = "masks"
# Names that a workspace uses beside those of the classes.
_TAKEN_NAMES = ("cache", "lineage.json", "manifest.csv", "rejected", "result.json")
_TAKEN_ENDINGS = (".partial", ".unfinished")
_BAD_NAME = "its name is not UTF-8, or holds a carriage return, and fits no CSV table"
NESTED = "images"
"""Folder in a class folder, as the COVID-19 Radiography Database has it beside `masks`."""


@dataclass(frozen=True, slots=True)
class FoundImage:
    """A file that is named like an image; `path` is relative to the data folder, POSIX form."""

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
        images: Files named like images, or listed as such, sorted by path.
        refused: Links that cannot be followed and listed files that are missing, sorted by path.
        ignored: Kind of other entry, or reason to leave an image out, to number of these.
        layout: Name of the layout that was read; of several archives, joined by ` + `.
        metadata: Path of an image to its metadata; also for files in `refused`.
        masks: Path of an image to path of its lung mask, relative to the same folder.
        unused_columns: Columns of the tables that are not used; see `keep_columns`.
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
        """Keep some of the further columns of the metadata, and note the names of the others."""
        unused = {name for known in self.metadata.values() for name in known.columns} - {*wanted}
        self.unused_columns = tuple(sorted(unused))
        self.metadata = {
            path: replace(known, columns={n: c for n, c in known.columns.items() if n in wanted})
            for path, known in self.metadata.items()
        }

    def files(self) -> list[tuple[str, str]]:
        """Yield path and label of every file, usable or refused."""
        return [
            *((image.path, image.label) for image in self.images),
            *((file.path, file.label) for file in self.refused),
        ]


IsImage = Callable[[os.DirEntry[str]], bool]


def named_like_image(entry: os.DirEntry[str]) -> bool:
    """Return whether a file has the name of a PNG or JPEG image."""
    return entry.name.lower().endswith(IMAGE_SUFFIXES)


def scan_folder(
    root: Path, *, min_classes: int = 2, is_image: IsImage = named_like_image, deep: bool = False
) -> Scan:
    """List the images of a folder that holds one folder per class.

    Images are in the class folder itself or in `images/` inside it; deeper folders are read only
    if `deep`.

    Args:
        root: The folder.
        min_classes: Least number of class folders; one is enough to test on.
        is_image: Returns whether a file is an image.
        deep: Take images of all folders inside those of the classes.

    Raises:
        DataError: The folder cannot be read, or holds too few classes, or a class is empty.
    """
    ignored: Counter[str] = Counter()
    folders = list(_class_folders(root, ignored))
    scan = Scan(labels=tuple(name for name, _ in folders), ignored=ignored)
    for label, folder in folders:
        before, others = len(scan.images) + len(scan.refused), ignored.copy()
        _scan_class(root, label, folder, scan, is_image, deep)
        if len(scan.images) + len(scan.refused) == before:
            _refuse_empty(folder, ignored - others, dicom=is_image is not named_like_image)
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


def _refuse_empty(folder: Path, others: Counter[str], *, dicom: bool) -> None:
    wanted = "DICOM files" if dicom else f"PNG or JPEG images, directly or in {NESTED}/"
    found, advice = "none", "add images or remove the folder"
    if others:
        found += f", only {', '.join(f'{number} x {kind}' for kind, number in others.items())}"
        advice += ", or list files of all kinds in a table (the layout manifest)"
    raise DataError(
        f"The class folder {str(folder)!r} should hold {wanted}, but holds {found}; {advice}."
    )


def class_folder_names(root: Path) -> list[str]:
    """Return the folders that could be classes, sorted; none where the folder cannot be listed."""
    try:
        return [name for name, _ in _class_folders(root, Counter())]
    except DataError:
        return []


def _class_folders(root: Path, ignored: Counter[str]) -> Iterator[tuple[str, Path]]:
    for entry in entries(root):
        kind = entry_kind(entry, root)
        if entry.name.startswith(".") or entry.name.lower() in (*_QUIET_FILES, *QUIET_FOLDERS):
            continue
        if kind == "folder" and entry.name.lower() == MASKS_FOLDER:
            ignored["folder of masks"] += 1
        elif kind == "folder":
            _require_storable(entry)
            yield entry.name, Path(entry.path)
        elif kind in ("link that leaves the data folder", "broken or circular link"):
            if not named_like_image(entry):
                raise DataError(
                    f"{entry.path!r} should be a class folder, but is a {kind}; put the images "
                    "themselves there."
                )
            ignored["image outside a class folder"] += 1
        elif named_like_image(entry):
            ignored["image outside a class folder"] += 1
        else:
            ignored[_ignored_kind(entry.name, kind)] += 1


def _scan_class(
    root: Path, label: str, folder: Path, scan: Scan, is_image: IsImage, deep: bool
) -> None:
    for entry in entries(folder):
        kind, name = entry_kind(entry, root), entry.name
        if name.startswith(".") or name.lower() in (*_QUIET_FILES, *QUIET_FOLDERS, MASKS_FOLDER):
            continue
        nested = name.lower() == NESTED and folder.parent == root
        if kind == "folder" and (nested or (deep and not entry.is_symlink())):
            _scan_class(root, label, Path(entry.path), scan, is_image, deep)
        elif kind == "folder" and (inside := _images_below(entry, root, is_image)):
            scan.ignored[f"image in a folder inside the class folder {label!r}"] += inside
        elif kind in ("folder", "device, pipe or socket") or not is_image(entry):
            scan.ignored[_ignored_kind(name, kind)] += 1
        else:
            path = Path(entry.path).relative_to(root).as_posix()
            if not is_storable(path):
                printable = path.encode("utf-8", "backslashreplace").decode()
                scan.refused.append(Unusable(printable, label, _BAD_NAME))
            elif kind == "file":
                scan.images.append(FoundImage(path, label))
            else:
                scan.refused.append(Unusable(path, label, f"it is a {kind}"))


def _images_below(folder: os.DirEntry[str], root: Path, is_image: IsImage) -> int:
    if folder.is_symlink():
        return 0
    number = 0
    for entry in entries(Path(folder.path)):
        if entry_kind(entry, root) == "folder":
            number += _images_below(entry, root, is_image)
        else:
            number += is_image(entry)
    return number


def member(folder: Path, name: str) -> Path:
    """Return an entry of a folder by its name in any case; the named path where there is none."""
    exact = folder / name
    if exact.exists() or not folder.is_dir():
        return exact
    found = (Path(entry.path) for entry in entries(folder) if entry.name.lower() == name.lower())
    return next(found, exact)


def entries(folder: Path) -> list[os.DirEntry[str]]:
    """Return the entries of a folder, sorted by name.

    Raises:
        DataError: It cannot be listed.
    """
    try:
        with os.scandir(folder) as entries:
            return sorted(entries, key=lambda entry: entry.name)
    except FileNotFoundError:
        found = "does not exist"
    except NotADirectoryError:
        found = "is a file"
    except OSError as error:
        found = f"cannot be read ({error.strerror})"
    raise DataError(
        f"{str(folder)!r} should be a folder of images per class, but {found}; "
        "check the path given to --data."
    )


def entry_kind(entry: os.DirEntry[str], root: Path) -> str:
    """Say what an entry is without opening it: opening a pipe would wait forever."""
    try:
        if entry.is_symlink() and not Path(entry.path).resolve(strict=True).is_relative_to(
            root.resolve()
        ):
            return "link that leaves the data folder"
        mode = entry.stat().st_mode
    except (OSError, RuntimeError):  # RuntimeError: a circular link before Python 3.13
        return "broken or circular link"
    if stat.S_ISDIR(mode):
        return "folder"
    return "file" if stat.S_ISREG(mode) else "device, pipe or socket"


def _ignored_kind(name: str, kind: str) -> str:
    if kind != "file":
        return kind
    suffix = Path(name).suffix.lower()
    if suffix in _OTHER_IMAGE_SUFFIXES:
        return f"unsupported image format {suffix}"
    return "other file"


def is_storable(path: str) -> bool:
    """Return whether a path fits a CSV table."""
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return "\r" not in path


def why_no_class(name: str) -> str:
    """Return why a name cannot be that of a class, and so of folders; empty if it can."""
    if name.lower() in _TAKEN_NAMES or name.lower().endswith(_TAKEN_ENDINGS):
        return "a workspace has files of that name"
    if not is_storable(name) or set(name) & set("/\\\0\n") or name.startswith("."):
        return "it cannot be the name of a folder"
    return "" if name and name == name.strip() else "it is empty or ends in a space"


def _require_storable(entry: os.DirEntry[str]) -> None:
    if not is_storable(entry.name):
        raise DataError(
            f"The class folder {os.fsencode(entry.name)!r} should have a name in UTF-8 "
            "without a carriage return; rename it."
        )
    if entry.name.lower() in _TAKEN_NAMES or entry.name.lower().endswith(_TAKEN_ENDINGS):
        raise DataError(
            f"The class folder {entry.name!r} should have another name: a workspace has files of "
            "that name; rename it."
        )
