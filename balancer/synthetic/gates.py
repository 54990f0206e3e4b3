"""The gates between synthetic images and today's split."""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from pydantic import ValidationError

from balancer.data.index import Index
from balancer.data.threads import map_threaded
from balancer.errors import IntegrityError
from balancer.manifest import (
    SYNTHETIC,
    ImageRecord,
    SyntheticRecord,
    fingerprint,
    read_table,
)
from balancer.results import MissingStage, read_result
from balancer.synthetic.records import LINEAGE, ClassLineage, OutsideSource, SynthesizeMetrics
from balancer.workspace import Workspace

REJECTS = "rejected"
"""Folder of the images that the screen rejected."""
LINEAGE_NAME, MANIFEST_NAME = "lineage.json", "manifest.csv"


def load_synthetic(workspace: Workspace, index: Index) -> list[SyntheticRecord]:
    """Load the accepted synthetic images, all of them training rows.

    Raises:
        BalancerError: As for `load_with_rejects`.
    """
    return [record for record in load_with_rejects(workspace, index) if record.accepted]


def load_with_rejects(workspace: Workspace, index: Index) -> list[SyntheticRecord]:
    """Load all synthetic images, rejected ones included.

    Raises:
        MissingStage: There are none.
        IntegrityError: The manifest or an image was changed, images were added or removed, they
            were made for another split, a row is outside training, or a source was made from
            validation or test images.
    """
    directory = workspace.synthetic_dir
    result = read_result(directory, SynthesizeMetrics)
    if result is None:
        raise MissingStage(
            "synthesize",
            f"There are no synthetic images in {directory}; ask `balancer synthesize --ratio` for "
            "a ratio that the training split does not reach by itself.",
            cheap=True,
        )
    manifest = directory / MANIFEST_NAME
    if not manifest.is_file() or fingerprint(manifest.read_bytes()) != result.metrics.manifest:
        raise IntegrityError(
            f"{manifest} is missing or was changed after it was written; make the images again "
            "with `balancer synthesize --force`."
        )
    if result.inputs.get("index") != index.index_hash:
        raise IntegrityError(
            f"The images in {directory} were made for another split than today's index.csv; make "
            "them again with `balancer synthesize --force`."
        )
    records = read_table(manifest, SyntheticRecord)
    for record in records:
        if (
            record.origin != SYNTHETIC
            or record.split != "train"
            or record.label not in index.classes
        ):
            raise IntegrityError(
                f"{manifest} should hold synthetic training images only, but {record.path} is "
                f"marked {record.origin}, {record.split}, {record.label}; make the images again "
                "with `balancer synthesize --force`."
            )
    _check_lineage(directory, index, {record.label for record in records})
    _check_files(directory, records)
    return records


def outside_sources(workspace: Workspace) -> dict[str, OutsideSource]:
    """Return the sources from outside of the images in `synthetic/`, by class."""
    result = read_result(workspace.synthetic_dir, SynthesizeMetrics)
    return {} if result is None else result.metrics.outside


def synthetic_fingerprint(records: Sequence[SyntheticRecord]) -> str:
    """Hash the images, none or more, as stages record them among their inputs."""
    return fingerprint("\n".join(record.image_id for record in records).encode())


def write_lineage(folder: Path, lineage: Mapping[str, ClassLineage]) -> None:
    """Write `lineage.json`, by class."""
    plain = LINEAGE.dump_python(dict(lineage), mode="json", exclude_unset=True)
    content = json.dumps(plain, indent=2)
    (folder / LINEAGE_NAME).write_text(content + "\n", encoding="utf-8")


def held_out(index: Index) -> list[ImageRecord]:
    """Return the images that no generator may see: all but those of the training split."""
    return [record for record in index.records if record.split != "train"]


def check_training_ids(
    training_ids: Iterable[str],
    index: Index,
    what: str,
    *,
    advice: str = "train it again with `balancer gan-train --force`",
) -> None:
    """Refuse a source that was made from an image of today's validation or test split.

    Args:
        training_ids: Content hashes of the images that it was made from.
        index: Today's.
        what: Name of what comes from the source, for the message.
        advice: What to do, for the message.

    Raises:
        IntegrityError: It was; the message has the number of such images.
    """
    seen = {record.image_id for record in held_out(index)}.intersection(training_ids)
    if seen:
        raise IntegrityError(
            f"{what} comes from a generator that was trained on {len(seen)} image(s) of today's "
            f"validation or test split; {advice}."
        )


def read_lineage(directory: Path) -> dict[str, ClassLineage]:
    """Read `lineage.json`, which `load_synthetic` has checked."""
    return LINEAGE.validate_json((directory / LINEAGE_NAME).read_bytes())


def _check_lineage(directory: Path, index: Index, labels: set[str]) -> None:
    path = directory / LINEAGE_NAME
    try:
        lineage = LINEAGE.validate_json(path.read_bytes())
        of_labels = [lineage[label] for label in sorted(labels)]
    except (OSError, ValidationError, KeyError) as error:
        found = error.errors()[0]["msg"] if isinstance(error, ValidationError) else error
        raise IntegrityError(
            f"{path} should name the images that the generators saw, but: {found}; make the "
            "images again with `balancer synthesize --force`."
        ) from None
    for one in of_labels:
        if isinstance(one.training_ids, tuple):
            check_training_ids(one.training_ids, index, str(directory))


def _check_files(directory: Path, records: list[SyntheticRecord]) -> None:
    """Compare the folder with its manifest; pixels may be cached, so files are read here."""
    listed = {record.path for record in records}
    present = {
        path.relative_to(directory).as_posix()
        for pattern in ("*/*.png", f"{REJECTS}/*/*.png")
        for path in directory.glob(pattern)
    }
    if listed != present:
        odd = min(listed ^ present)
        found = "was added" if odd in present else "is missing"
        raise IntegrityError(
            f"{directory} should hold the images of its manifest.csv, but {odd} {found}; make the "
            "images again with `balancer synthesize --force`."
        )

    def is_changed(record: SyntheticRecord) -> bool:
        return fingerprint((directory / record.path).read_bytes()) != record.image_id

    changed = map_threaded(is_changed, records, task=f"Checking {len(records)} images")
    for record, was_changed in zip(records, changed, strict=True):
        if was_changed:
            raise IntegrityError(
                f"{directory / record.path} was changed after it was written; make the images "
                "again with `balancer synthesize --force`."
            )
