"""Trained classifiers of the page: found in folders, or uploaded as two files."""

import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from balancer.drawing.numbers import three_digits
from balancer.errors import ConfigurationError, DataError, IntegrityError
from balancer.evaluation.records import ClassifyMetrics
from balancer.evaluation.trained_classifier import (
    TrainedClassifier,
    UnreadableClassifier,
    load_trained,
)
from balancer.imaging.preprocess import Preprocessor, preprocessor
from balancer.workspace import Workspace
from classifier.checkpoint import CARD, WEIGHTS

_MAY_RUN_CODE = (".pt", ".pth", ".ckpt", ".pkl", ".pickle", ".joblib", ".bin", ".npy", ".npz")
_ARCHIVES = (".zip", ".tar", ".gz", ".tgz", ".7z")
_PICKLE, _ZIP = b"\x80", b"PK\x03\x04"
_MOST_CARD = 16 * 2**20
"""Largest size of a card in bytes; real ones have a few thousand."""
_LARGEST_SIDE = 4096
"""Pixels; a larger side in a card could only use up the memory."""


class RefusedModelError(DataError):
    """Files that are not a classifier of this program; the text is the whole reason."""


@dataclass(frozen=True, slots=True)
class ServedModel:
    """A classifier of the page.

    Attributes:
        name: Name on the page.
        trained: The classifier.
    """

    name: str
    trained: TrainedClassifier

    @property
    def preprocessor(self) -> Preprocessor:
        """Preprocessing of its training images, which is applied to every film it is shown."""
        return preprocessor(self.trained.preprocessing)

    @property
    def training(self) -> str:
        """The training images, in words."""
        metrics = self.trained.metrics
        if isinstance(metrics, ClassifyMetrics):
            n_real, n_made = metrics.training_images.real, metrics.training_images.synthetic
            made = f" and {n_made} generated" if n_made else ""
            return f"{n_real} real{made} images{metrics.outside_words}"
        n_synthetic = self.trained.n_synthetic
        if n_synthetic is None:
            return "unknown images"
        return f"real and {n_synthetic} generated images" if n_synthetic else "real images alone"

    @property
    def test(self) -> str:
        """The result of its test, in words; empty where it is unknown."""
        metrics = self.trained.metrics
        if not isinstance(metrics, ClassifyMetrics) or metrics.test.auroc.value is None:
            return ""
        return f"AUROC {three_digits(metrics.test.auroc.value)} on {metrics.test.n} test images"


def find_models(workspace: Workspace, folders: Sequence[Path]) -> dict[str, ServedModel]:
    """Load every finished classifier of a workspace, and those of further folders.

    Args:
        workspace: Workspace whose `classify/*/` are read.
        folders: Folders of one trained classifier each.

    Returns:
        The classifiers by name: the arm for those of the workspace, the path for others; a folder
        given twice is loaded once.

    Raises:
        ConfigurationError: One of `folders` holds no classifier.
        IntegrityError: A classifier of the workspace is damaged.
    """
    models, known = {}, set()
    for directory in sorted(workspace.classify_dir("real").parent.glob("*")):
        if (directory / CARD).is_file() and (directory / "result.json").is_file():
            try:
                models[directory.name] = read_model(directory, directory.name)
                known.add(directory.resolve())
            except UnreadableClassifier as error:
                raise IntegrityError(
                    f"{directory} should hold a trained classifier, but: {error}"
                ) from error
    for folder in folders:
        if folder.resolve() in known:
            continue
        known.add(folder.resolve())
        # A folder may have the name of an arm; neither must hide the other.
        name = str(folder if str(folder) not in models else folder.resolve())
        try:
            models[name] = read_model(folder, name)
        except UnreadableClassifier as error:
            raise ConfigurationError(f"--model needs a trained classifier: {error}") from error
    return models


def read_model(directory: Path, name: str) -> ServedModel:
    """Load one classifier, with its threshold if there is a `result.json` beside it.

    Raises:
        UnreadableClassifier: The two files of the classifier are not whole and unchanged.
        IntegrityError: `result.json` is damaged, or the card notes a preprocessing of another
            version.
    """
    return ServedModel(name, load_trained(directory))


def receive_model(files: Sequence[Path]) -> ServedModel:
    """Load an uploaded classifier from its safetensors file and its JSON card.

    Both files hold plain values; neither is ever unpickled or unpacked.

    Raises:
        RefusedModelError: They are other files, too many, or not a whole classifier.
    """
    for path in files:
        _refuse_foreign(path)
    weights = [path for path in files if path.suffix == ".safetensors"]
    cards = [path for path in files if path.suffix == ".json"]
    if len(weights) != 1 or len(cards) != 1:
        names = ", ".join(repr(path.name) for path in files) or "none"
        raise RefusedModelError(
            f"A classifier is two files, {WEIGHTS} and {CARD}, but these were given: {names}; "
            "choose both together."
        )
    if cards[0].stat().st_size > _MOST_CARD:
        raise RefusedModelError(
            f"A card has a few thousand bytes, but {cards[0].name!r} has "
            f"{cards[0].stat().st_size:,}; choose the {CARD} that was written with the weights."
        )
    with tempfile.TemporaryDirectory(prefix="balancer-model-") as folder:
        place = Path(folder)
        shutil.copyfile(weights[0], place / WEIGHTS)
        shutil.copyfile(cards[0], place / CARD)
        try:
            model = read_model(place, "uploaded")
        except UnreadableClassifier as error:
            raise RefusedModelError(str(error).replace(f"{folder}/", "")) from None
        except (RecursionError, ValueError):  # nested too deep, or a number too long
            raise RefusedModelError(
                f"{CARD} should be a plain card, but cannot be read as one; choose the one that "
                "was written with the weights."
            ) from None
    size, sha256 = model.trained.image_size, model.trained.loaded.weights_sha256
    if not 1 <= size <= _LARGEST_SIDE:
        raise RefusedModelError(
            f"{CARD} should say at which side films are read, up to {_LARGEST_SIDE} pixels, but "
            f"says {size}; choose the one that was written with the weights."
        )
    return replace(model, name=f"uploaded {sha256[:8]}")


def _refuse_foreign(path: Path) -> None:
    suffix = path.suffix.lower()
    reason = ""
    with path.open("rb") as file:
        start = file.read(4)
    if suffix in _MAY_RUN_CODE or start[:1] == _PICKLE:
        reason = "may hold pickled objects, which can run code when they are loaded"
    elif suffix in _ARCHIVES or start == _ZIP:
        reason = "is an archive, and archives are not opened"
    elif suffix not in (".safetensors", ".json"):
        reason = "is neither"
    if reason:
        raise RefusedModelError(
            f"A classifier is uploaded as {WEIGHTS} and {CARD} only, but {path.name!r} {reason}; "
            "choose the two files that `balancer classify` wrote."
        )
