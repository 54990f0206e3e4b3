"""Trained classifiers as the page knows them: found in folders, or handed in as two files."""

import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import classifier
from balancer.data.preprocessing import learnt_from
from balancer.drawing.numbers import three_digits
from balancer.errors import ConfigurationError, DataError, IntegrityError
from balancer.imaging.preprocess import Preprocessor, preprocessor
from balancer.results import UntypedResult, read_result
from balancer.workspace import Workspace
from classifier.checkpoint import CARD, WEIGHTS, ClassifierCheckpointError, LoadedClassifier

_MAY_RUN_CODE = (".pt", ".pth", ".ckpt", ".pkl", ".pickle", ".joblib", ".bin", ".npy", ".npz")
_ARCHIVES = (".zip", ".tar", ".gz", ".tgz", ".7z")
_PICKLE, _ZIP = b"\x80", b"PK\x03\x04"
_MOST_CARD = 16 * 2**20
"""Bytes of a card; real ones have some thousands."""
_LARGEST_SIDE = 4096
"""Pixels; a card that says more would only take all memory."""


class RefusedModelError(DataError):
    """Files that are no classifier of ours; its text is the whole reason."""


@dataclass(frozen=True, slots=True)
class ServedModel:
    """A classifier and what is known of it.

    Attributes:
        name: How the page calls it.
        loaded: Ready to predict.
        image_size: Side at which films are read for it.
        positive: Number of the class that the threshold is about; None: there is no threshold.
        threshold: From which probability on it decides for that class.
        trained_on: In words.
        tested: In words; empty where nothing is known.
    """

    name: str
    loaded: LoadedClassifier
    image_size: int
    positive: int | None
    threshold: float | None
    trained_on: str
    tested: str

    @property
    def preprocessor(self) -> Preprocessor:
        """What was done to the films that it learnt from, and is done to those it is asked about.

        Raises:
            IntegrityError: Its card notes nothing that this version could do.
        """
        return preprocessor(learnt_from(self.loaded.provenance, self.name))

    @property
    def index_hash(self) -> str | None:
        """Of the index whose training split it has learnt."""
        found = self.loaded.provenance.get("index_hash")
        return found if isinstance(found, str) else None


def find_models(workspace: Workspace, folders: Sequence[Path]) -> dict[str, ServedModel]:
    """Load every finished classifier of a workspace, and those of further folders.

    Args:
        workspace: Its `classify/*/` are read.
        folders: Each of one trained classifier.

    Returns:
        By name: the arm's for those of the workspace, the path for others; a folder named twice
        is there once.

    Raises:
        ConfigurationError: A folder named holds no classifier.
        IntegrityError: A classifier of the workspace is damaged.
    """
    models, known = {}, set()
    for directory in sorted(workspace.classify_dir("real").parent.glob("*")):
        if (directory / CARD).is_file() and read_result(directory) is not None:
            try:
                models[directory.name] = read_model(directory, directory.name)
                known.add(directory.resolve())
            except ClassifierCheckpointError as error:
                raise IntegrityError(
                    f"{directory} should hold a trained classifier, but: {error}"
                ) from error
    for folder in folders:
        if folder.resolve() in known:
            continue
        known.add(folder.resolve())
        # A folder may be called as an arm is; neither shall hide the other.
        name = str(folder if str(folder) not in models else folder.resolve())
        try:
            models[name] = read_model(folder, name)
        except ClassifierCheckpointError as error:
            raise ConfigurationError(f"--model wants a trained classifier: {error}") from error
    return models


def read_model(directory: Path, name: str) -> ServedModel:
    """Load one classifier, and its threshold from the `result.json` beside it if there is one.

    Raises:
        ClassifierCheckpointError: The two files of the classifier are not whole and unchanged.
        IntegrityError: `result.json` is damaged, or the card notes a preprocessing of another
            version.
    """
    loaded = classifier.load(directory)
    result = read_result(directory)
    metrics: Mapping[str, Any] = {} if result is None else result.metrics
    positive, threshold = metrics.get("positive_class"), metrics.get("threshold")
    learnt_from(loaded.provenance, name)  # refuses what could not be done to films
    decides = positive in loaded.class_names and isinstance(threshold, float)
    return ServedModel(
        name=name,
        loaded=loaded,
        image_size=_image_size(loaded, result),
        positive=loaded.class_names.index(str(positive)) if decides else None,
        threshold=threshold if decides else None,
        trained_on=_trained_on(metrics, loaded.provenance),
        tested=_tested(metrics),
    )


