"""Rows of MedMNIST `.npz` files as files of their own: `x.npz/train/00017`."""

import functools
import io
import shutil
import tempfile
import threading
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

SUFFIX = ".npz"
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
    """
    file = npz_file(path)
    parts = () if file is None else path.relative_to(file).parts
    if file is None or len(parts) != 2 or not parts[1].isdigit():
        raise FileNotFoundError(2, "No such row", str(path))
    images = open_member(file, f"{parts[0]}_images")
    row = int(parts[1])
    if row >= len(images):
        raise FileNotFoundError(2, "No such row", str(path))
    return portable_map(np.asarray(images[row]))


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
        ValueError: It holds something else.
    """
    with _LOCK:  # two threads must not unpack the same array
        return _unpacked(file, file.stat().st_mtime_ns, name)


@functools.lru_cache(maxsize=16)
def _unpacked(file: Path, changed: int, name: str) -> NDArray[Any]:
    """Unpack once into a file without a name: single rows of a packed array cannot be reached."""
    try:
        with (
            zipfile.ZipFile(file) as archive,
            archive.open(f"{name}.npy") as packed,
            tempfile.TemporaryFile() as unpacked,
        ):
            shape, in_columns, dtype = _header(packed)
            if dtype != np.uint8 or in_columns or not is_images(shape):
                raise ValueError(f"its array {name} of {dtype} {shape} holds no 8-bit images")
            shutil.copyfileobj(packed, unpacked, 2**20)
            unpacked.flush()
            if unpacked.tell() < int(np.prod(shape)):
                raise ValueError(f"its array {name} is truncated")
            return np.memmap(unpacked, np.uint8, "r", shape=shape)  # lives on without the file
    except KeyError:
        raise FileNotFoundError(2, f"No array {name}", str(file)) from None
    except (zipfile.BadZipFile, zlib.error, EOFError):
        raise ValueError("it is no .npz file, or a damaged one") from None


def is_images(shape: tuple[int, ...]) -> bool:
    """Return whether an array of a shape can be of grey or RGB images."""
    return len(shape) == 3 or (len(shape) == 4 and shape[3] == 3)


def _header(packed: Any) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    version = npy.read_magic(packed)
    read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
    return read(packed)


def read_array(file: Path, name: str) -> NDArray[Any]:
    """Read a small array, such as that of the labels.

    Raises:
        FileNotFoundError: There is none of that name.
        ValueError: The file is no `.npz`, or the array holds objects.
    """
    try:
        with zipfile.ZipFile(file) as archive:
            return np.asarray(
                npy.read_array(io.BytesIO(archive.read(f"{name}.npy")), allow_pickle=False)
            )
    except KeyError:
        raise FileNotFoundError(2, f"No array {name}", str(file)) from None
    except (zipfile.BadZipFile, zlib.error, EOFError):
        raise ValueError("it is no .npz file, or a damaged one") from None


def array_names(file: Path) -> list[str]:
    """Return the names of the arrays of a file; none where it is no `.npz` file."""
    try:
        with zipfile.ZipFile(file) as archive:
            return sorted(name.removesuffix(".npy") for name in archive.namelist())
    except (OSError, zipfile.BadZipFile):
        return []
