"""From a data folder to the records of its index and the audit of its images."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from balancer.data.audit import (
    Association,
    Copy,
    associate,
    class_table,
    collect_flags,
    drop_copies,
    refuse_small_classes,
    refuse_synthetic,
    refuse_unusable,
)
from balancer.data.duplicates import NearDuplicate, find_near_duplicates
from balancer.data.examine import Examined, examine_images
from balancer.data.grouping import group_images
from balancer.data.metadata import UNKNOWN, ImageMetadata, read_metadata
from balancer.data.roots import Roots
from balancer.data.scan import METADATA_NAME, Scan, Unusable
from balancer.data.split import split_groups, verify_splits
from balancer.manifest import HELD_BACK, REAL, SPLITS, ImageRecord
from balancer.sections import DataConfig

PATIENT, CLUSTER = "patient", "near-duplicate cluster"


@dataclass(frozen=True, slots=True)
class BuiltIndex:
    """What `prepare` writes.

    Attributes:
        records: Sorted by path, which puts classes together.
        quarantine: Files set aside.
        audit: JSON types; the content of `audit.json`.
    """

    records: list[ImageRecord]
    quarantine: list[Unusable]
    audit: dict[str, Any]


def build_index(root: Path, scan: Scan, config: DataConfig, *, seed: int) -> BuiltIndex:
    """Read, check, group and split the images that a scan found.

    Raises:
        DataError: Images or the metadata cannot be used as they are.
        IntegrityError: An image is synthetic, or stands in two classes.
    """
    known = [image.path for image in scan.images]
    metadata = read_metadata(root / METADATA_NAME, [*known, *(file.path for file in scan.refused)])
    images, unusable = examine_images(Roots.of([root]), scan.images, config)
    refuse_synthetic(images)
    unusable = sorted([*unusable, *scan.refused], key=lambda file: file.path)
    if not config.skip_bad:
        refuse_unusable(unusable, len(scan.images) + len(scan.refused))
    kept, copies = drop_copies(images)
    refuse_small_classes(kept, scan.labels, config.min_images)
    links, near = _same_films(images, config.duplicate_distance)
    groups = group_images(
        [image.image_id for image in images],
        [metadata.get(image.path, UNKNOWN).patient_id for image in images],
        links,
    )
    group_of = {image.path: group for image, group in zip(images, groups, strict=True)}
    records = _records(kept, group_of, metadata, config, seed)
    audit = _audit(scan, records, kept, unusable, copies, images, near, metadata)
    return BuiltIndex(records, unusable, audit)


def _same_films(
    images: Sequence[Examined], distance: int
) -> tuple[list[tuple[int, int]], list[NearDuplicate]]:
    """Pairs to keep together, and those among them that no equality of pixels explains."""
    first: dict[str, int] = {}
    links = [
        (first.setdefault(image.pixel_hash, place), place) for place, image in enumerate(images)
    ]
    places = list(first.values())
    near = [
        NearDuplicate(places[pair.first], places[pair.second], pair.distance, pair.correlation)
        for pair in find_near_duplicates([images[place] for place in places], distance)
    ]
    return [*links, *((pair.first, pair.second) for pair in near)], near


def _records(
    kept: Sequence[Examined],
    group_of: Mapping[str, str],
    metadata: Mapping[str, ImageMetadata],
    config: DataConfig,
    seed: int,
) -> list[ImageRecord]:
    split_of = split_groups(
        [group_of[image.path] for image in kept],
        [image.label for image in kept],
        shares=config.split,
        seed=seed,
    )
    records = [
        real_record(image, group_of[image.path], metadata, split_of[group_of[image.path]])
        for image in kept
    ]
    records.sort(key=lambda record: record.path)
    verify_splits(records)
    return records


def real_record(
    image: Examined, group: str, metadata: Mapping[str, ImageMetadata], split: str
) -> ImageRecord:
    """The row of an image that was examined."""
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


def _audit(
    scan: Scan,
    records: Sequence[ImageRecord],
    kept: Sequence[Examined],
    unusable: Sequence[Unusable],
    copies: Sequence[Copy],
    images: Sequence[Examined],
    near: Sequence[NearDuplicate],
    metadata: Mapping[str, ImageMetadata],
) -> dict[str, Any]:
    labels = [image.label for image in kept]
    of_kept = [metadata.get(image.path, UNKNOWN) for image in kept]
    source = associate([known.source for known in of_kept], labels)
    view = associate([known.view for known in of_kept], labels)
    audit: dict[str, Any] = {
        "classes": class_table(scan.labels, kept, unusable, copies),
        "splits": split_table(records, scan.labels),
        "groups": _group_facts(records, [known.patient_id for known in of_kept]),
        "source": None if source is None else asdict(source),
        "view": None if view is None else asdict(view),
        "quarantined": len(unusable),
        "ignored": dict(sorted(scan.ignored.items())),
        "copies": [asdict(copy) for copy in copies],
        "near_duplicates": [
            {
                "first": images[pair.first].path,
                "second": images[pair.second].path,
                "across_classes": images[pair.first].label != images[pair.second].label,
                "distance": pair.distance,
                "correlation": round(pair.correlation, 4),
            }
            for pair in near
        ],
        "flags": collect_flags(kept),
    }
    return {"warnings": _warnings(audit, source, view), **audit}


def split_table(records: Sequence[ImageRecord], labels: Sequence[str]) -> dict[str, dict[str, int]]:
    """Split to class to number of images."""
    counts = Counter((record.split, record.label) for record in records)
    held_back = [HELD_BACK] if any(split == HELD_BACK for split, _ in counts) else []
    splits = (*SPLITS, *held_back)
    return {split: {label: counts[split, label] for label in labels} for split in splits}


def _group_facts(records: Sequence[ImageRecord], patients: Sequence[str]) -> dict[str, Any]:
    sizes = Counter(record.group for record in records)
    return {
        "kind": PATIENT if any(patients) else CLUSTER,
        "number": len(sizes),
        "largest": max(sizes.values()),
        "of_several_images": sum(size > 1 for size in sizes.values()),
        "images_without_patient": sum(not patient for patient in patients),
    }


def _warnings(
    audit: Mapping[str, Any], source: Association | None, view: Association | None
) -> list[str]:
    warnings = []
    groups = audit["groups"]
    if groups["kind"] == CLUSTER:
        warnings.append(
            "Patient leakage NOT excluded: no metadata.csv with patient_id, so only copies of one "
            "film are kept in one split, and two films of a patient may be in different ones."
        )
    elif groups["images_without_patient"]:
        warnings.append(
            f"Patient leakage NOT excluded for {_count(groups['images_without_patient'], 'image')} "
            "without a patient_id in metadata.csv."
        )
    for name, found in (("source", source), ("view", view)):
        if found is not None and found.gives_label_away:
            strength = "" if found.cramers_v is None else f" (Cramer's V {found.cramers_v:.2f})"
            warnings.append(
                f"THE {name.upper()} ALONE GIVES THE CLASS AWAY{strength}: a classifier can score "
                f"well here by recognising the {name} instead of the disease."
            )
    across = sum(pair["across_classes"] for pair in audit["near_duplicates"])
    if across:
        warnings.append(
            f"{_count(across, 'pair')} of near duplicates in two classes: one label is wrong."
        )
    if audit["quarantined"]:
        set_aside = _count(audit["quarantined"], "unusable file")
        warnings.append(f"{set_aside} set aside: quarantine.csv.")
    warnings.extend(
        f"{_count(number, 'file or folder', 'files or folders')} ignored: {kind}."
        for kind, number in audit["ignored"].items()
        if kind != "other file"
    )
    warnings.extend(
        f"{_count(len(paths), 'image')}: {flag}." for flag, paths in audit["flags"].items()
    )
    return warnings


def _count(number: int, singular: str, plural: str = "") -> str:
    return f"{number} {singular if number == 1 else plural or singular + 's'}"
