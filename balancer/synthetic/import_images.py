"""Bring images from outside into a folder of the workspace, and check where they come from."""

import hashlib
import json
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from balancer.data.audit.admission import drop_copies
from balancer.data.collection import Collection
from balancer.data.film.examine import Examined
from balancer.data.formats import format_of
from balancer.data.index import Index
from balancer.data.io import read_bytes
from balancer.errors import DataError, IntegrityError
from balancer.manifest import SYNTHETIC, ImageRecord, fingerprint, table_bytes
from balancer.synthetic.outside_images import LINEAGE_FILE, TABLE, ImportMetrics
from balancer.synthetic.real_copies import SEARCH_SIDE, Search, refuse_real_copies
from balancer.synthetic.records import ClassLineage

IMAGES = "images"


def import_images(
    found: Collection,
    label: str,
    lineage: ClassLineage,
    folder: Path,
    index: Index,
    *,
    search: Search,
    ledger: Path,
) -> ImportMetrics:
    """Copy images into a folder, once they are known to copy no held-out image.

    Args:
        found: The images: of one class, or in classes of which one is `label`.
        label: The class.
        lineage: What is known of their origin, with their name.
        folder: An empty folder; gets `images/`, `images.csv` and `lineage.json`.
        index: The index whose validation and test images they must not copy.
        search: Names for the ledger.
        ledger: Folder of the ledger.

    Raises:
        DataError: All images are of other classes.
        IntegrityError: An image copies a validation or test image, or one that the list of its
            training images lacks; or a file changed while it was read.
    """
    found = _of_one_class(found, label, index.classes)
    kept, copies = drop_copies(found.images)
    found = replace(found, images=tuple(kept))
    with tempfile.TemporaryDirectory() as scratch:
        searched = refuse_real_copies(
            found.pixels(SEARCH_SIDE, Path(scratch)),
            [image.path for image in found.images],
            index,
            lineage.training_ids,
            search,
            ledger,
        )
    (folder / IMAGES).mkdir()
    files = zip(found.images, found.files(), strict=True)
    records = [
        _keep(image, file, number, label, str(lineage.name), folder)
        for number, (image, file) in enumerate(files)
    ]
    table = table_bytes(records, ImageRecord)
    (folder / TABLE).write_bytes(table)
    origin = json.dumps(lineage.model_dump(mode="json", exclude_unset=True), indent=2) + "\n"
    (folder / LINEAGE_FILE).write_text(origin, encoding="utf-8")
    left_out = dict(Counter(found.left_out) + Counter(bad.reason for bad in found.unusable))
    return ImportMetrics(
        label=label,
        name=str(lineage.name),
        images=len(records),
        smallest_side=min(min(record.width, record.height) for record in records),
        copies=len(copies),
        left_out=left_out,
        table=fingerprint(table),
        lineage=fingerprint(origin.encode()),
        searched=searched,
        sentence=_sentence(records, lineage, len(copies), left_out, searched),
    )


def _of_one_class(found: Collection, label: str, classes: Sequence[str]) -> Collection:
    if label in found.labels:
        others = Counter(f"image of {one.label}" for one in found.images if one.label != label)
        return replace(found.of(label), left_out={**found.left_out, **others})
    if len(found.labels) == 1 and found.labels[0] not in classes:
        return found.labelled(label)
    raise DataError(
        f"{found.name!r} should hold images of {label} alone, or in a class of that name, but has "
        f"the classes {', '.join(found.labels)}; name the folder of one class."
    )


def _keep(
    image: Examined, file: Path, number: int, label: str, name: str, folder: Path
) -> ImageRecord:
    content = read_bytes(file)
    if hashlib.sha256(content).hexdigest() != image.image_id:
        raise IntegrityError(
            f"{str(file)!r} should stay as it is while it is imported, but has changed; import "
            "again once nothing writes there."
        )
    suffix = (format_of(content) or "png").lower()
    path = f"{IMAGES}/{number:06d}.{suffix}"
    (folder / path).write_bytes(content)
    return ImageRecord(
        image_id=image.image_id,
        path=path,
        label=label,
        group=f"imported-{number:06d}",
        source=name,
        width=image.width,
        height=image.height,
        split="train",
        origin=SYNTHETIC,
    )


def _sentence(
    records: list[ImageRecord],
    lineage: ClassLineage,
    copies: int,
    left_out: dict[str, int],
    searched: int,
) -> str:
    sides = Counter((record.width, record.height) for record in records)
    ((width, height), _), *others = sides.most_common()
    size = f"{width} x {height} px" + (f" and {len(others)} other sizes" if others else "")
    text = f"{len(records)} images of {lineage.source.words}, {size}"
    if copies:
        text += f"; {copies} files with the bytes of another were left out"
    for reason, number in left_out.items():
        text += f"; left out: {number} x {reason}"
    return f"{text}. None copies one of {searched} validation and test images."
