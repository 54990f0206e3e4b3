"""The gates between generators, their images and today's split."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path

import gan
from balancer.data.index import Index
from balancer.data.preprocessing import refuse_other_preprocessing
from balancer.data.threads import map_threaded
from balancer.errors import IntegrityError
from balancer.manifest import SYNTHETIC, SyntheticRecord, fingerprint, read_table
from balancer.results import MissingStage, read_result
from balancer.synthetic.write import REJECTED
from balancer.workspace import Workspace


def load_generator_for(label: str, workspace: Workspace, index: Index) -> gan.LoadedGenerator:
    """Load the generator of a class if it may make images for today's training split.

    Raises:
        MissingStage: None is trained.
        IntegrityError: It is damaged, made for another class, or saw images that are not in
            today's training split.
    """
    directory = workspace.gan_dir(label)
    if not directory.exists():
        raise MissingStage(
            "gan-train",
            f"Images of {label} need a trained generator, but {directory} does not exist; run "
            f"`balancer gan-train` first.",
            cheap=False,
        )
    try:
        loaded = gan.load(directory)
    except gan.GeneratorCheckpointError as error:
        raise IntegrityError(
            f"The generator in {directory} cannot be used: {error} "
            "Train it again with `balancer gan-train --force`."
        ) from error
    if loaded.metadata.class_name != label:
        raise IntegrityError(
            f"{directory} should hold a generator of {label}, but it makes "
            f"{loaded.metadata.class_name}; train it again with `balancer gan-train --force`."
        )
    seen = (*loaded.metadata.training_ids, *loaded.metadata.companion_ids)
    check_training_ids(seen, index, str(directory))
    trained_on = {record.image_id for record in index.select("train", label)}
    noted = {"preprocessing": loaded.metadata.preprocessing}
    refuse_other_preprocessing(noted, index.preprocessing, f"The generator in {directory}")
    if loaded.metadata.index_hash != index.index_hash:
        raise IntegrityError(
            f"The generator in {directory} was trained on another split than today's index.csv; "
            "restore that index, or train again with `balancer gan-train --force`."
        )
    if set(loaded.metadata.training_ids) != trained_on:
        raise IntegrityError(
            f"{directory / 'generator.json'} should list the {len(trained_on)} training images of "
            f"{label}, but lists others; train again with `balancer gan-train --force`."
        )
    return loaded


def load_synthetic(workspace: Workspace, index: Index) -> list[SyntheticRecord]:
    """The accepted synthetic images, all of them training rows; errors as of `load_made`."""
    return [record for record in load_made(workspace, index) if record.accepted]


def load_made(workspace: Workspace, index: Index) -> list[SyntheticRecord]:
    """All synthetic images, those that the screen rejected included.

    Raises:
        MissingStage: None were made.
        IntegrityError: The manifest or an image was changed, images were added or removed, they
            were made for another split, a row lies outside training, or a generator saw validation
            or test images.
    """
    directory = workspace.synthetic_dir
    result = read_result(directory)
    if result is None:
        raise MissingStage(
            "synthesize",
            f"There are no synthetic images in {directory}; ask `balancer synthesize --ratio` for "
            "a ratio that the training split does not reach by itself.",
            cheap=True,
        )
    manifest = directory / "manifest.csv"
    if not manifest.is_file() or fingerprint(manifest.read_bytes()) != result.metrics.get(
        "manifest"
    ):
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


def synthetic_fingerprint(records: Sequence[SyntheticRecord]) -> str:
    """What stages record as their input: a hash of the images, empty or not."""
    return fingerprint("\n".join(record.image_id for record in records).encode())


def check_training_ids(training_ids: Iterable[str], index: Index, what: str) -> None:
    """Refuse a generator that saw an image of today's validation or test split.

    Raises:
        IntegrityError: It did; the number of such images is named.
    """
    held_out = {record.image_id for record in index.records if record.split != "train"}
    seen = held_out.intersection(training_ids)
    if seen:
        raise IntegrityError(
            f"{what} comes from a generator that was trained on {len(seen)} image(s) of today's "
            "validation or test split; train it again with `balancer gan-train --force`."
        )


def _check_lineage(directory: Path, index: Index, labels: set[str]) -> None:
    path = directory / "lineage.json"
    try:
        lineage = json.loads(path.read_text(encoding="utf-8"))
        training_ids = [i for label in labels for i in lineage[label]["training_ids"]]
    except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
        raise IntegrityError(
            f"{path} should name the images that the generators saw, but: {error}; make the "
            "images again with `balancer synthesize --force`."
        ) from None
    check_training_ids(training_ids, index, str(directory))


def _check_files(directory: Path, records: list[SyntheticRecord]) -> None:
    """Hold the folder against its manifest, whatever pixels an earlier stage has cached."""
    listed = {record.path for record in records}
    present = {
        path.relative_to(directory).as_posix()
        for pattern in ("*/*.png", f"{REJECTED}/*/*.png")
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
