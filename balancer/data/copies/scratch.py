"""Numbers of many films in a temporary file, so that memory does not grow with the films."""

import os
import tempfile
import weakref
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from balancer.data.film.fingerprint import Floats
from balancer.errors import EnvironmentFault


class Scratch:
    """Rows of float32, (N, F), in a temporary file that goes with this object.

    Threads fill and read it with `pwrite` and `pread`: the pages of a memory map would count as
    memory of this process.

    Args:
        rows: Number of rows, N.
        width: Numbers of a row, F.

    """

    def __init__(self, rows: int, width: int) -> None:
        self._descriptor, path = tempfile.mkstemp()
        Path(path).unlink()  # the system frees the room when the file is closed, or we are killed
        weakref.finalize(self, os.close, self._descriptor)
        self._rows, self._width, self._row_bytes = rows, width, 4 * width

    def __len__(self) -> int:
        return self._rows

    def __getitem__(self, part: slice) -> Floats:
        """Read consecutive rows."""
        start, stop, _ = part.indices(self._rows)
        return self._read(start, stop - start)

    def take(self, rows: NDArray[np.intp]) -> Floats:
        """Read some rows, in the given order."""
        found = np.empty((len(rows), self._width), np.float32)
        for place, row in enumerate(rows.tolist()):
            found[place] = self._read(row, 1)
        return found

    def write(self, start: int, values: Floats) -> None:
        """Write consecutive rows that begin at `start`.

        Raises:
            EnvironmentFault: The folder for temporary files takes no more.
        """
        content = np.ascontiguousarray(values, np.float32).data.cast("B")
        place = start * self._row_bytes
        try:
            while content:
                done = os.pwrite(self._descriptor, content, place)
                content, place = content[done:], place + done
        except OSError as error:
            raise EnvironmentFault(
                f"The search for copies needs {self._rows * self._row_bytes / 2**20:,.0f} MiB in "
                f"{tempfile.gettempdir()}, but: {error.strerror}; free some space there, or name "
                "another folder in the variable TMPDIR."
            ) from error

    def _read(self, start: int, count: int) -> Floats:
        content = os.pread(self._descriptor, count * self._row_bytes, start * self._row_bytes)
        return np.frombuffer(content, np.float32).reshape(count, self._width)
