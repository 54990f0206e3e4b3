"""Differences between the files of two sides, and pixels without these differences."""

import io
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from balancer.data import formats
from balancer.data.collection import Collection
from balancer.data.threads import map_threaded
from balancer.quality.features import Images
from balancer.referee.records import FileFact

GIVES_AWAY = 0.9
"""Share of the files, of either side, that one fact has to sort rightly beyond chance."""
_ALIKE_QUALITY = 50
_HALF = 2


def file_facts(real: Collection, synthetic: Collection) -> tuple[FileFact, ...]:
    """Compare formats, modes and sizes of the files of both sides.

    Returns:
        A fact per kind; of files that Pillow does not open, such as DICOM, the format alone.
    """
    sides = [_facts(real), _facts(synthetic)]
    names = ("format", "mode", "size")
    return tuple(
        _compared(name, [row[place] for row in sides[0]], [row[place] for row in sides[1]])
        for place, name in enumerate(names)
    )


def alike(images: Images) -> Images:
    """Return images after one JPEG of half the size: uint8 (N, S, S) or (N, S, S, 3).

    What is left of a tell afterwards does not come from the format, from compression or from the
    finest detail that one size has and another lacks.
    """
    side = images.shape[1]
    small = (max(side // _HALF, 8),) * 2

    def encode(image: Images) -> Images:
        halved = cv2.resize(image, small, interpolation=cv2.INTER_AREA)
        compressed = io.BytesIO()
        Image.fromarray(np.asarray(halved, np.uint8)).save(
            compressed, "JPEG", quality=_ALIKE_QUALITY
        )
        decoded = np.asarray(Image.open(compressed))
        enlarged = cv2.resize(decoded, (side, side), interpolation=cv2.INTER_LINEAR)
        return np.asarray(enlarged, np.uint8)

    return np.stack([encode(image) for image in images])


def _facts(side: Collection) -> list[tuple[str, str, str]]:
    kinds = map_threaded(_kind, side.files(), task=f"Looking at {len(side.images)} files")
    sizes = [f"{image.width} x {image.height}" for image in side.images]
    return [(*kind, size) for kind, size in zip(kinds, sizes, strict=True)]


def _kind(path: Path) -> tuple[str, str]:
    if not path.is_file():  # a row of a MedMNIST file
        return "array", ""
    with path.open("rb") as file:
        found = formats.format_of(file.read(formats.HEAD_BYTES))
    if found == formats.DICOM:
        return found, ""
    with Image.open(path) as image:
        return found, image.mode


def _compared(name: str, real: Sequence[str], synthetic: Sequence[str]) -> FileFact:
    first, second = Counter(real), Counter(synthetic)
    apart = sum(
        abs(first[word] / len(real) - second[word] / len(synthetic)) for word in first | second
    )
    return FileFact(
        name=name,
        real=dict(first.most_common(5)),
        synthetic=dict(second.most_common(5)),
        separation=apart / 2,
    )