def receive_model(files: Sequence[Path]) -> ServedModel:
    """Load a classifier that a user hands in: its safetensors file and its JSON card, no other.

    Both files hold plain values; neither is ever unpickled or unpacked.

    Raises:
        RefusedModelError: They are other files, too many, or not a whole classifier of ours.
    """
    for path in files:
        _refuse_foreign(path)
    weights = [path for path in files if path.suffix == ".safetensors"]
    cards = [path for path in files if path.suffix == ".json"]
    if len(weights) != 1 or len(cards) != 1:
        names = ", ".join(repr(path.name) for path in files) or "none"
        raise RefusedModelError(
            f"A classifier is two files, {WEIGHTS} and {CARD}, but these came: {names}; choose "
            "both together."
        )
    if cards[0].stat().st_size > _MOST_CARD:
        raise RefusedModelError(
            f"A card has some thousands of bytes, but {cards[0].name!r} has "
            f"{cards[0].stat().st_size:,}; choose the {CARD} that was written with the weights."
        )
    with tempfile.TemporaryDirectory(prefix="balancer-model-") as folder:
        place = Path(folder)
        shutil.copyfile(weights[0], place / WEIGHTS)
        shutil.copyfile(cards[0], place / CARD)
        try:
            model = read_model(place, "uploaded")
        except ClassifierCheckpointError as error:
            raise RefusedModelError(str(error).replace(f"{folder}/", "")) from None
        except (RecursionError, ValueError):  # nested, or with numbers, beyond what is read
            raise RefusedModelError(
                f"{CARD} should be a plain card, but cannot be read as one; choose the one that "
                "was written with the weights."
            ) from None
    if not 1 <= model.image_size <= _LARGEST_SIDE:
        raise RefusedModelError(
            f"{CARD} should say at which side films are read, up to {_LARGEST_SIDE} pixels, but "
            f"says {model.image_size}; choose the one that was written with the weights."
        )
    return ServedModel(
        name=f"uploaded {model.loaded.weights_sha256[:8]}",
        loaded=model.loaded,
        image_size=model.image_size,
        positive=None,
        threshold=None,
        trained_on=model.trained_on,
        tested="",
    )


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
            f"A classifier is taken as {WEIGHTS} and {CARD} only, but {path.name!r} {reason}; "
            "choose the two files that `balancer classify` wrote."
        )


def _image_size(loaded: LoadedClassifier, result: UntypedResult | None) -> int:
    """The side that the training read its images at, from the surest source to the least."""
    noted = None if result is None else result.settings.get("image_size")
    known = (noted, loaded.provenance.get("image_size"), loaded.config.image_size)
    return next(
        (size for size in known if isinstance(size, int)),
        loaded.network.preprocessing.input_size,
    )


def _trained_on(metrics: Mapping[str, Any], provenance: Mapping[str, Any]) -> str:
    images = metrics.get("training_images")
    if isinstance(images, Mapping) and {"real", "synthetic"} <= images.keys():
        added = f" and {images['synthetic']} generated" if images["synthetic"] else ""
        return f"{images['real']} real{added} images"
    made = provenance.get("n_synthetic")
    if isinstance(made, int):
        return f"real and {made} generated images" if made else "real images alone"
    return "images of which nothing is noted"


def _tested(metrics: Mapping[str, Any]) -> str:
    test = metrics.get("test")
    if not isinstance(test, Mapping):
        return ""
    found = test.get("auroc")
    value = found.get("value") if isinstance(found, Mapping) else None
    return "" if value is None else f"AUROC {three_digits(value)} on {test['n']} test images"
