"""The training images of a class as files, so that any program can be trained on exactly these."""

import csv
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from balancer.data.cache import verified_bytes
from balancer.data.index import Index
from balancer.data.io import png_bytes
from balancer.errors import ConfigurationError

IDS_NAME, IMAGES = "ids.csv", "images"
_COLUMNS = ("file", "image_id", "path", "group")


@dataclass(frozen=True, slots=True)
class Export:
    """Images that were written.

    Attributes:
        images: Number of images.
        groups: Number of patients, or of other groups that should stay together.
    """

    images: int
    groups: int


def export_training_images(index: Index, label: str, folder: Path, *, size: int | None) -> Export:
    """Write the training images of a class, and `ids.csv`, which lists them.

    Args:
        index: The index.
        label: The class.
        folder: An existing, empty folder; gets `images/` and `ids.csv`.
        size: Side in pixels: the images are then preprocessed squares, as our own generator sees
            them, in PNGs. None: the files of the archive, byte for byte.

    Raises:
        ConfigurationError: There is no such class.
        IntegrityError: A file has changed since it was prepared.
    """
    if label not in index.classes:
        raise ConfigurationError(
            f"The class to export should be one of {', '.join(index.classes)}, but is {label!r}; "
            "name one of them."
        )
    records = index.select("train", label)
    (folder / IMAGES).mkdir()
    pixels = None if size is None else index.pixels(size, "train", label)
    rows = []
    for number, record in enumerate(records):
        if pixels is None:
            content = verified_bytes(index.roots, record)
            suffix = PurePosixPath(record.path).suffix.lower() or ".pgm"
        else:
            content, suffix = png_bytes(pixels[number], {}), ".png"
        file = f"{IMAGES}/{number:06d}{suffix}"
        (folder / file).write_bytes(content)
        rows.append((file, record.image_id, record.path, record.group))
    with (folder / IDS_NAME).open("w", encoding="utf-8", newline="") as table:
        writer = csv.writer(table, lineterminator="\n")
        writer.writerow(_COLUMNS)
        writer.writerows(rows)
    return Export(len(records), len({record.group for record in records}))
