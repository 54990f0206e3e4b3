"""Rows of MedMNIST `.npz` files as files of their own: `x.npz/train/00017`."""

import functools
import lzma
import math
import shutil
import tempfile
import threading
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Any, Literal

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from balancer.data import memory
from balancer.errors import EnvironmentFault

SUFFIX = ".npz"
_MOST_UNPACKED = 64 * 2**30
"""Bytes of an array of images; the largest of MedMNIST+ has 14 GB."""
_MOST_LABELS = 1000
_PART, _ROW_COPIES = 2**20, 3
_LOCK = threading.Lock()


def npz_file(path: Path) -> Path | None:
    """Return the `.npz` file that a path leads into; None for any other path."""
    return next(
        (part for part in path.parents if part.suffix.lower() == SUFFIX and not part.is_dir()), None
    )


def read_row(path: Path) -> bytes:
    """Return the row of a path such as `x.npz/train/00017`, as a PGM (grey) or PPM file.

    Raises:
        FileNotFoundError: There is no such file or row.
        ValueError: The file holds no array of 8-bit images.
        EnvironmentFault: The temporary folder has no room for them.
    """
    file = npz_file(path)
    parts = () if file is None else path.relative_to(file).parts
    if file is None or len(parts) != 2 or not parts[1].isdigit():
        raise FileNotFoundError(2, "No such row", str(path))
    images = open_member(file, f"{parts[0]}_images")
    row = int(parts[1])
    if row >= len(images):
        raise FileNotFoundError(2, "No such row", str(path))
    with memory.one_image():
        memory.require(_ROW_COPIES * images[row].nbytes)
        return portable_map(images[row])


def portable_map(image: NDArray[np.uint8]) -> bytes:
    """Encode uint8 (H, W) as PGM or (H, W, 3) as PPM; equal pixels make equal bytes."""
    height, width = image.shape[:2]
    kind = "P5" if image.ndim == 2 else "P6"
    return f"{kind}\n{width} {height}\n255\n".encode() + np.ascontiguousarray(image).tobytes()


def open_member(file: Path, name: str) -> NDArray[Any]:
    """Open an array of images, memory-mapped.

    Args:
        file: The `.npz` file.
        name: Name of the array.

    Returns:
        uint8 (N, H, W) or (N, H, W, 3).

    Raises:
        FileNotFoundError: There is no such file or array.
        ValueError: It holds something else, or not as much as its header says.
        EnvironmentFault: The temporary folder has no room for it.
    """
    with _LOCK:  # two threads must not unpack the same array
        return _unpacked(file, file.stat().st_mtime_ns, name)


@functools.lru_cache(maxsize=16)
def _unpacked(file: Path, changed: int, name: str) -> NDArray[Any]:
    """Unpack once into a file without a name: single rows of a packed array cannot be reached."""
    with _member(file, name) as (packed, shape, order, dtype):
        if dtype != np.uint8 or order == "F" or not is_images(shape):
            raise ValueError(f"its array {name} of {dtype} {shape} holds no 8-bit images")
        wanted = math.prod(shape)
        if wanted > _MOST_UNPACKED:
            raise ValueError(
                f"its array {name} of {shape} is {wanted >> 30} GiB, over {_MOST_UNPACKED >> 30} "
                "GiB; divide it into several files"
            )
        with _temporary(wanted) as unpacked:
            while wanted and (part := packed.read(min(wanted, _PART))):
                _write(unpacked, part)
                wanted -= len(part)
            if wanted:
                raise ValueError(f"its array {name} is truncated")
            return np.memmap(unpacked, np.uint8, "r", shape=shape)  # lives on without the file


