"""The trained classifiers that are explained, and the images that each of them has seen."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from balancer.data.index import Index
from balancer.errors import ConfigurationError, IntegrityError
from balancer.evaluation.trained_classifier import TrainedClassifier, images_seen, load_trained
from balancer.manifest import ImageRecord
from balancer.results import MissingStage
from balancer.workspace import Workspace
from classifier.checkpoint import CARD
from classifier.explain import last_convolution_name
from classifier.models import ModelError

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ExplainedModel:
    """One classifier.

    Attributes:
        name: Name for readers, unique within one explanation.
        trained: The classifier.
        seen: Ids of the images that shaped it, by training or by validation.
    """

    name: str
    trained: TrainedClassifier
    seen: frozenset[str]

    @property
    def side(self) -> int:
        """Side in pixels that the network sees."""
        return self.trained.loaded.network.preprocessing.input_size


def find_models(workspace: Workspace, asked: Sequence[Path]) -> list[Path]:
    """Return the folders of the given classifiers; by default of all finished ones.

    Raises:
        MissingStage: The workspace has none.
        ConfigurationError: A folder holds no trained classifier.
    """
    if asked:
        for folder in asked:
            if not (folder / CARD).is_file():
                raise ConfigurationError(
                    f"--model needs the folder of a trained classifier, but {folder} holds no "
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
    """Load the classifiers, each with the ids of the images that it has seen.

    Raises:
        ConfigurationError: One has other classes, or no feature maps.
        IntegrityError: One is damaged, its training images are unknown, or they were preprocessed
            otherwise than those of the index.
    """
    names = _names(folders)
    return [
        _load(folder, name, workspace, index) for folder, name in zip(folders, names, strict=True)
    ]


def unseen_rows(
    records: Sequence[ImageRecord], models: Sequence[ExplainedModel], index: Index
) -> list[int]:
    """Return the rows of images such that no model has seen any image of their group.

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
    trained = load_trained(folder)
    trained.refuse_unlike(index, fault=ConfigurationError)
    try:
        last_convolution_name(trained.loaded.network)
    except ModelError as error:
        raise ConfigurationError(f"{folder} cannot be explained: {error}") from error
    return ExplainedModel(name, trained, images_seen(trained, workspace, index))


def _names(folders: Sequence[Path]) -> list[str]:
    """Return the last part of each path, after as many parts before it as make all differ."""
    parts = [folder.resolve().parts for folder in folders]
    length = 1
    while len({part[-length:] for part in parts}) < len(parts):
        length += 1
    tails = [part[-length:] for part in parts]
    if len({len(tail) for tail in tails}) > 1:
        return ["/".join(tail) for tail in tails]
    # A part that is the same in all of them is left out, except for the last one.
    *differing, last = zip(*tails, strict=True)
    kept = [*(column for column in differing if len(set(column)) > 1), last]
    return ["/".join(names) for names in zip(*kept, strict=True)]
