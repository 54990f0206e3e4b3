"""`balancer judge` for uploads: unpacked within bounds, and judged by a process of its own."""

import logging
import shutil
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from secrets import token_hex
from typing import BinaryIO

from balancer.ablation.progress import duration
from balancer.errors import ConfigurationError, DataError, EnvironmentFault

log = logging.getLogger(__name__)

SIDES = ("real", "synthetic", "holdout")
Upload = tuple[str, BinaryIO]
"""Path of a file as the browser names it, and its content."""
_REQUIRED = SIDES[:2]
_MOST_FILES = 50_000
_KEPT = 8
"""Number of judgements whose pages are kept."""
_SHOWN_LINES = 12
_COMMAND = "from balancer.cli import main; main()"
_CHUNK = 2**20


@dataclass(frozen=True, slots=True)
class JudgeState:
    """State of a judgement as the page shows it.

    Attributes:
        passed: Time since its start, in words.
        lines: Newest lines that it has said.
        is_running: Whether it is still running.
        page: Path to its page; None before it is written.
        fault: Reason why there is no page; empty of others.
    """

    passed: str
    lines: Sequence[str]
    is_running: bool
    page: Path | None
    fault: str


@dataclass(slots=True)
class _Job:
    folder: Path
    process: subprocess.Popen[bytes]
    began: float
    ended: float | None = None


class JudgeRoom:
    """Judgements of uploaded images, one at a time.

    Args:
        folder: Folder for uploads and pages; removed with the server.
        limit: Largest sum of the bytes of one judgement's images, unpacked.
    """

    def __init__(self, folder: Path, limit: int) -> None:
        self._folder, self._limit = folder, limit
        self._jobs: dict[str, _Job] = {}
        self._lock = threading.Lock()

    @property
    def is_busy(self) -> bool:
        """Return whether a judgement is running."""
        return any(job.process.poll() is None for job in self._jobs.values())

    def begin(self, sides: Mapping[str, Sequence[Upload]], label: str) -> str:
        """Unpack the images, start the judgement, and return its name.

        Args:
            sides: Name of a side to its files; one zip, or the files of a folder.
            label: Class of the images; empty where folders name it.

        Raises:
            ConfigurationError: A side is missing.
            DataError: A zip cannot be read, or the images are too many or too large.
            EnvironmentFault: Another judgement is running.
        """
        missing = [side for side in _REQUIRED if not sides.get(side)]
        if missing:
            raise ConfigurationError(
                f"A judgement needs real and synthetic images, but none are given as "
                f"{' and '.join(missing)}; choose a zip or a folder."
            )
        with self._lock:
            if self.is_busy:
                raise EnvironmentFault(
                    "Another judgement is running on this machine; wait until it has ended."
                )
            self._forget_old()
            name = token_hex(8)
            folder = self._folder / name
            try:
                given = {
                    side: self._unpack(uploads, folder / side)
                    for side, uploads in sides.items()
                    if uploads
                }
                self._jobs[name] = _Job(folder, _start(folder, given, label), time.monotonic())
            except BaseException:
                shutil.rmtree(folder, ignore_errors=True)
                raise
        threading.Thread(target=self._clean_after, args=(name,), daemon=True).start()
        return name

    def state(self, name: str) -> JudgeState:
        """Return the state of a judgement.

        Raises:
            DataError: There is none of this name.
        """
        if name not in self._jobs:
            raise DataError("There is no such judgement, or it was removed; begin another one.")
        job = self._jobs[name]
        is_running = job.process.poll() is None
        text = (job.folder / "log.txt").read_text(encoding="utf-8", errors="replace")
        # Folders of this machine tell the user nothing.
        lines = [line.replace(f"{job.folder}/", "") for line in text.splitlines() if line.strip()]
        page = job.folder / "judged" / "judge" / "judge.html"
        has_page = not is_running and page.is_file()
        fault = "" if is_running or has_page else _fault(lines, job.process.returncode)
        ended = time.monotonic() if job.ended is None else job.ended
        return JudgeState(
            passed=duration(ended - job.began),
            lines=lines[-_SHOWN_LINES:],
            is_running=is_running,
            page=page if has_page else None,
            fault=fault,
        )

    def close(self) -> None:
        """Stop a running judgement."""
        for job in self._jobs.values():
            if job.process.poll() is None:
                job.process.terminate()
                try:
                    job.process.wait(10)
                except subprocess.TimeoutExpired:
                    job.process.kill()

    def _unpack(self, uploads: Sequence[Upload], folder: Path) -> Path:
        first, content = uploads[0]
        if len(uploads) == 1 and first.lower().endswith(".zip"):
            _write_all(_members(content, folder.name), folder, self._limit)
        else:
            _write_all(uploads, folder, self._limit)
        return _innermost(folder)

    def _clean_after(self, name: str) -> None:
        """Remove the images of a judgement when it has ended."""
        job = self._jobs[name]
        job.process.wait()
        job.ended = time.monotonic()
        for side in SIDES:
            shutil.rmtree(job.folder / side, ignore_errors=True)

    def _forget_old(self) -> None:
        for name in list(self._jobs)[: -_KEPT + 1]:
            shutil.rmtree(self._jobs.pop(name).folder, ignore_errors=True)