@contextmanager
def _member(
    file: Path, name: str
) -> Iterator[tuple[IO[bytes], tuple[int, ...], Literal["C", "F"], np.dtype[Any]]]:
    """Open an array after its header, which is all that is unpacked so far.

    Yields:
        The rest of the packed array, its shape, its order in the sense of NumPy, its type.

    Raises:
        FileNotFoundError: There is no such file or array.
        ValueError: It is damaged, encrypted, or of another size than its header says.
    """
    try:
        with zipfile.ZipFile(file) as archive, archive.open(f"{name}.npy") as packed:
            shape, in_columns, dtype = _header(packed)
            unpacked = archive.getinfo(f"{name}.npy").file_size
            wanted = math.prod(shape) * dtype.itemsize
            if not dtype.hasobject and unpacked - packed.tell() != wanted:
                raise ValueError(
                    f"its array {name} should have {wanted:,} bytes by its header, but has "
                    f"{unpacked - packed.tell():,}"
                )
            yield packed, shape, "F" if in_columns else "C", dtype
    except KeyError:
        raise FileNotFoundError(2, f"No array {name}", str(file)) from None
    except (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError):
        raise ValueError("it is no .npz file, or a damaged one") from None
    except (NotImplementedError, RuntimeError) as error:  # of zipfile: a method, or a password
        raise ValueError(f"its array {name} cannot be unpacked ({error})") from None


@contextmanager
def _temporary(wanted: int) -> Iterator[IO[bytes]]:
    """Open a file without a name in the temporary folder, which must have the room.

    Raises:
        EnvironmentFault: It has not, or there is no such folder.
    """
    with ExitStack() as stack:
        try:
            free = shutil.disk_usage(tempfile.gettempdir()).free
            file = stack.enter_context(tempfile.TemporaryFile())
        except OSError as error:
            raise _no_room(error.strerror or str(error)) from None
        if wanted > free:
            raise _no_room(f"{wanted >> 20:,} MiB are needed and {free >> 20:,} MiB are free")
        yield file


def _write(unpacked: IO[bytes], part: bytes) -> None:
    try:
        unpacked.write(part)
        unpacked.flush()
    except OSError as error:
        raise _no_room(error.strerror or str(error)) from None


def _no_room(found: str) -> EnvironmentFault:
    return EnvironmentFault(
        f"The images of an .npz file are unpacked into a temporary folder, but: {found}; free some "
        "space there, or name another folder by TMPDIR."
    )


def is_images(shape: tuple[int, ...]) -> bool:
    """Return whether an array of a shape can be of grey or RGB images."""
    return len(shape) == 3 or (len(shape) == 4 and shape[3] == 3)


def _header(packed: Any) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    version = npy.read_magic(packed)
    read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
    return read(packed)


def read_labels(file: Path, part: str, rows: int) -> NDArray[Any]:
    """Read the labels of a part, such as `train`, numbers of which each image has a row.

    Args:
        file: The `.npz` file.
        part: Name of the part.
        rows: Number of the images.

    Returns:
        (rows,) or (rows, K), of any type of number.

    Raises:
        FileNotFoundError: There is none of that name.
        ValueError: The file is no `.npz`, or the array is of another shape or type.
    """
    name = f"{part}_labels"
    with _member(file, name) as (packed, shape, order, dtype):
        if len(shape) not in (1, 2) or shape[0] != rows:
            raise ValueError(f"its {rows} {part}_images do not fit its {name} of {shape}")
        if dtype.kind not in "biuf":
            raise ValueError(f"its array {name} of {dtype} holds no numbers")
        if math.prod(shape[1:]) > _MOST_LABELS:
            raise ValueError(f"its array {name} of {shape} has over {_MOST_LABELS} labels an image")
        content = packed.read(math.prod(shape) * dtype.itemsize)
        return np.frombuffer(content, dtype).reshape(shape, order=order)


def array_names(file: Path) -> list[str]:
    """Return the names of the arrays of a file; none where it is no `.npz` file."""
    try:
        with zipfile.ZipFile(file) as archive:
            return sorted(name.removesuffix(".npy") for name in archive.namelist())
    except (OSError, zipfile.BadZipFile):
        return []
