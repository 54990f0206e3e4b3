"""Images of a generator from outside as a source, kept as they came in the workspace."""

from dataclasses import dataclass
from pathlib import Path

import torch
from pydantic import ValidationError

from balancer.config import BalancerConfig
from balancer.data.cache import open_cache
from balancer.data.index import Index
from balancer.data.roots import Roots
from balancer.errors import IntegrityError
from balancer.imaging.preprocess import Preprocessor
from balancer.manifest import ImageRecord, fingerprint, read_table
from balancer.results import Record, read_result
from balancer.synthetic.gates import check_training_ids
from balancer.synthetic.records import ClassLineage
from balancer.synthetic.source import Batches
from balancer.workspace import Workspace

TABLE, LINEAGE_FILE = "images.csv", "lineage.json"
_BATCH = 64


class ImportMetrics(Record):
    """The result of `balancer import-synthetic`: the images as they came.

    Attributes:
        label: Class of the images.
        name: Name of their source.
        images: Number of images that are kept.
        smallest_side: Shortest side of an image in pixels.
        copies: Number of files that were left out, since another file has the same bytes.
        left_out: Reason for other files that were not read, to their number.
        table: SHA-256 of the table of the images.
        lineage: SHA-256 of what is known of their origin.
        searched: Number of validation and test images that they were compared with.
        sentence: All of it for people.
    """

    label: str
    name: str
    images: int
    smallest_side: int
    copies: int
    left_out: dict[str, int]
    table: str
    lineage: str
    searched: int
    sentence: str


@dataclass(frozen=True, slots=True)
class ImportedSource:
    """Images from outside, a `SyntheticSource`; image n is the nth by its path.

    Attributes:
        name: Name of the generator or of whoever made them.
        records: The images.
        folder: Folder of the images.
        image_size: Side to which they are brought, in pixels.
        lineage: What is known of their origin.
        reader: Function that reads them in the channels of the index.
    """

    name: str
    records: tuple[ImageRecord, ...]
    folder: Path
    image_size: int
    lineage: ClassLineage
    reader: Preprocessor
    checkpoint: None = None

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the images, their size and their origin, hex."""
        parts = [str(self.image_size), self.lineage.model_dump_json()]
        parts += [self.reader.recipe] if self.reader.recipe else []
        return fingerprint("\n".join([*parts, *(one.image_id for one in self.records)]).encode())

    def draw(self, start: int, count: int, device: torch.device | str = "cpu") -> Batches:
        """Read images number `start` to `start + count - 1`, or as many as there are."""
        records = list(self.records)
        roots = Roots.of([self.folder])
        pixels = open_cache(self.folder, roots, records, self.image_size, self.reader)
        last = min(start + count, len(pixels))
        for first in range(start, last, _BATCH):
            yield first, pixels[first : min(first + _BATCH, last)]


def load_imported(
    label: str, config: BalancerConfig, workspace: Workspace, index: Index
) -> ImportedSource | None:
    """Load the images from outside of a class; None if there are none.

    Args:
        label: The class.
        config: Images are brought to the side at which the classifier reads images; they are never
            enlarged.
        workspace: Reads `imported/LABEL/`.
        index: Today's index.

    Raises:
        IntegrityError: They were compared with another split than today's, come from an image
            that is not a training image today, or were changed.
    """
    folder = workspace.imported_dir(label)
    result = read_result(folder, ImportMetrics)
    if result is None:
        return None
    again = "import them again with `balancer import-synthetic --force`"
    if result.inputs.get("index") != index.index_hash:
        raise IntegrityError(
            f"The images in {folder} were compared with another split than today's index.csv; "
            f"{again}."
        )
    lineage = (folder / LINEAGE_FILE, result.metrics.lineage)
    for path, expected in ((folder / TABLE, result.metrics.table), lineage):
        if not path.is_file() or fingerprint(path.read_bytes()) != expected:
            raise IntegrityError(f"{path} is missing or was changed after the import; {again}.")
    try:
        known = ClassLineage.model_validate_json((folder / LINEAGE_FILE).read_bytes())
    except ValidationError as error:
        raise IntegrityError(f"{folder / LINEAGE_FILE} cannot be read; {again}.") from error
    if isinstance(known.training_ids, tuple):
        check_training_ids(known.training_ids, index, str(folder), advice=again)
    return ImportedSource(
        name=result.metrics.name,
        records=tuple(read_table(folder / TABLE, ImageRecord)),
        folder=folder,
        image_size=min(result.metrics.smallest_side, config.classifier_image_size),
        lineage=known,
        reader=index.preprocessor.alone,
    )
