"""The index as later stages read it, and the gate that keeps its splits apart."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from balancer.data.cache import open_cache
from balancer.data.details_table import ImageDetails, read_details
from balancer.data.io import Pixels
from balancer.data.preprocessing import INDEX_NAME, index_fingerprint, read_preprocessing
from balancer.data.records import PrepareMetrics
from balancer.data.roots import Roots
from balancer.data.split import verify_splits
from balancer.domains.domain import CHEST, Domain, domain_of
from balancer.errors import ConfigurationError, IntegrityError
from balancer.imaging.config import ImageRecipe
from balancer.imaging.preprocess import Preprocessor, preprocessor
from balancer.manifest import (
    REAL,
    SYNTHETIC,
    ImageRecord,
    SyntheticRecord,
    fingerprint,
    read_table,
)
from balancer.results import MissingStage, StageResult, read_result
from balancer.workspace import Workspace
from classifier.tables import ArrayTable

if TYPE_CHECKING:
    from balancer.data.masks.of_index import LungMasks


@dataclass(frozen=True, slots=True)
class ImageSet:
    """Records and, in the same order, their pixels: uint8 (N, S, S) or (N, S, S, 3)."""

    records: Sequence[ImageRecord]
    pixels: Pixels


@dataclass(frozen=True, slots=True)
class Index:
    """A verified index.

    Attributes:
        records: All real images.
        index_hash: SHA-256 of `index.csv`, and of the recipe of the preprocessing where there is
            one; later stages record it as their input.
        roots: Archives of the images.
        directory: Folder of the index.
        preprocessing: Way from each file to its pixels: channels, and preprocessing before it
            becomes a square.
        masks: Lung masks that the preprocessing needs; None: it needs none.
        domain: Kind of the images.
    """

    records: Sequence[ImageRecord]
    index_hash: str
    roots: Roots
    directory: Path
    preprocessing: ImageRecipe = field(default_factory=ImageRecipe)
    masks: "LungMasks | None" = None
    domain: Domain = field(default_factory=lambda: domain_of(CHEST))

    @property
    def preprocessor(self) -> Preprocessor:
        """Function that preprocesses the images of this index."""
        return preprocessor(self.preprocessing)

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names, sorted; the number of a class is its position here."""
        return tuple(sorted({record.label for record in self.records}))

    def select(self, split: str, label: str | None = None) -> list[ImageRecord]:
        """Return the records of a split, and of a class if one is named."""
        return [
            record
            for record in self.records
            if record.split == split and label in (None, record.label)
        ]

    def counts(self, split: str) -> dict[str, int]:
        """Return class to number of images in a split."""
        return {label: len(self.select(split, label)) for label in self.classes}

    def positive_class(self, wanted: str | None) -> str:
        """Return the class that sensitivity refers to: the one given, else the rarest in training.

        Raises:
            ConfigurationError: There is no such class.
        """
        if wanted is None:
            counts = self.counts("train")
            return min(counts, key=lambda label: (counts[label], label))
        if wanted not in self.classes:
            raise ConfigurationError(
                f"evaluation.positive_class should be one of {', '.join(self.classes)}, not "
                f"{wanted!r}."
            )
        return wanted

    def details(self) -> list[ImageDetails]:
        """Read the views and masks, in the order of the records; see `read_details`."""
        return read_details(self.directory, self.records)

    def prepared_as(self, preprocessing: ImageRecipe) -> "Index":
        """Return the same images and splits with another preprocessing.

        Args:
            preprocessing: The preprocessing; lungs are those of the archive's masks where it has
                them, else as `preprocessing.masks` says.

        Raises:
            DataError: It needs lung masks that an image lacks.
        """
        if preprocessing == self.preprocessing:
            return self
        # Imported here alone: an index without a view of the lungs needs no code for masks.
        from balancer.data.masks.of_index import choose_masks, masks_of

        paths = [record.path for record in self.records]
        place = Workspace(self.directory.parent).main.root
        archive = {} if preprocessing.lungs == "none" else self._archive_masks()
        chosen = choose_masks(paths, preprocessing, self.roots, archive, place)
        masks = masks_of(self.records, chosen, preprocessing, self.roots, place)
        table = (self.directory / INDEX_NAME).read_bytes()
        return replace(
            self,
            preprocessing=preprocessing,
            masks=masks,
            index_hash=index_fingerprint(table, preprocessing, masks),
        )

    def _archive_masks(self) -> dict[str, str]:
        return {
            record.path: one.mask
            for record, one in zip(self.records, self.details(), strict=True)
            if one.mask
        }

    def image_set(self, size: int) -> ImageSet:
        """Return all records with their pixels at a size; see `open_cache` for the errors."""
        pixels = open_cache(
            self.directory, self.roots, self.records, size, self.preprocessor, self.masks
        )
        return ImageSet(self.records, pixels)

    def pixels(self, size: int, split: str, label: str) -> Pixels:
        """Return the images of a class in a split, in their order, as `ImageSet` has them."""
        rows = [
            row
            for row, record in enumerate(self.records)
            if record.split == split and record.label == label
        ]
        return self.image_set(size).pixels[rows]