def _start(folder: Path, given: Mapping[str, Path], label: str) -> subprocess.Popen[bytes]:
    words = ["judge", str(given["real"]), str(given["synthetic"])]
    words += ["--holdout", str(given["holdout"])] if "holdout" in given else []
    words += [f"--class={label}"] if label else []
    words += ["--out", str(folder / "judged")]
    with (folder / "log.txt").open("wb") as said:
        return subprocess.Popen(
            [sys.executable, "-c", _COMMAND, *words],
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=subprocess.STDOUT,
        )


def _members(content: BinaryIO, side: str) -> Iterator[Upload]:
    try:
        with zipfile.ZipFile(content) as archive:
            for one in archive.infolist():
                if not one.is_dir():
                    with archive.open(one) as file:
                        yield one.filename, file  # type: ignore[misc]  # it is read as one
    except (zipfile.BadZipFile, RuntimeError, NotImplementedError, EOFError, OSError) as error:
        raise DataError(
            f"The zip of {side} images should be a readable archive without a password, but: "
            f"{error}; pack the images again."
        ) from error


def _write_all(files: Iterable[Upload], folder: Path, limit: int) -> None:
    """Write files below a folder, within the bounds of all together."""
    left = limit
    for number, (name, content) in enumerate(files):
        if number == _MOST_FILES:
            raise DataError(f"A side has more than {_MOST_FILES:,} files; judge a part of them.")
        parts = [part for part in PurePosixPath(name.replace("\\", "/")).parts if part != "/"]
        if not parts or ".." in parts or ":" in parts[0]:
            raise DataError(f"A file should lie below its folder, but is called {name[:80]!r}.")
        path = folder.joinpath(*parts)
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as file:
            while chunk := content.read(_CHUNK):
                left -= len(chunk)
                if left < 0:
                    raise DataError(
                        f"The images of a side have more than {limit // 10**6} MB when unpacked; "
                        "judge a part of them, or use `balancer judge`."
                    )
                file.write(chunk)
    if not folder.is_dir():
        raise DataError(f"The {folder.name} side holds no file; choose another.")


def _innermost(folder: Path) -> Path:
    """Return the folder below folders that hold nothing else, unless it is named for a class."""
    inner = [path for path in folder.iterdir() if not path.name.startswith(("__MACOSX", "."))]
    only = inner[0] if len(inner) == 1 and inner[0].is_dir() else None
    if only is not None and any(path.is_dir() for path in only.iterdir()):
        return _innermost(only)
    return folder


def _fault(lines: Sequence[str], code: int | None) -> str:
    """Return the sentence of the fault that ended a judgement."""
    said = [line.removeprefix("Error: ") for line in lines if line.startswith("Error: ")]
    return said[-1] if said else f"The judgement ended without a page (exit code {code})."
