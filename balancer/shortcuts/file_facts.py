"""Facts of an image file that do not depend on its content.

Size, sharpness and exposure depend on the scanner, the archive or a converter; if they separate the
classes, any classifier can use them.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

import cv2
import numpy as np
from numpy.typing import NDArray

from balancer.data.index import Index
from balancer.data.io import file_size
from balancer.errors import IntegrityError
from balancer.imaging.pixels import luma
from balancer.shortcuts.views import central_region

_COMMON = 0.02
"""Smallest share of the images for which an exact size gets its own column."""
_GREY = ("mean", "deviation", "sharpness")
_OF_THE_LUNGS_TOO = ("file size", *_GREY)
_RIM = "rim "
_SAME_TYPE = {".jpeg": ".jpg"}


@dataclass(frozen=True, slots=True)
class FileFacts:
    """A table of numbers.

    Attributes:
        names: Names of the columns.
        values: float64 (N, F), in the order of the index's records, not standardised.
    """

    names: tuple[str, ...]
    values: NDArray[np.float64]

    def without_lungs(self) -> "FileFacts":
        """Return only the facts that no disease of the lungs can change.

        An opacity raises the mean of the whole image, and changes its compression.
        """
        return self._kept([name not in _OF_THE_LUNGS_TOO for name in self.names])

    def without_rim(self) -> "FileFacts":
        """Return the facts without those of the rim, for images that show the disease there."""
        return self._kept([not name.startswith(_RIM) for name in self.names])

    def _kept(self, wanted: Sequence[bool]) -> "FileFacts":
        kept = [place for place, is_wanted in enumerate(wanted) if is_wanted]
        return FileFacts(tuple(self.names[place] for place in kept), self.values[:, kept])


def file_facts(index: Index, size: int) -> FileFacts:
    """Tabulate the facts of all images of an index.

    Width, height, aspect ratio, file size, file type and the commonest exact sizes; mean, standard
    deviation and sharpness (logarithm of the variance of the Laplacian) of the grey values at the
    side that classifiers see, of the whole image and of its rim outside the central region; and the
    view, where it is known. Each word becomes a column of 0 and 1. Patient, path and source are
    not among them: the source has a probe of its own.

    Args:
        index: The index; only the sizes of its files are read, and its cached images.
        size: Side in pixels of the images whose grey values are used.

    Raises:
        IntegrityError: A file of the index is missing, or `details.csv` was changed.
    """
    columns: dict[str, NDArray[np.float64]] = {}
    width = np.array([record.width for record in index.records], np.float64)
    height = np.array([record.height for record in index.records], np.float64)
    columns["width"] = np.log(width)
    columns["height"] = np.log(height)
    columns["aspect"] = np.log(width / height)
    columns["file size"] = np.log([_file_size(index, record.path) for record in index.records])
    images = luma(index.image_set(size).pixels)
    rim = ~central_region(size)
    for kind, where in (("", np.ones_like(rim)), (_RIM, rim)):
        # Sharpness depends on neighbours, so pixels beside the edge are left out.
        inside = cv2.erode(where.astype(np.uint8), np.ones((3, 3), np.uint8)).astype(bool)
        grey = np.array([_grey_facts(image, where, inside) for image in images], np.float64)
        columns |= {f"{kind}{name}": grey[:, place] for place, name in enumerate(_GREY)}
    sizes = [f"{record.width}x{record.height}" for record in index.records]
    common = _COMMON * len(sizes)
    counts = Counter(sizes)
    columns |= _one_hot("size", [name if counts[name] >= common else "" for name in sizes])
    suffixes = [PurePosixPath(record.path).suffix.lower() for record in index.records]
    columns |= _one_hot("type", [_SAME_TYPE.get(suffix, suffix) for suffix in suffixes])
    columns |= _one_hot("view", [one.view for one in index.details()])
    return FileFacts(tuple(columns), np.stack(list(columns.values()), axis=1))


def _file_size(index: Index, path: str) -> int:
    try:
        return max(1, file_size(index.roots.locate(path)))
    except OSError as error:
        raise IntegrityError(
            f"{str(index.roots.locate(path))!r} should be the file that was prepared, but cannot "
            f"be found ({error.strerror}); restore it, or run prepare again with --force."
        ) from None


def _grey_facts(
    image: NDArray[np.uint8], where: NDArray[np.bool_], inside: NDArray[np.bool_]
) -> tuple[float, float, float]:
    pixels = image.astype(np.float32)
    edges = cv2.Laplacian(pixels, cv2.CV_32F)[inside]
    sharpness = np.log1p(edges.var()) if edges.size else 0.0
    return float(pixels[where].mean()), float(pixels[where].std()), float(sharpness)


def _one_hot(name: str, words: Sequence[str]) -> dict[str, NDArray[np.float64]]:
    """Return a column per word; none for the empty (unknown) word, or if all words are equal."""
    found = sorted(set(words))
    if len(found) < 2:
        return {}
    return {
        f"{name} {word}": np.array([other == word for other in words], np.float64)
        for word in found
        if word
    }