@dataclass(frozen=True, slots=True)
class RadiographTable(ArrayTable):
    """Images with class numbers, and the records of the images.

    Attributes:
        records: Record of each image.
        classes: Class names, sorted; labels are positions in it.
    """

    records: Sequence[ImageRecord]
    classes: tuple[str, ...]


def load_index(index_dir: Path) -> Index:
    """Read an index, refusing one that was edited or leaks.

    Raises:
        MissingStage: `prepare` has not run.
        IntegrityError: `index.csv` is not the file that `prepare` wrote, or leaks.
    """
    result = read_result(index_dir, PrepareMetrics)
    path = index_dir / INDEX_NAME
    if result is None or not path.is_file():
        raise MissingStage("prepare", f"There is no index in {index_dir} yet.", cheap=True)
    table = path.read_bytes()
    if fingerprint(table) != result.metrics.index_sha256:
        raise IntegrityError(
            f"{path} should be as prepare wrote it, but was changed; "
            "run prepare again with --force."
        )
    records = read_table(path, ImageRecord)
    verify_splits(records)
    roots = _roots(result, path)
    preprocessing, masks = read_preprocessing(result, index_dir, roots)
    index_hash = index_fingerprint(table, preprocessing, masks)
    domain = domain_of(result.setting("data.domain", CHEST))
    return Index(records, index_hash, roots, index_dir, preprocessing, masks, domain)


def _roots(result: StageResult[PrepareMetrics], path: Path) -> Roots:
    try:
        root = result.setting("data.root")
        return Roots.of([Path(one) for one in ([root] if isinstance(root, str) else root)])
    except TypeError:
        raise IntegrityError(
            f"{path.with_name('result.json')} should name the data folder, but was changed; "
            "run prepare again with --force."
        ) from None


def training_table(
    real: ImageSet, classes: Sequence[str], synthetic: ImageSet | None = None
) -> RadiographTable:
    """Return the training images: real ones of the training split, then accepted synthetic ones.

    Raises:
        IntegrityError: A synthetic record is among the real ones or the reverse, or a synthetic
            image is in validation or test.
    """
    _require_origin(real.records, REAL)
    rows = [(0, row) for row, record in enumerate(real.records) if record.split == "train"]
    sets = [real]
    if synthetic is not None:
        _require_origin(synthetic.records, SYNTHETIC)
        _require_training(synthetic.records)
        sets.append(synthetic)
        rows += [(1, row) for row, record in enumerate(synthetic.records) if _accepted(record)]
    return _table(sets, rows, classes)


def evaluation_table(real: ImageSet, classes: Sequence[str], split: str) -> RadiographTable:
    """Return the images of the validation or test split, which are all real.

    Raises:
        IntegrityError: A synthetic record is among them, or the split is that of training.
    """
    if split not in ("val", "test"):
        raise IntegrityError(f"Evaluation should use val or test, but was given {split!r}.")
    _require_origin(real.records, REAL)
    rows = [(0, row) for row, record in enumerate(real.records) if record.split == split]
    return _table([real], rows, classes)


def _require_origin(records: Sequence[ImageRecord], origin: str) -> None:
    strangers = [record for record in records if record.origin != origin]
    if strangers:
        first = strangers[0]
        raise IntegrityError(
            f"All images of this table should be {origin}, but {len(strangers)} are not, first "
            f"{first.path!r} ({first.origin}, {first.split}); run prepare and synthesize again."
        )


def _require_training(records: Sequence[ImageRecord]) -> None:
    for record in records:
        if record.split != "train":
            raise IntegrityError(
                f"Synthetic images should be in train only, but {record.path!r} is in "
                f"{record.split!r}; run synthesize again with --force."
            )


def _accepted(record: ImageRecord) -> bool:
    return not isinstance(record, SyntheticRecord) or record.accepted


def _table(
    sets: Sequence[ImageSet], rows: Sequence[tuple[int, int]], classes: Sequence[str]
) -> RadiographTable:
    number = {label: position for position, label in enumerate(classes)}
    records = [sets[source].records[row] for source, row in rows]
    for record in records:
        if record.label not in number:
            raise IntegrityError(
                f"{record.path!r} should be of a class of the index ({', '.join(classes)}), but is "
                f"of {record.label!r}; run the stage that listed it again with --force."
            )
    return RadiographTable(
        records=records,
        labels=np.array([number[record.label] for record in records], np.int64),
        classes=tuple(classes),
        sources=[part.pixels for part in sets],
        places=np.array(rows, np.int64).reshape(-1, 2),
    )
