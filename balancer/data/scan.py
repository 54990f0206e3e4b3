"""Find the images of a data folder: a folder per class, in an order that never changes."""

import os
import stat
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from balancer.errors import DataError

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg")
METADATA_NAME = "metadata.csv"
_OTHER_IMAGE_SUFFIXES = (
    *(".dcm", ".tif", ".tiff", ".gif", ".webp", ".bmp", ".eps", ".svg"),
    *(".jp2", ".nii", ".heic", ".avif"),
)
_QUIET_FILES = ("thumbs.db", "desktop.ini", METADATA_NAME)
# The bundled samples are a Python package, so an import leaves a __pycache__ beside their classes.
_QUIET_FOLDERS = ("__macosx", "__pycache__")
_MASKS = "masks"
# Names that a workspace uses beside those of the classes.
_TAKEN_NAMES = ("cache", "lineage.json", "manifest.csv", "rejected", "result.json")
_TAKEN_ENDINGS = (".partial", ".unfinished")
_BAD_NAME = "its name is not UTF-8, or holds a carriage return, and fits no CSV table"
_NESTED = "images"
"""Inside a class folder, as the COVID-19 Radiography Database has it beside `masks`."""


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
    """What a data folder holds.

    Attributes:
        labels: Class names, sorted.
        images: Files named like images, sorted by path.
        refused: Links that cannot be followed, sorted by path.
        ignored: Kind of other entry to its number.
    """

    labels: tuple[str, ...]
    images: list[FoundImage] = field(default_factory=list)
    refused: list[Unusable] = field(default_factory=list)
    ignored: Counter[str] = field(default_factory=Counter)


def scan_folder(root: Path, *, min_classes: int = 2) -> Scan:
    """List the images of a folder that holds one folder per class.

    Images stand in the class folder itself or in `images/` inside it; nothing deeper is read.

    Args:
        root: The folder.
        min_classes: Fewest class folders; one is enough to test on.

    Raises:
        DataError: The folder cannot be read, or holds too few classes, or a class is empty.
    """
    ignored: Counter[str] = Counter()
    folders = list(_class_folders(root, ignored))
    scan = Scan(labels=tuple(name for name, _ in folders), ignored=ignored)
    for label, folder in folders:
        before = len(scan.images) + len(scan.refused)
        _scan_class(root, label, folder, scan)
        if len(scan.images) + len(scan.refused) == before:
            raise DataError(
                f"The class folder {str(folder)!r} should hold PNG or JPEG images, directly or in "
                f"{_NESTED}/, but holds none; add images or remove the folder."
            )
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


def _class_folders(root: Path, ignored: Counter[str]) -> Iterator[tuple[str, Path]]:
    for entry in _entries(root):
        kind = _kind(entry, root)
        if entry.name.startswith(".") or entry.name.lower() in (*_QUIET_FILES, *_QUIET_FOLDERS):
            continue
        if kind == "folder" and entry.name.lower() == _MASKS:
            ignored["folder of masks"] += 1
        elif kind == "folder":
            _require_storable(entry)
            yield entry.name, Path(entry.path)
        elif kind in ("link that leaves the data folder", "broken or circular link"):
            if not _image_name(entry.name):
                raise DataError(
                    f"{entry.path!r} should be a class folder, but is a {kind}; put the images "
                    "themselves there."
                )
            ignored["image outside a class folder"] += 1
        elif _image_name(entry.name):
            ignored["image outside a class folder"] += 1
        else:
            ignored[_ignored_kind(entry.name, kind)] += 1


def _scan_class(root: Path, label: str, folder: Path, scan: Scan) -> None:
    for entry in _entries(folder):
        kind, name = _kind(entry, root), entry.name
        if name.startswith(".") or name.lower() in (*_QUIET_FILES, *_QUIET_FOLDERS, _MASKS):
            continue
        if kind == "folder" and name.lower() == _NESTED and folder.parent == root:
            _scan_class(root, label, Path(entry.path), scan)
        elif kind in ("folder", "device, pipe or socket") or not _image_name(name):
            scan.ignored[_ignored_kind(name, kind)] += 1
        else:
            path = Path(entry.path).relative_to(root).as_posix()
            if not _is_storable(path):
                printable = path.encode("utf-8", "backslashreplace").decode()
                scan.refused.append(Unusable(printable, label, _BAD_NAME))
            elif kind == "file":
                scan.images.append(FoundImage(path, label))
            else:
                scan.refused.append(Unusable(path, label, f"it is a {kind}"))


def _entries(folder: Path) -> list[os.DirEntry[str]]:
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


def _kind(entry: os.DirEntry[str], root: Path) -> str:
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


def _image_name(name: str) -> bool:
    return name.lower().endswith(IMAGE_SUFFIXES)


def _is_storable(path: str) -> bool:
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return "\r" not in path


def _require_storable(entry: os.DirEntry[str]) -> None:
    if not _is_storable(entry.name):
        raise DataError(
            f"The class folder {os.fsencode(entry.name)!r} should have a name in UTF-8 "
            "without a carriage return; rename it."
        )
    if entry.name.lower() in _TAKEN_NAMES or entry.name.lower().endswith(_TAKEN_ENDINGS):
        raise DataError(
            f"The class folder {entry.name!r} should have another name: a workspace has files of "
            "that name; rename it."
        )
