"""The files of an archive, listed once, and how tables name them."""

import os
import re
import unicodedata
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from balancer.data.class_places import MASKS_FOLDER, QUIET_FOLDERS
from balancer.data.entries import entries, entry_kind, follows_links, is_storable, why_link
from balancer.data.formats import DICOM_SUFFIXES, IMAGE_SUFFIXES

_DRIVE = re.compile(r"^[A-Za-z]:")


class OutsideError(ValueError):
    """A path that leads out of its archive."""


class ArchiveFiles:
    """All files below a folder; a link is followed only if it stays inside.

    Attributes:
        root: The folder.
        paths: Relative POSIX paths of the files, sorted.
        strange: Path of each link that cannot be followed, with the reason.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.paths: list[str] = []
        self.strange: dict[str, str] = {}
        self._walk(root, {root.resolve()})
        self.paths.sort()
        self._exact = {*self.paths, *self.strange}
        self._by_name: dict[str, str] | None = None
        self._alike = {_alike(path): path for path in sorted(self._exact, reverse=True)}

    def find(
        self, written: str, *, folders: Sequence[str] = ("",), suffixes: Sequence[str] = ("",)
    ) -> str | None:
        """Find the file that a table names, as written or in another case, slash or Unicode form.

        Args:
            written: Path or name of the file.
            folders: Folders that may hold it, in order.
            suffixes: Suffixes that the name may lack, in order.

        Returns:
            Its path; None if there is no such file.

        Raises:
            OutsideError: The path leads out of the archive.
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

    def find_by_name(self, written: str) -> str | None:
        """Find the only image with a bare name, in any folder; None if there is none or several.

        Args:
            written: Name of the file, with its suffix or without.
        """
        if self._by_name is None:
            self._by_name = {}
            for path in self.images((*IMAGE_SUFFIXES, *DICOM_SUFFIXES)):
                pure = PurePosixPath(path)
                for name in {_alike(pure.name), _alike(pure.stem)}:
                    self._by_name[name] = "" if name in self._by_name else path
        return self._by_name.get(_alike(written.strip())) or None

    def plain(self, written: str) -> str:
        """Convert a path to POSIX form, relative to the archive.

        Raises:
            OutsideError: The path leads out of the archive.
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
        """List files that are named like images and are not in a folder of masks."""
        return [
            path
            for path in self.paths
            if path.lower().endswith(tuple(suffixes))
            and MASKS_FOLDER not in path.lower().split("/")[:-1]
        ]

    def _walk(self, folder: Path, above: set[Path]) -> None:
        for entry in entries(folder):
            if entry.name.startswith(".") or entry.name.lower() in QUIET_FOLDERS:
                continue
            kind = entry_kind(entry, self.root)
            path = Path(entry.path).relative_to(self.root).as_posix()
            if kind == "folder" and not entry.is_symlink():
                self._walk(Path(entry.path), above)
            elif kind == "folder" and follows_links():
                target = Path(entry.path).resolve()
                if target not in above:  # else a circle
                    self._walk(Path(entry.path), above | {target})
            elif kind == "file" and is_storable(path):
                self.paths.append(path)
            elif kind not in ("folder", "file") and is_storable(path):
                self.strange[path] = why_link(kind)


def _join(folder: str, name: str) -> str:
    return f"{folder}/{name}" if folder else name


def _alike(path: str) -> str:
    return unicodedata.normalize("NFC", path).casefold()
