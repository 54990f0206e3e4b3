"""Files whole or not at all, also if the power fails; JSON that anyone may have changed; paths."""

import os
import uuid
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

_AT_ONCE = 16
_IS_WINDOWS = os.name == "nt"
_ANYTHING: TypeAdapter[Any] = TypeAdapter(Any)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary name in the folder of `path`, renamed to `path` if the block succeeds.

    The name is unique, so that several processes can write one file: the last one to finish wins.
    If the block fails, the temporary file is removed and `path` is unchanged. The content is on the
    disk before it gets its name, so that a power cut leaves the old or the new file.

    Args:
        path: File to write; its folder exists.
    """
    temporary = path.with_name(f"{path.name}.{uuid.uuid4().hex}.partial")
    try:
        yield temporary
        sync(temporary)
        temporary.replace(path)
        sync(path.parent)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def sync(path: Path) -> None:
    """Wait until the content of a file, or the names in a folder, are on the disk.

    Windows syncs a file that is open for writing only, and no folder.
    """
    if _IS_WINDOWS and path.is_dir():
        return
    number = os.open(path, os.O_RDWR if _IS_WINDOWS else os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)


def sync_tree(folder: Path) -> None:
    """Wait until a folder with all that is in it is on the disk.

    Every file is synced by itself: `os.sync` would wait for all disks of the machine, and Python
    has no `syncfs`. A file system writes what many threads wait for in one go, so that a thousand
    small images take little longer than a few.
    """
    folders, files = [], []
    for place, _, names in os.walk(folder):
        folders.append(Path(place))
        files += [path for name in names if not (path := Path(place, name)).is_symlink()]
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        list(pool.map(sync, files))
        list(pool.map(sync, folders))


def parse_json(content: bytes | str) -> Any:
    """Parse the content of a JSON file.

    Not `json.loads`: a file of brackets would exhaust the stack there, or wherever its value is
    walked through. This parser stops at 200 levels.

    Raises:
        ValueError: It is no JSON, or too deeply nested; the message is one line.
    """
    try:
        return _ANYTHING.validate_json(content)
    except ValidationError as error:
        raise ValueError(error.errors()[0]["msg"]) from None


def is_paths(images: Any) -> bool:
    """Return whether images are given as paths: a list, an array (N,) or a Series of them."""
    is_row = hasattr(images, "__getitem__") and getattr(images, "ndim", 1) == 1
    if isinstance(images, str | Mapping) or not is_row:
        return False
    return all(isinstance(one, Path | str) for one in images)
