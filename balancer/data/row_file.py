"""Pixels of many images in one file, written row by row and compacted later."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.lib import format as npy
from numpy.typing import DTypeLike, NDArray

Rows = NDArray[np.uint8]

_HEADER_BYTES = 128
_BLOCK_BYTES = 8 * 2**20


class RowFile:
    """A `.npy` file of uint8 (N, *shape) that threads and processes fill in any order.

    Rows go through `pwrite`: a memory map would count every written page to this process.

    Args:
        path: Path to the file; created unless it already has this shape.
        rows: Number of rows, N.
        shape: Shape of a row.

    Attributes:
        shape: Shape of a row.
        is_new: The file was created and holds no pixels yet.
    """

    def __init__(self, path: Path, rows: int, shape: tuple[int, ...]) -> None:
        self._path, self._rows, self.shape = path, rows, shape
        self._row_bytes = int(np.prod(shape))
        self.is_new = not self._is_whole()
        if self.is_new:
            with path.open("wb") as file:
                file.write(_header((rows, *shape)))
                # Find a full disk now, not in the middle.
                _reserve(file.fileno(), self._place(rows))
        self._descriptor = os.open(path, os.O_RDWR)

    def write(self, row: int, pixels: Rows) -> None:
        """Write one row, or several consecutive rows that begin at `row`."""
        content = np.ascontiguousarray(pixels, np.uint8).data.cast("B")
        place = self._place(row)
        while content:
            done = os.pwrite(self._descriptor, content, place)
            content, place = content[done:], place + done

    def read(self, row: int) -> Rows:
        """Read one row."""
        content = os.pread(self._descriptor, self._row_bytes, self._place(row))
        return np.frombuffer(content, np.uint8).reshape(self.shape)

    def at(self, row: int) -> "StoredRow":
        """Return one row, read whenever it is used."""
        return StoredRow(self, row)

    def keep(self, rows: Sequence[int], target: Path) -> None:
        """Keep only the chosen rows and move the file; this object cannot be used afterwards.

        Args:
            rows: Rows to keep, in the order wanted.
            target: New path, on the same disk.
        """
        if list(rows) == sorted(rows):
            self._close_up(rows)
            self.close()
            self._path.replace(target)
        else:
            ordered = RowFile(target, len(rows), self.shape)
            for place, row in enumerate(rows):
                ordered.write(place, self.read(row))
            ordered.close()
            self.close()
            self._path.unlink()

    def close(self) -> None:
        """Close the file."""
        os.close(self._descriptor)
        self._descriptor = -1  # the system may reuse the number for another file

    def __getstate__(self) -> tuple[Path, int, tuple[int, ...]]:
        return self._path, self._rows, self.shape

    def __setstate__(self, state: tuple[Path, int, tuple[int, ...]]) -> None:
        self.__init__(*state)  # type: ignore[misc]  # reopens the file in another process

    def _close_up(self, rows: Sequence[int]) -> None:
        """Move rows towards the start, in place; no row moves to a later position."""
        step = max(1, _BLOCK_BYTES // self._row_bytes)
        first = next((place for place, row in enumerate(rows) if row != place), len(rows))
        for start in range(first, len(rows), step):
            self.write(start, np.stack([self.read(row) for row in rows[start : start + step]]))
        os.pwrite(self._descriptor, _header((len(rows), *self.shape)), 0)
        os.ftruncate(self._descriptor, self._place(len(rows)))

    def _is_whole(self) -> bool:
        if not self._path.is_file() or self._path.stat().st_size != self._place(self._rows):
            return False
        with self._path.open("rb") as file:
            return file.read(_HEADER_BYTES) == _header((self._rows, *self.shape))

    def _place(self, row: int) -> int:
        return _HEADER_BYTES + row * self._row_bytes


@dataclass(frozen=True, slots=True)
class StoredRow:
    """A row that stays in its file until `np.asarray` asks for it, and is not kept afterwards.

    Attributes:
        file: The file, which has to be open.
        row: Number of the row.
    """

    file: RowFile
    row: int

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> Rows:
        return np.asarray(self.file.read(self.row), dtype)


def _header(shape: tuple[int, ...]) -> bytes:
    """Return the `.npy` header for uint8 of a shape, with a length independent of N."""
    described = f"{{'descr': '|u1', 'fortran_order': False, 'shape': {shape}, }}"
    length = _HEADER_BYTES - len(npy.magic(1, 0)) - 2
    text = described.ljust(length - 1) + "\n"
    return bytes(npy.magic(1, 0)) + length.to_bytes(2, "little") + text.encode("ascii")


def _reserve(descriptor: int, size: int) -> None:
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(descriptor, 0, size)
    else:
        os.ftruncate(descriptor, size)
