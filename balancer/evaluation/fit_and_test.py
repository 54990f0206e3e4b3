"""Train a classifier, choose its threshold on validation images, and test it.

Nothing else predicts test images or images of other data sets: `note_images` writes each read into
the ledger first, and only what it returns can be predicted or mapped.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import classifier
from balancer.config import BalancerConfig
from balancer.data.index import Index, RadiographTable, evaluation_table
from balancer.errors import ConfigurationError, Diverged
from balancer.evaluation.ledger import EXPLAIN, TEST, fingerprint_of_images, note_read
from balancer.evaluation.predictions import Predictions, predictions_for
from balancer.evaluation.trained_classifier import load_trained
from balancer.imaging.preprocess import recorded
from balancer.resources import training_hardware
from balancer.team import together
from classifier.checkpoint import LoadedClassifier
from classifier.config import ClassifierConfig
from classifier.data import Pretraining
from classifier.decision import choose_threshold
from classifier.module import ClassifierDiverged
from classifier.tables import ArrayTable
from classifier.training import ClassifierResult

Predict = Callable[[RadiographTable], NDArray[np.float64]]
"""A classifier that is no network: N images to their probabilities, float64 (N, C)."""


@dataclass(frozen=True, slots=True)
class Reader:
    """A classifier that reads test images, as the ledger names it.

    Attributes:
        ledger: Folder of the ledger.
        fold: Name of the classifier's fold; `index` for the split of the workspace.
        seed: Seed of the classifier.
        arm: Name of the classifier's arm.
        protocol: Hash of the newest entry of the ablation's protocol; empty without one.
    """

    ledger: Path
    fold: str
    seed: int
    arm: str
    protocol: str = ""


@dataclass(frozen=True, slots=True)
class NotedImages:
    """Test images, or images of another data set, whose read by a classifier is in the ledger.

    Attributes:
        reader: The classifier.
        table: The images.
    """

    reader: LoadedClassifier | Predict
    table: RadiographTable

    @property
    def loaded(self) -> LoadedClassifier:
        """The network of the classifier.

        Raises:
            TypeError: It is no network.
        """
        if not isinstance(self.reader, LoadedClassifier):
            raise TypeError("the images were noted for a classifier that is no network")
        return self.reader

    def predict(self) -> Predictions:
        """Return the probabilities of the classifier for all images."""
        return predictions_for(self.table, _probabilities(self.reader, self.table))


@dataclass(frozen=True, slots=True)
class FitOutcome:
    """A classifier just trained and tested.

    Attributes:
        fit: Record of the training.
        threshold: Threshold of the positive class, chosen on validation images; None with more than
            two classes.
        validation: Predictions for the validation images.
        test: Predictions for the test images.
    """

    fit: ClassifierResult
    threshold: float | None
    validation: Predictions
    test: Predictions


def fit_and_test(
    config: BalancerConfig,
    index: Index,
    train: ArrayTable,
    *,
    recipe: ClassifierConfig,
    positive: int,
    seed: int,
    reader: Reader,
    folder: Path,
    notes: Mapping[str, object],
    pretrain: Pretraining | None = None,
    progress: bool = False,
) -> FitOutcome:
    """Train on a table, choose weights and threshold on validation, and test once.

    Every arm of a comparison takes the same number of optimizer steps, which depends on
    `config.classifier` and the real training images alone.

    Args:
        config: `classifier` (complete, see `complete_recipe`) and `hardware` are used.
        index: Index with the validation and test images.
        train: Training images.
        recipe: Recipe of this classifier: `config.classifier`, or a variant of it.
        positive: Number of the positive class.
        seed: Seed for the training.
        reader: Name of the classifier in the ledger.
        folder: Folder for the classifier's files.
        notes: Stored with the weights, after the index, its preprocessing and the image size.
        pretrain: Images that the first steps read, if any.
        progress: Show a progress bar.

    Raises:
        ConfigurationError: The recipe does not fit the images.
        Diverged: The loss became NaN.
        IntegrityError: A synthetic image is among the validation or test images.
        OSError: The ledger cannot be written; the test images are not read then.
    """
    real = index.image_set(config.classifier_image_size)
    validation = evaluation_table(real, index.classes, "val")
    test = evaluation_table(real, index.classes, "test")
    # Of the real images alone, regardless of what is added, so that arms compare.
    steps = classifier.plan_steps(config.classifier, sum(index.counts("train").values()))
    try:
        fitted = together(
            classifier.train,
            train,
            validation,
            recipe,
            class_names=list(index.classes),
            n_steps=steps.n_steps,
            steps_per_epoch=steps.steps_per_epoch,
            seed=seed,
            out_dir=folder,
            hardware=training_hardware(config.hardware),
            progress=progress,
            rarest=index.classes.index(index.positive_class(None)),
            pretrain=pretrain,
            provenance={
                "index_hash": index.index_hash,
                "preprocessing": recorded(index.preprocessing),
                "image_size": config.classifier_image_size,
                **notes,
            },
        )
    except ClassifierDiverged as error:
        raise Diverged(f"Training the classifier diverged: {error}") from error
    except ValueError as error:
        raise ConfigurationError(str(error)) from error
    loaded = load_trained(folder).loaded
    return FitOutcome(fitted, *choose_and_test(loaded, validation, test, positive, reader))


def choose_and_test(
    loaded: LoadedClassifier | Predict,
    validation: RadiographTable,
    test: RadiographTable,
    positive: int,
    reader: Reader,
    *,
    what: str = TEST,
) -> tuple[float | None, Predictions, Predictions]:
    """Choose the threshold on validation images, then test once.

    Args:
        loaded: The classifier.
        validation: Validation images.
        test: Test images.
        positive: Number of the positive class.
        reader: Name of the classifier in the ledger.
        what: Kind of the read.

    Returns:
        Threshold of the positive class, None with more than two classes; the predictions for the
        validation images, and for the test images.

    Raises:
        OSError: The ledger cannot be written; the test images are not read then.
    """
    chosen = predictions_for(validation, _probabilities(loaded, validation))
    threshold = None
    if len(chosen.class_names) == 2:
        scores = chosen.probabilities[:, positive]
        threshold = choose_threshold(scores, chosen.labels == positive)
    return threshold, chosen, predict_noted(loaded, test, reader, what=what)


def _probabilities(
    loaded: LoadedClassifier | Predict, table: RadiographTable
) -> NDArray[np.float64]:
    if isinstance(loaded, LoadedClassifier):
        return classifier.predict(loaded, table)
    return loaded(table)


def predict_noted(
    loaded: LoadedClassifier | Predict, table: RadiographTable, reader: Reader, *, what: str = TEST
) -> Predictions:
    """Note a read in the ledger, then predict the images.

    Args:
        loaded: The classifier.
        table: Test images, or images of another data set.
        reader: Name of the classifier in the ledger.
        what: Kind of the read: `test`, or `external:` and the name of the data set.

    Raises:
        OSError: The ledger cannot be written; nothing is predicted then.
    """
    return note_images(loaded, table, reader, what=what).predict()


def note_images(
    loaded: LoadedClassifier | Predict,
    table: RadiographTable,
    reader: Reader,
    *,
    what: str = EXPLAIN,
    rows: Sequence[int] | None = None,
) -> NotedImages:
    """Note a read in the ledger, and hand over the images to be predicted or mapped.

    Args:
        loaded: The classifier.
        table: Test images, or images of another data set.
        reader: Name of the classifier in the ledger.
        what: Kind of the read.
        rows: Rows of the table that are read; None: all.

    Raises:
        OSError: The ledger cannot be written; the images must not be read then.
    """
    if rows is not None:
        chosen = np.asarray(rows, np.int64)
        table = replace(
            table,
            records=[table.records[row] for row in rows],
            labels=table.labels[chosen],
            places=table.places[chosen],
        )
    note_read(
        reader.ledger,
        what=what,
        fold=reader.fold,
        seed=reader.seed,
        arm=reader.arm,
        images=len(table),
        images_sha256=fingerprint_of_images(record.image_id for record in table.records),
        protocol=reader.protocol,
    )
    return NotedImages(loaded, table)
