"""The one door to a trained classifier on disk."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

import classifier
from balancer.data.index import Index
from balancer.data.preprocessing import (
    INDEX_NAME,
    hash_of_index,
    learnt_from,
    refuse_other_preprocessing,
)
from balancer.errors import BalancerError, IntegrityError
from balancer.evaluation.records import ClassifyMetrics, UnitMetrics
from balancer.imaging.config import ImageRecipe
from balancer.manifest import ImageRecord, read_table
from balancer.results import MissingStage, StageResult, read_result
from balancer.workspace import Workspace
from classifier.checkpoint import ClassifierCheckpointError, LoadedClassifier
from classifier.metrics import predict_classes

REAL_ARM, SYNTHETIC_ARM = "real", "real+synthetic"
ARMS = {
    REAL_ARM: "balancer classify",
    SYNTHETIC_ARM: "balancer classify --with-synthetic",
}
"""The arms of `balancer classify` and the commands that train them."""


class UnreadableClassifier(IntegrityError):
    """Files that are not a whole, unchanged classifier of this version."""


@dataclass(frozen=True, slots=True)
class TrainedClassifier:
    """A trained classifier, and what its files say about it.

    Attributes:
        directory: Its folder.
        loaded: Networks in eval mode, recipe and class names.
        metrics: Metrics of `balancer classify` or of a unit of an ablation; None where only the
            classifier's own two files are in the folder.
        image_size: Side in pixels at which its images are read.
        preprocessing: Preprocessing of its training images.
        index_hash: Index whose training split it was trained on; None: unknown.
        positive: Number of the class that the threshold is about; None: unknown.
        threshold: Threshold of that class; None: the most probable class is predicted.
    """

    directory: Path
    loaded: LoadedClassifier
    metrics: ClassifyMetrics | UnitMetrics | None
    image_size: int
    preprocessing: ImageRecipe
    index_hash: str | None
    positive: int | None
    threshold: float | None

    @property
    def n_synthetic(self) -> int | None:
        """Number of synthetic training images; None: unknown."""
        found = self.loaded.provenance.get("n_synthetic")
        return found if isinstance(found, int) else None

    def decide(self, probabilities: NDArray[np.float64]) -> NDArray[np.int64]:
        """Predict class numbers, int64 (N,), from probabilities, float64 (N, C)."""
        return predict_classes(probabilities, positive=self.positive or 0, threshold=self.threshold)

    def refuse_unlike(self, index: Index, *, fault: type[BalancerError] = IntegrityError) -> None:
        """Refuse a classifier of other classes, or of otherwise preprocessed images.

        Args:
            index: Today's index.
            fault: Error to raise for other classes.

        Raises:
            BalancerError: It has other classes; of the type `fault`.
            IntegrityError: Its training images were preprocessed otherwise.
        """
        names = self.loaded.class_names
        if names != tuple(index.classes):
            raise fault(
                f"The classifier in {self.directory} should have the classes of the index, "
                f"{', '.join(index.classes)}, but has {', '.join(names)}; leave it out, or train "
                "again."
            )
        self.refuse_other_preprocessing(index.preprocessing)

    def refuse_other_preprocessing(self, wanted: ImageRecipe) -> None:
        """Refuse a classifier whose training images were preprocessed otherwise.

        Raises:
            IntegrityError: They were.
        """
        refuse_other_preprocessing(self.loaded.provenance, wanted, str(self.directory))


def load_trained(directory: Path) -> TrainedClassifier:
    """Load a classifier from its folder, with the metrics in `result.json` if there are any.

    Raises:
        UnreadableClassifier: Its two files are not whole and unchanged.
        IntegrityError: `result.json` is damaged, or the preprocessing is of another version.
    """
    try:
        loaded = classifier.load(directory)
    except ClassifierCheckpointError as error:
        raise UnreadableClassifier(str(error)) from error
    result = _result(directory)
    metrics = None if result is None else result.metrics
    positive = threshold = None
    if isinstance(metrics, ClassifyMetrics) and metrics.positive_class in loaded.class_names:
        positive = loaded.class_names.index(metrics.positive_class)
        threshold = metrics.threshold
    index_hash = loaded.provenance.get("index_hash")
    return TrainedClassifier(
        directory=directory,
        loaded=loaded,
        metrics=metrics,
        image_size=_image_size(loaded, result),
        preprocessing=learnt_from(loaded.provenance, str(directory)),
        index_hash=index_hash if isinstance(index_hash, str) else None,
        positive=positive,
        threshold=threshold,
    )


def trained_arm(
    directory: Path, arm: str, index: Index, *, wanted_by: str
) -> StageResult[ClassifyMetrics]:
    """Read the result of a classifier of today's split.

    Args:
        directory: Folder of the arm.
        arm: Name of the arm.
        index: Today's index.
        wanted_by: Beginning of the error's sentence: who needs the classifier.

    Raises:
        MissingStage: It has not been trained.
        IntegrityError: It belongs to another split.
    """
    result = read_result(directory, ClassifyMetrics)
    if result is None:
        raise MissingStage(
            "classify",
            f"{wanted_by}, but {directory} does not exist; run `{ARMS[arm]}` first.",
            cheap=False,
        )
    if result.inputs.get("index") != index.index_hash:
        raise IntegrityError(
            f"{directory} was trained on another split than today's index.csv; run "
            f"`{ARMS[arm]} --force`."
        )
    return result


def images_seen(trained: TrainedClassifier, workspace: Workspace, index: Index) -> frozenset[str]:
    """Return the ids of all images that shaped a classifier, by training or by validation.

    Args:
        trained: The classifier.
        workspace: Workspace of the command.
        index: Today's index.

    Raises:
        IntegrityError: No index at hand is the one that it was trained on.
    """
    records: Sequence[ImageRecord] | None = None
    if trained.index_hash == index.index_hash:
        records = index.records
    else:
        for place in _indexes_near(trained.directory, workspace):
            if hash_of_index(place) == trained.index_hash:
                records = read_table(place / INDEX_NAME, ImageRecord)
                break
    if records is None:
        raise IntegrityError(
            f"{trained.directory} was trained on another split than today's index.csv, and its "
            "workspace holds no index.csv of that split, so it may have been trained on today's "
            "test images; leave it in its own workspace, or train again."
        )
    return frozenset(record.image_id for record in records if record.split != "test")


def _result(directory: Path) -> StageResult[ClassifyMetrics | UnitMetrics] | None:
    kind = cast("type[ClassifyMetrics | UnitMetrics]", ClassifyMetrics | UnitMetrics)
    return read_result(directory, kind)


def _image_size(loaded: LoadedClassifier, result: StageResult[Any] | None) -> int:
    """Side at which images were read: from the card, else the result, recipe or network."""
    noted = None if result is None else result.setting("image_size")
    known = (loaded.provenance.get("image_size"), noted, loaded.config.image_size)
    return next(
        (size for size in known if isinstance(size, int)),
        loaded.network.preprocessing.input_size,
    )


def _indexes_near(folder: Path, workspace: Workspace) -> Iterator[Path]:
    """Folders of the indexes of a classifier's workspace, then of the command's, folds included."""
    own = Workspace.containing(folder)
    for place in (own, workspace):
        for part in () if place is None else (place, *place.folds()):
            if (part.index_dir / INDEX_NAME).is_file():
                yield part.index_dir
