"""The trained classifiers that are explained, and which images each of them has seen."""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import classifier
from balancer.data.index import Index
from balancer.data.preprocessing import INDEX_NAME, hash_of_index, refuse_other_preprocessing
from balancer.errors import ConfigurationError, IntegrityError
from balancer.manifest import ImageRecord, read_table
from balancer.results import MissingStage, UntypedResult, read_result
from balancer.workspace import Workspace
from classifier.checkpoint import CARD, ClassifierCheckpointError, LoadedClassifier
from classifier.explain import last_convolution_name
from classifier.models import ModelError

log = logging.getLogger(__name__)

_INDEX, _FOLDS = "index", "folds"
_LEVELS_UP = 6
"""From a unit of an ablation to its workspace, and one more."""


@dataclass(frozen=True, slots=True)
class ExplainedModel:
    """One classifier.

    Attributes:
        name: For readers; no two models of one explanation share it.
        directory: Its folder.
        loaded: Weights and recipe, in eval mode.
        image_size: Side at which its images are read.
        positive: Class number that the threshold speaks of.
        threshold: Of the probability of `positive`; None: the likeliest class is predicted.
        index_hash: The index whose training split it was trained on.
        seen: Ids of the images that shaped it, by training or by validation.
    """

    name: str
    directory: Path
    loaded: LoadedClassifier
    image_size: int
    positive: int
    threshold: float | None
    index_hash: str
    seen: frozenset[str]


def find_models(workspace: Workspace, asked: Sequence[Path]) -> list[Path]:
    """Folders of the classifiers asked for; none asked: the finished ones of the workspace.

    Raises:
        MissingStage: The workspace has none.
        ConfigurationError: A folder holds no trained classifier.
    """
    if asked:
        for folder in asked:
            if not (folder / CARD).is_file():
                raise ConfigurationError(
                    f"--model wants the folder of a trained classifier, but {folder} holds no "
                    f"{CARD}; give one such as {workspace.classify_dir('real')}."
                )
        return list(dict.fromkeys(folder.resolve() for folder in asked))
    found = sorted(path.parent for path in workspace.root.glob(f"classify/*/{CARD}"))
    finished = [folder for folder in found if (folder / "result.json").is_file()]
    if not finished:
        raise MissingStage(
            "classify",
            f"`balancer explain` explains a trained classifier, but {workspace.root} holds none; "
            "run `balancer classify` first, or name one with --model.",
            cheap=False,
        )
    return finished


def load_models(
    folders: Sequence[Path], workspace: Workspace, index: Index
) -> list[ExplainedModel]:
    """Read the classifiers, each with the images that it has seen.

    Raises:
        ConfigurationError: One tells other classes apart, or has no feature maps.
        IntegrityError: One is damaged, nothing says which images it was trained on, or it learnt
            from films prepared otherwise than those of the index.
    """
    names = _names(folders)
    return [
        _load(folder, name, workspace, index) for folder, name in zip(folders, names, strict=True)
    ]


def unseen_rows(
    records: Sequence[ImageRecord], models: Sequence[ExplainedModel], index: Index
) -> list[int]:
    """Rows of the images that no model has seen, nor another image of their group.

    Raises:
        IntegrityError: There is none.
    """
    seen = frozenset[str]().union(*(model.seen for model in models))
    groups = {record.group for record in index.records if record.image_id in seen}
    rows = [row for row, record in enumerate(records) if record.group not in groups]
    if not rows:
        names = ", ".join(model.name for model in models)
        raise IntegrityError(
            f"Maps should be of test images that the models have not seen, but {names} have seen "
            f"all {len(records)} or others of the same patients; explain models of one split."
        )
    if len(rows) < len(records):
        log.warning(
            "WARNING: %d of %d test images are left out, since a model has seen them or others of "
            "the same patients.",
            len(records) - len(rows), len(records),
        )  # fmt: skip
    return rows


def _load(folder: Path, name: str, workspace: Workspace, index: Index) -> ExplainedModel:
    try:
        loaded = classifier.load(folder)
    except ClassifierCheckpointError as error:
        raise IntegrityError(str(error)) from error
    if loaded.class_names != index.classes:
        raise ConfigurationError(
            f"Explained models should tell {', '.join(index.classes)} apart, as the index does, "
            f"but {folder} tells {', '.join(loaded.class_names)}; leave it out."
        )
    try:
        last_convolution_name(loaded.network)
    except ModelError as error:
        raise ConfigurationError(f"{folder} cannot be explained: {error}") from error
    refuse_other_preprocessing(loaded.provenance, index.preprocessing, str(folder))
    result = read_result(folder)
    index_hash = str(loaded.provenance.get("index_hash"))
    told = {} if result is None else result.metrics
    positive = told.get("positive_class")
    return ExplainedModel(
        name=name,
        directory=folder,
        loaded=loaded,
        image_size=_image_size(folder, loaded, result),
        positive=index.classes.index(positive) if positive in index.classes else 0,
        threshold=told.get("threshold") if positive in index.classes else None,
        index_hash=index_hash,
        seen=_seen(folder, index_hash, workspace, index),
    )


def _image_size(folder: Path, loaded: LoadedClassifier, result: UntypedResult | None) -> int:
    size = loaded.provenance.get("image_size")
    if size is None and result is not None:
        size = result.settings.get("image_size")
    if not isinstance(size, int):
        raise IntegrityError(
            f"{folder / CARD} should say at which image_size images were read, but does not; train "
            "again."
        )
    return size


def _seen(folder: Path, index_hash: str, workspace: Workspace, index: Index) -> frozenset[str]:
    """Ids of all images outside the test split of the index that the model was trained on."""
    records: Sequence[ImageRecord] | None = None
    if index_hash == index.index_hash:
        records = index.records
    else:
        for path in _indexes_near(folder, workspace):
            if hash_of_index(path.parent) == index_hash:
                records = read_table(path, ImageRecord)
                break
    if records is None:
        raise IntegrityError(
            f"{folder} was trained on another split than today's index.csv, and no index.csv of "
            "that split stands near it, so it may have been trained on today's test images; leave "
            "it in its own workspace, or train again."
        )
    return frozenset(record.image_id for record in records if record.split != "test")


def _indexes_near(folder: Path, workspace: Workspace) -> Iterator[Path]:
    places = [*folder.resolve().parents[:_LEVELS_UP], workspace.root / "runs"]
    for place in places:
        for found in (place / _INDEX, *sorted((place / _FOLDS).glob(f"*/{_INDEX}"))):
            if (found / INDEX_NAME).is_file():
                yield found / INDEX_NAME


def _names(folders: Sequence[Path]) -> list[str]:
    """The last part of each path, after as many before it as tell all of them apart."""
    parts = [folder.resolve().parts for folder in folders]
    length = 1
    while len({part[-length:] for part in parts}) < len(parts):
        length += 1
    tails = [part[-length:] for part in parts]
    if len({len(tail) for tail in tails}) > 1:
        return ["/".join(tail) for tail in tails]
    # What is the same in all of them tells nothing, but for the last part.
    *differing, last = zip(*tails, strict=True)
    kept = [*(column for column in differing if len(set(column)) > 1), last]
    return ["/".join(names) for names in zip(*kept, strict=True)]
