"""From the files of archives to the records of an index and the audit of its images."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from balancer.data.audit.admission import (
    as_unusable,
    drop_copies,
    refuse_small_classes,
    refuse_synthetic,
    refuse_unusable,
    set_apart_conflicts,
)
from balancer.data.audit.content import Audit
from balancer.data.audit.record import record_audit
from balancer.data.config import DataConfig
from balancer.data.copies.duplicates import NearDuplicate, find_near_duplicates
from balancer.data.copies.grouping import group_images, read_pairs
from balancer.data.film.examine import Examined
from balancer.data.metadata import UNKNOWN, ImageMetadata
from balancer.data.official_split import follow_official_split
from balancer.data.patients import refuse_one_patient_per_class
from balancer.data.scan import Scan, Unusable
from balancer.data.split import split_groups, verify_splits
from balancer.domains.domain import CHEST, domain_of
from balancer.manifest import HELD_BACK, REAL, SPLITS, ImageRecord

if TYPE_CHECKING:
    from balancer.data.masks.of_index import MaskFile


@dataclass(frozen=True, slots=True)
class BuiltIndex:
    """Records and audit of a new index.

    Attributes:
        records: Sorted by path, which puts classes together.
        quarantine: Files set aside.
        audit: Content of `audit.json`.
    """

    records: list[ImageRecord]
    quarantine: list[Unusable]
    audit: Audit


def build_index(
    scan: Scan,
    images: Sequence[Examined],
    unusable: Sequence[Unusable],
    config: DataConfig,
    *,
    seed: int,
    masks: "Mapping[str, MaskFile] | None" = None,
) -> BuiltIndex:
    """Check, group and split the images that a scan found.

    Args:
        scan: The files, and what is known of them.
        images: The usable files, in the order of the scan.
        unusable: The other files.
        config: Limits and shares.
        seed: Seed for the split.
        masks: Path of an image to its lung mask; None or empty: no masks are used.

    Raises:
        DataError: Images or the metadata cannot be used as they are.
        IntegrityError: An image is synthetic, or is in two classes.
    """
    metadata = scan.metadata
    refuse_synthetic(images)
    unusable = sorted([*unusable, *scan.refused], key=lambda file: file.path)
    conflicts: list[list[Examined]] = []
    if config.skip_bad:
        images, conflicts = set_apart_conflicts(images)
        unusable = sorted([*unusable, *as_unusable(conflicts)], key=lambda file: file.path)
    else:
        refuse_unusable(unusable, len(scan.images) + len(scan.refused))
    kept, copies = drop_copies(images)
    refuse_small_classes(kept, scan.labels, config.min_images, scan.ignored)
    links, near = _same_films(images, config.duplicate_correlation)
    if config.same_film is not None:
        links += read_pairs(config.same_film, [image.path for image in images])
    known = [metadata.get(image.path, UNKNOWN) for image in images]
    groups = group_images(
        [image.image_id for image in images],
        [one.patient_id for one in known],
        links,
        [one.unit for one in known],
    )
    refuse_one_patient_per_class(
        [image.label for image in images], [one.patient_id or one.unit for one in known], groups
    )
    group_of = {image.path: group for image, group in zip(images, groups, strict=True)}
    if config.official_split:
        share = config.split[1] / (config.split[0] + config.split[1])
        split_of = follow_official_split(scan, images, groups, val_share=share, seed=seed)
        kept, copies = drop_copies([image for image in images if image.path in split_of])
    else:
        split_of = _drawn_split(kept, group_of, config, seed)
    records = [
        real_record(image, group_of[image.path], metadata, split_of[image.path]) for image in kept
    ]
    records.sort(key=lambda record: record.path)
    verify_splits(records)
    audit = record_audit(
        scan,
        kept=kept,
        unusable=unusable,
        conflicts=conflicts,
        copies=copies,
        images=images,
        near=near,
        groups=[group_of[image.path] for image in kept],
        splits=split_table(records, scan.labels),
        domain=domain_of(CHEST if config.domain == "auto" else config.domain),
        mask_methods=[masks[image.path].method for image in kept] if masks else (),
    )
    return BuiltIndex(records, unusable, audit)


def audit_of(
    scan: Scan, images: Sequence[Examined], unusable: Sequence[Unusable], config: DataConfig
) -> tuple[Audit, list[ImageRecord]]:
    """Audit images that are in no index: nothing is split, and no class is too small.

    Args:
        scan: The files, and what is known of them.
        images: The usable files, in the order of the scan.
        unusable: The other files.
        config: Limits; `domain` has to be decided.

    Returns:
        The audit without splits, and a record of each image, sorted by path; its split is empty.
    """
    images, conflicts = set_apart_conflicts(images)
    unusable = sorted([*unusable, *as_unusable(conflicts)], key=lambda file: file.path)
    kept, copies = drop_copies(images)
    links, near = _same_films(images, config.duplicate_correlation)
    known = [scan.metadata.get(image.path, UNKNOWN) for image in images]
    groups = group_images(
        [image.image_id for image in images],
        [one.patient_id for one in known],
        links,
        [one.unit for one in known],
    )
    group_of = {image.path: group for image, group in zip(images, groups, strict=True)}
    audit = record_audit(
        scan,
        kept=kept,
        unusable=unusable,
        conflicts=conflicts,
        copies=copies,
        images=images,
        near=near,
        groups=[group_of[image.path] for image in kept],
        splits={},
        domain=domain_of(config.domain),
    )
    records = [real_record(one, group_of[one.path], scan.metadata, "") for one in kept]
    return audit, sorted(records, key=lambda record: record.path)


def _same_films(
    images: Sequence[Examined], correlation: float
) -> tuple[list[tuple[int, int]], list[NearDuplicate]]:
    """Return pairs to keep together, and the near duplicates among them without equal pixels."""
    first: dict[str, int] = {}
    links = [
        (first.setdefault(image.pixel_hash, place), place) for place, image in enumerate(images)
    ]
    places = list(first.values())
    near = [
        replace(pair, first=places[pair.first], second=places[pair.second])
        for pair in find_near_duplicates([images[place] for place in places], correlation)
    ]
    return [*links, *((pair.first, pair.second) for pair in near)], near


def _drawn_split(
    kept: Sequence[Examined], group_of: Mapping[str, str], config: DataConfig, seed: int
) -> dict[str, str]:
    """Return path to split, drawn by group."""
    split_of = split_groups(
        [group_of[image.path] for image in kept],
        [image.label for image in kept],
        shares=config.split,
        seed=seed,
    )
    return {image.path: split_of[group_of[image.path]] for image in kept}


def real_record(
    image: Examined, group: str, metadata: Mapping[str, ImageMetadata], split: str
) -> ImageRecord:
    """Return the row of the index for an examined image."""
    return ImageRecord(
        image_id=image.image_id,
        path=image.path,
        label=image.label,
        group=group,
        source=metadata.get(image.path, UNKNOWN).source,
        width=image.width,
        height=image.height,
        split=split,
        origin=REAL,
    )


def split_table(records: Sequence[ImageRecord], labels: Sequence[str]) -> dict[str, dict[str, int]]:
    """Return split to class to number of images."""
    counts = Counter((record.split, record.label) for record in records)
    held_back = [HELD_BACK] if any(split == HELD_BACK for split, _ in counts) else []
    splits = (*SPLITS, *held_back)
    return {split: {label: counts[split, label] for label in labels} for split in splits}
