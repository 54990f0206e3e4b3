"""The folder of what users upload: of one server, bounded, removed with it or by the next one."""

import atexit
import logging
import os
import shutil
import stat
import tempfile
import threading
from pathlib import Path

from filelock import FileLock, Timeout

log = logging.getLogger(__name__)

_PREFIX = "balancer-serve-"
_OWNER = "owner"
"""File that the living server of a folder holds locked; the system ends the lock with it."""
_CLAIMED = "claimed"
"""File that is there once the lock is held: a folder without it is still being made."""
_FILES = "files"


class UploadFolder:
    """A folder that only its user can read, with a bound for all files together.

    Whole uploads lie in subfolders of `files`, one each; unfinished ones lie beside these.

    Args:
        limit: Largest sum of bytes.

    Attributes:
        files: Where uploads are written.
        judged: Where images that are judged are unpacked.
        limit: Largest sum of bytes.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        # Resolved, since gradio names uploads by their resolved paths.
        self._root = Path(tempfile.mkdtemp(prefix=_PREFIX)).resolve()
        atexit.register(self.remove)
        self._owner = _claim(self._root)
        self.files = self._root / _FILES
        self.files.mkdir()
        self.judged = self._root / "judged"
        self.judged.mkdir()
        self._own: frozenset[Path] = frozenset()
        self._expected = 0
        self._lock = threading.Lock()

    def keep_present(self) -> None:
        """Keep what the page itself put here, its samples: it is no upload."""
        self._own = frozenset(self.files.glob("*/*"))

    def reserve(self, n_bytes: int) -> bool:
        """Make room for an upload; older ones are removed, the oldest first.

        Returns:
            False: It is larger than what can become free. True: call `release` after it.
        """
        with self._lock:
            if self._expected + n_bytes > self.limit:
                return False
            kept = sorted(self._kept(), key=lambda one: one[1].st_mtime)
            excess = sum(status.st_size for _, status in kept) + self._expected + n_bytes
            for path, status in kept:
                if excess <= self.limit:
                    break
                path.unlink(missing_ok=True)
                excess -= status.st_size
            self._expected += n_bytes
            return True

    def release(self, n_bytes: int) -> None:
        """Note the end of an upload, and remove what broken ones left."""
        with self._lock:
            self._expected -= n_bytes
            if not self._expected:
                for path in self.files.glob("*"):
                    if path.is_file():
                        path.unlink(missing_ok=True)

    def discard(self, path: str | Path | None) -> None:
        """Remove an upload that is no longer used; any other file is left alone."""
        if path is None or Path(path) in self._own:
            return
        if Path(path).parent.parent == self.files:
            Path(path).unlink(missing_ok=True)

    def remove(self) -> None:
        """Remove everything; a second call does nothing."""
        atexit.unregister(self.remove)
        _remove(self._root)
        self._owner.release(force=True)

    def _kept(self) -> list[tuple[Path, os.stat_result]]:
        """Return the whole uploads; one that is removed meanwhile is none."""
        found = []
        for path in set(self.files.glob("*/*")) - self._own:
            try:
                found.append((path, path.stat()))
            except FileNotFoundError:
                continue
        return found


def sweep() -> None:
    """Remove the folders that killed servers of this user left."""
    for root in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        try:
            if not _is_own_folder(root.lstat()):
                continue
            if not (root / _CLAIMED).is_file():
                if {path.name for path in root.iterdir()} - {_OWNER}:
                    log.warning(
                        "%s may hold uploads of an earlier version; delete it unless that one is "
                        "still serving.",
                        root,
                    )
                continue
            with FileLock(root / _OWNER, blocking=False):
                _remove(root)
        except (FileNotFoundError, Timeout):  # removed meanwhile, or its server is alive
            continue
        log.info("Removed %s, the uploads of a server that was killed.", root)


def _is_own_folder(status: os.stat_result) -> bool:
    """Return True for a folder of this user; Windows has one temporary folder per user."""
    is_own = not hasattr(os, "getuid") or status.st_uid == os.getuid()
    return stat.S_ISDIR(status.st_mode) and is_own


def _claim(root: Path) -> FileLock:
    """Lock the folder for this server."""
    # Not of one thread: the server is closed from another one.
    owner = FileLock(root / _OWNER, blocking=False, thread_local=False)
    owner.acquire()
    (root / _CLAIMED).touch()
    return owner


def _remove(root: Path) -> None:
    shutil.rmtree(root, ignore_errors=True)
    if root.exists():
        log.warning("%s may still hold uploads, but cannot be removed; delete it.", root)
