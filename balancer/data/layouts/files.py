"""The files of an archive, found once, and the ways in which tables name them."""

import os
import re
import unicodedata
from collections.abc import Sequence
from pathlib import Path

from balancer.data.scan import (
    IMAGE_SUFFIXES,
    MASKS_FOLDER,
    QUIET_FOLDERS,
    entries,
    entry_kind,
    is_storable,
)

DICOM_SUFFIXES = (".dcm", ".dicom")
_DRIVE = re.compile(r"^[A-Za-z]:")


class OutsideError(ValueError):
    """A path that leads out of its archive."""


class ArchiveFiles:
    """All files below a folder; links are taken only where they stay inside.

    Attributes:
        root: The folder.
        paths: Relative POSIX paths of the files, sorted.
        strange: Path of a link that cannot be followed to why not.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.paths: list[str] = []
        self.strange: dict[str, str] = {}
        self._walk(root)
        self.paths.sort()
        self._exact = {*self.paths, *self.strange}
        self._alike = {_alike(path): path for path in sorted(self._exact, reverse=True)}

    def find(
        self, written: str, *, folders: Sequence[str] = ("",), suffixes: Sequence[str] = ("",)
    ) -> str | None:
        """The file that a table means: as written, else in another case, slash or Unicode form.

        Args:
            written: Path or name.
            folders: Where it may lie, in order.
            suffixes: What may be missing at its end, in order.

        Raises:
            OutsideError: It leads out of the archive.
        """
        plain = self.plain(written)
        names = [plain + suffix for suffix in suffixes]
        candidates = [_join(folder, name) for folder in folders for name in names]
        for candidate in candidates:
            if candidate in self._exact:
                return candidate
        for candidate in candidates:
            if _alike(candidate) in self._alike:
                return self._alike[_alike(candidate)]
        return None

    def plain(self, written: str) -> str:
        """A path as written, in POSIX form and relative to the archive.

        Raises:
            OutsideError: It leads out of the archive.
        """
        text = written.strip()
        if text not in self._exact:
            text = text.replace("\\", "/")
        if text.startswith("/"):
            try:
                text = Path(os.path.normpath(text)).relative_to(self.root).as_posix()
            except ValueError:
                raise OutsideError(written) from None
        parts = [part for part in text.split("/") if part not in ("", ".")]
        if _DRIVE.match(text) or ".." in parts:
            raise OutsideError(written)
        return "/".join(parts)

    def images(self, suffixes: Sequence[str] = IMAGE_SUFFIXES) -> list[str]:
        """Files named like images, outside folders of masks."""
        return [
            path
            for path in self.paths
            if path.lower().endswith(tuple(suffixes))
            and MASKS_FOLDER not in path.lower().split("/")[:-1]
        ]

    def _walk(self, folder: Path) -> None:
        for entry in entries(folder):
            if entry.name.startswith(".") or entry.name.lower() in QUIET_FOLDERS:
                continue
            kind = entry_kind(entry, self.root)
            path = Path(entry.path).relative_to(self.root).as_posix()
            if kind == "folder" and not entry.is_symlink():
                self._walk(Path(entry.path))
            elif kind == "file" and is_storable(path):
                self.paths.append(path)
            elif kind not in ("folder", "file") and is_storable(path):
                self.strange[path] = f"it is a {kind}"


def _join(folder: str, name: str) -> str:
    return f"{folder}/{name}" if folder else name


def _alike(path: str) -> str:
    return unicodedata.normalize("NFC", path).casefold()
