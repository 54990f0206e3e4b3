"""`details.csv`: facts from the archive about each image, beside the columns of `index.csv`."""

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from balancer.data.metadata import UNKNOWN, ImageMetadata
from balancer.data.records import PrepareMetrics
from balancer.errors import IntegrityError
from balancer.manifest import ImageRecord, fingerprint
from balancer.results import read_result

DETAILS_NAME = "details.csv"
_HEADER = ["image_id", "view", "mask"]


@dataclass(frozen=True, slots=True)
class ImageDetails:
    """Further facts of an image; empty where the archive does not know them.

    Attributes:
        image_id: As in `index.csv`.
        view: Such as PA, AP or L, in the archive's words.
        mask: Path of the lung mask, relative as those of `index.csv`.
    """

    image_id: str
    view: str = ""
    mask: str = ""


def details_of(
    records: Sequence[ImageRecord],
    metadata: Mapping[str, ImageMetadata],
    masks: Mapping[str, str],
) -> list[ImageDetails]:
    """Return the details of images, in the order of their records."""
    return [
        ImageDetails(
            record.image_id,
            metadata.get(record.path, UNKNOWN).view,
            masks.get(record.path, ""),
        )
        for record in records
    ]


def details_bytes(details: Sequence[ImageDetails]) -> bytes:
    """Encode details as CSV (UTF-8, LF)."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_HEADER)
    writer.writerows([one.image_id, one.view, one.mask] for one in details)
    return text.getvalue().encode()


def read_details(directory: Path, records: Sequence[ImageRecord]) -> list[ImageDetails]:
    """Read the details of an index, in the order of its records.

    An index whose `result.json` records no `details_sha256` is older than this table: the details
    of its images are empty.

    Raises:
        IntegrityError: The table is not as `prepare` wrote it, or lists other images.
    """
    result = read_result(directory, PrepareMetrics)
    expected = None if result is None else result.metrics.details_sha256
    if expected is None:
        return [ImageDetails(record.image_id) for record in records]
    path = directory / DETAILS_NAME
    content = path.read_bytes() if path.is_file() else b""
    rows = list(csv.reader(io.StringIO(content.decode("utf-8", "replace"), newline="")))
    ids = [record.image_id for record in records]
    if fingerprint(content) != expected or [row[0] for row in rows[1:]] != ids:
        raise IntegrityError(
            f"{path} should be as prepare wrote it, but was changed; run prepare again with "
            "--force."
        )
    return [ImageDetails(*row) for row in rows[1:]]
