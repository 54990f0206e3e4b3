"""Another data set to test finished models on, without images they may have been trained on."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from balancer.data.audit.admission import drop_copies, refuse_synthetic, refuse_unusable
from balancer.data.build import real_record
from balancer.data.cache import open_cache
from balancer.data.config import DataConfig
from balancer.data.copies.duplicates import find_near_duplicates
from balancer.data.copies.grouping import group_images
from balancer.data.film.examine import Examined, examine_images, examine_prepared
from balancer.data.index import ImageSet, Index
from balancer.data.layouts.archives import read_archives
from balancer.data.masks.of_index import choose_masks, masks_of
from balancer.data.metadata import UNKNOWN, ImageMetadata
from balancer.data.roots import Roots
from balancer.data.scan import FoundImage, Scan, Unusable
from balancer.data.split import verify_splits
from balancer.errors import DataError
from balancer.evaluation.records import ExternalFacts
from balancer.imaging.config import ImageRecipe
from balancer.imaging.preprocess import preprocessor
from balancer.manifest import ImageRecord, fingerprint

BYTES, PIXELS, FILM = "same bytes", "same pixels", "near duplicate"
GROUP = "same patient or film as one of these"
"""Accepts every image: those of an index were checked when it was made."""


@dataclass(frozen=True, slots=True)
class External:
    """A data set for testing.

    Attributes:
        records: Images by path, with classes named as in the index, all of the split `test`.
        roots: Folders that the paths start from.
        dropped: Number of images left out for each way in which the index contains them.
        unusable: Files that are not usable images.
        n_copies: Number of files with the bytes of another file of the set.
        masks: Path of an image to the path of its lung mask, where the data set has masks.
    """

    records: Sequence[ImageRecord]
    roots: Roots
    dropped: Mapping[str, int]
    unusable: Sequence[Unusable]
    n_copies: int
    masks: Mapping[str, str] = field(default_factory=dict)

    def image_set(
        self, directory: Path, size: int, preprocessing: ImageRecipe | None = None
    ) -> ImageSet:
        """Return all records with their pixels at a size, decoded once into `cache/` of a folder.

        Args:
            directory: The folder.
            size: Side in pixels.
            preprocessing: Preprocessing of the classifiers' training images; None: none.

        Raises:
            IntegrityError: See `open_cache`.
            DataError: The preprocessing needs lung masks that an image lacks.
        """
        roots, wanted = self.roots, preprocessing or ImageRecipe()
        if wanted.lungs != "none" and wanted.masks == "unet":
            raise DataError(
                f"The images of {self.roots} should be preprocessed as the training images, "
                "whose lung masks a U-Net made, but it is not available for other images; prepare "
                "and train with preprocessing.masks=auto to test on other data."
            )
        paths = [record.path for record in self.records]
        chosen = choose_masks(paths, wanted, roots, self.masks, directory)
        masks = masks_of(self.records, chosen, wanted, roots, directory)
        pixels = open_cache(directory, roots, self.records, size, preprocessor(wanted), masks)
        return ImageSet(self.records, pixels)

    def facts(self) -> ExternalFacts:
        """Count what is used and what is left out."""
        return ExternalFacts(
            classes=dict(sorted(Counter(record.label for record in self.records).items())),
            n_images=len(self.records),
            n_groups=len({record.group for record in self.records}),
            dropped=dict(self.dropped),
            unusable=len(self.unusable),
            copies=self.n_copies,
        )


def fingerprint_of_labels(records: Sequence[ImageRecord]) -> str:
    """Return the SHA-256 of the classes and groups of images in their order."""
    return fingerprint("\n".join(f"{one.label}\0{one.group}" for one in records).encode())


def load_external(root: Path, index: Index, config: DataConfig) -> External:
    """Read an archive of any layout, without images that the index contains in some form.

    After `external_classes`, a label belongs to the class of the same name in the index, or to the
    only one that differs in upper and lower case alone. An image is left out if it has the bytes or
    pixels of an image of the index, or is a near duplicate of one; so is the rest of its group,
    since the classifier may have seen the patient.

    Args:
        root: The archive.
        index: The index; its files are read again.
        config: `skip_bad`, `external_classes`, `views` and the limits of a usable image; the layout
            is recognised, and the shares of the splits are not used.

    Raises:
        DataError: A class, an image or the metadata does not fit, or no image is left.
        IntegrityError: An image is synthetic or in two classes, or a file of the index has changed.
    """
    roots, setting = Roots.of([root.expanduser().resolve()]), "data.external_classes"
    here = config.model_copy(update={"layout": "auto", "classes": config.external_classes})
    scan = read_archives(roots, here, min_classes=1, setting=setting)
    label_of = _match_classes(root, scan.labels, index.classes)
    metadata = scan.metadata
    images, unusable = _examined(roots, scan, label_of, config.with_side_of(scan.min_side))
    group_of, seen = _compare(
        images, examine_prepared(index.roots, index.records), metadata, config.duplicate_correlation
    )
    kept, copies = drop_copies(images)
    dropped = Counter(seen[image.path] for image in kept if image.path in seen)
    records = [
        real_record(image, group_of[image.path], metadata, "test")
        for image in kept
        if image.path not in seen
    ]
    if not records:
        raise DataError(
            f"{str(root)!r} should hold usable images that the index lacks, but "
            f"{len(kept)} of {len(kept)} show an image or a patient of it; give another data set."
        )
    records.sort(key=lambda record: record.path)
    verify_splits(records)
    order = {reason: dropped[reason] for reason in (BYTES, PIXELS, FILM, GROUP)}
    return External(records, roots, order, unusable, len(copies), scan.masks)


def _match_classes(root: Path, found: Sequence[str], wanted: Sequence[str]) -> dict[str, str]:
    """Map each folder to a class of the index."""
    matches = {name: _matches(name, wanted) for name in found}
    fits = {name: fit[0] for name, fit in matches.items() if len(fit) == 1}
    if len(fits) < len(found) or len(set(fits.values())) < len(fits):
        raise DataError(
            f"{str(root)!r} should have a folder per class of the index ({', '.join(wanted)}), but "
            f"has {', '.join(found)}; rename or remove the others, or name those to take in "
            "data.external_classes."
        )
    return fits


def _matches(name: str, wanted: Sequence[str]) -> list[str]:
    if name in wanted:
        return [name]
    return [label for label in wanted if label.casefold() == name.casefold()]


def _examined(
    roots: Roots, scan: Scan, label_of: Mapping[str, str], config: DataConfig
) -> tuple[list[Examined], list[Unusable]]:
    found = [FoundImage(image.path, label_of[image.label]) for image in scan.images]
    images, unusable = examine_images(roots, found, config)
    refuse_synthetic(images)
    unusable = sorted([*unusable, *scan.refused], key=lambda file: file.path)
    if not config.skip_bad:
        refuse_unusable(unusable, len(scan.images) + len(scan.refused))
    return images, unusable


def _compare(
    images: Sequence[Examined],
    films: Sequence[Examined],
    metadata: Mapping[str, ImageMetadata],
    correlation: float,
) -> tuple[dict[str, str], dict[str, str]]:
    """Return the group of each image, and how the index contains those that it contains."""
    first: dict[str, int] = {}
    same = [
        (first.setdefault(image.pixel_hash, place), place) for place, image in enumerate(images)
    ]
    seen = _equal_to(images, films)
    fresh = [place for place in first.values() if place not in seen]
    unique = {film.pixel_hash: film for film in films}
    # Images of the index come first, so if one image of a pair is of the index, the first is.
    pool = [*unique.values(), *(images[place] for place in fresh)]
    links = list(same)
    for pair in find_near_duplicates(pool, correlation):
        one, other = pair.first - len(unique), pair.second - len(unique)
        if one >= 0:
            links.append((fresh[one], fresh[other]))
        elif other >= 0:
            seen[fresh[other]] = FILM
    groups = group_images(
        [image.image_id for image in images],
        [metadata.get(image.path, UNKNOWN).patient_id for image in images],
        links,
        [metadata.get(image.path, UNKNOWN).unit for image in images],
    )
    seen |= {other: seen[one] for one, other in same if one in seen and other not in seen}
    known = {groups[place] for place in seen}
    seen = {place: GROUP for place, group in enumerate(groups) if group in known} | seen
    group_of = {image.path: group for image, group in zip(images, groups, strict=True)}
    return group_of, {images[place].path: reason for place, reason in seen.items()}


def _equal_to(images: Sequence[Examined], films: Sequence[Examined]) -> dict[int, str]:
    ids = {film.image_id for film in films}
    pixels = {film.pixel_hash for film in films}
    return {
        place: BYTES if image.image_id in ids else PIXELS
        for place, image in enumerate(images)
        if image.pixel_hash in pixels
    }
