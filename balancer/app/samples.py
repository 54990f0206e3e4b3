"""Images to try the page with."""

import importlib.resources
from dataclasses import dataclass
from pathlib import Path

from balancer.data.formats import IMAGE_SUFFIXES
from balancer.data.index import Index

_MOST = 12


@dataclass(frozen=True, slots=True)
class Sample:
    """One image to try.

    Attributes:
        path: Path to the file.
        caption: Text below it.
    """

    path: Path
    caption: str


def find_samples(index: Index | None) -> tuple[str, list[Sample]]:
    """Return a sentence about the samples, and a few images of each class.

    They are validation images: training images would flatter every classifier, and test images are
    read once. Without an index they are the bundled drawings.
    """
    if index is None:
        found = _drawings()
        return "Drawings of chests, of no patient.", found
    per_class = max(1, _MOST // len(index.classes))
    samples = [
        Sample(index.roots.locate(record.path), label)
        for label in index.classes
        for record in index.select("val", label)[:per_class]
    ]
    return (
        "Validation images of this workspace, under the names of their classes: no classifier "
        "has learnt from them, but thresholds and snapshots were chosen on them.",
        # Browsers show no DICOM file, and a row of a NumPy archive is no file.
        [
            one
            for one in samples
            if one.path.suffix.lower() in IMAGE_SUFFIXES and one.path.is_file()
        ],
    )


def _drawings() -> list[Sample]:
    root = Path(str(importlib.resources.files("samples")))
    folders = sorted(path for path in root.iterdir() if any(path.glob("*.png")))
    per_class = _MOST // max(1, len(folders))
    return [
        Sample(path, f"{folder.name}, drawn")
        for folder in folders
        for path in sorted(folder.glob("*.png"))[:per_class]
    ]
