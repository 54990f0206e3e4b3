"""Families of images that were made from one another, as `balancer audit` finds them."""

import csv
import json
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from balancer.config import BalancerConfig
from balancer.data.audit.content import Finding, TransformedPair
from balancer.data.audit.findings import count
from balancer.data.cache import verified_film
from balancer.data.copies.grouping import PAIR_COLUMNS, group_images
from balancer.data.copies.local_features import LocalFeatures, local_features
from balancer.data.copies.transformed_copies import TransformedCopy, find_transformed_copies
from balancer.data.copies.votes import LEAST_VOTES
from balancer.data.index import Index
from balancer.data.memory import one_image
from balancer.data.records import PrepareMetrics
from balancer.data.roots import Roots
from balancer.data.threads import map_threaded
from balancer.imaging.preprocess import from_record
from balancer.manifest import ImageRecord
from balancer.results import StageResult
from balancer.workspace import Workspace

COPIES_NAME = "copies.csv"
_NOT_REPEATED = {"root", "same_film"}
"""Settings of the index that the next command gives by other means."""


@dataclass(frozen=True, slots=True)
class CopyFamilies:
    """Copies that the groups of an index do not join.

    Attributes:
        pairs: Enough pairs to join each family.
        families: Paths of each family, sorted.
        test: Number of test images.
        leaking: Number of test images with a member of their family in training.
    """

    pairs: Sequence[TransformedPair]
    families: Sequence[Sequence[str]]
    test: int
    leaking: int


def features_of_films(roots: Roots, records: Sequence[ImageRecord]) -> list[LocalFeatures]:
    """Find the local features of the files themselves, before any preprocessing.

    Raises:
        IntegrityError: A file is missing, or its bytes are not those that were prepared.
    """

    def read(record: ImageRecord) -> LocalFeatures:
        with one_image():
            return local_features(verified_film(roots, record))

    return map_threaded(read, records, task=f"Finding local features of {len(records)} images")


def find_families(index: Index) -> CopyFamilies:
    """Search all images of an index for turned, zoomed, framed and cropped copies.

    Raises:
        IntegrityError: A file is missing, or its bytes are not those that were prepared.
    """
    records = index.records
    copies = copies_among(index.roots, records)
    families = group_images(
        [record.image_id for record in records],
        [record.group for record in records],
        [(copy.first, copy.second) for copy in copies],
    )
    trained = {
        family for family, record in zip(families, records, strict=True) if record.split == "train"
    }
    tested = [
        family for family, record in zip(families, records, strict=True) if record.split == "test"
    ]
    members: dict[str, list[str]] = {families[copy.first]: [] for copy in copies}
    for family, record in zip(families, records, strict=True):
        if family in members:
            members[family].append(record.path)
    return CopyFamilies(
        pairs=[_pair(copy, records) for copy in copies],
        families=sorted(sorted(paths) for paths in members.values()),
        test=len(tested),
        leaking=sum(family in trained for family in tested),
    )


def copies_among(
    roots: Roots, records: Sequence[ImageRecord], *, least_votes: int = LEAST_VOTES
) -> list[TransformedCopy]:
    """Search records for copies that their groups do not join; see `features_of_films`."""
    features = features_of_films(roots, records)
    groups = [record.group for record in records]
    return find_transformed_copies(features, groups, least_votes=least_votes)


def finding_of(found: CopyFamilies, command: str, *, is_split: bool = True) -> Finding:
    """Describe the families, and name the command that keeps each in one split.

    Args:
        found: The families.
        command: The command.
        is_split: Whether the images are split; if not, every family counts.
    """
    apart = sum(pair.across_splits for pair in found.pairs)
    images = sum(len(paths) for paths in found.families)
    leak = (
        f"{found.leaking} of {found.test} test images have a member of their family in training. "
        f"Keep each family in one split: {command}"
        if apart
        else "Each family is within one split."
        if is_split
        else "Each family has to be kept in one split."
    )
    return Finding(
        name="transformed-copies",
        title="Turned, zoomed, framed or cropped copies",
        sentence=(
            f"{count(images, 'image')} in {count(len(found.families), 'family', 'families')} were "
            f"made from one another, so the set looks augmented before it was shared. {leak}"
        ),
        counts=apart > 0 or not is_split,
        groups=found.families,
        captions=[count(len(paths), "image") for paths in found.families],
    )


def write_families(
    path: Path, found: CopyFamilies, index: Index, standing: StageResult[PrepareMetrics]
) -> None:
    """Write the table for `data.same_film`; pairs of a table that the index used stay in it."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(PAIR_COLUMNS)
        writer.writerows([pair.first, pair.second] for pair in found.pairs)
        if standing.setting("data.same_film") is not None:
            writer.writerows(_joined_already(index.records))


def next_command(standing: StageResult[PrepareMetrics], workspace: Workspace) -> str:
    """Return the `balancer prepare` that makes the same index anew with the families joined.

    Raises:
        IntegrityError: The index does not record its preprocessing as this version does.
    """
    table = workspace.audit_dir / COPIES_NAME
    words = ["balancer", "prepare", "-w", str(workspace.root), "--force"]
    places = standing.setting("data.root")
    for place in places if isinstance(places, list) else [places]:
        words += ["--data", str(place)]
    default = BalancerConfig()
    if standing.setting("seed", default.seed) != default.seed:
        words += ["--seed", str(standing.setting("seed"))]
    if standing.metrics.quarantined:
        words.append("--skip-bad")
    made = standing.setting("data", {})
    given = {key: value for key, value in made.items() if key not in _NOT_REPEATED}
    words += _assignments("data", given, default.data.model_dump(mode="json"))
    recipe = from_record(standing.setting("preprocessing", {}), "The index")
    words += _assignments(
        "preprocessing",
        recipe.preprocessing.model_dump(mode="json"),
        default.preprocessing.model_dump(mode="json"),
    )
    return shlex.join([*words, "--set", f"data.same_film={table}"])


def _pair(copy: TransformedCopy, records: Sequence[ImageRecord]) -> TransformedPair:
    first, second = records[copy.first], records[copy.second]
    return TransformedPair(
        first=first.path,
        second=second.path,
        similarity=round(copy.similarity, 4),
        mirrored=copy.mirrored,
        degrees=round(copy.degrees, 1),
        zoom=round(copy.zoom, 3),
        across_classes=first.label != second.label,
        across_splits=first.split != second.split,
    )


def _joined_already(records: Sequence[ImageRecord]) -> Iterator[tuple[str, str]]:
    """Chain the images of each group, whose table may be replaced by this one."""
    last: dict[str, str] = {}
    for record in records:
        if record.group in last:
            yield last[record.group], record.path
        last[record.group] = record.path


def _assignments(section: str, values: dict[str, Any], default: dict[str, Any]) -> list[str]:
    return [
        word
        for key, value in values.items()
        if value != default.get(key)
        for word in ("--set", f"{section}.{key}={json.dumps(value, ensure_ascii=False)}")
    ]
