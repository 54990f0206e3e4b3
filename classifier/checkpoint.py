"""Trained classifiers on disk: `classifier.safetensors`, and its hash in `classifier.json`."""

import hashlib
import importlib.metadata
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from pydantic import ValidationError
from torch import nn

from classifier.config import ClassifierConfig
from classifier.models import ImageClassifier, ModelError, build
from classifier.tables import COLOUR, GREY

WEIGHTS, CARD = "classifier.safetensors", "classifier.json"
KIND, FORMAT = "classifier", 2
_PACKAGES = ("torch", "torchvision", "timm", "lightning", "albumentations", "numpy")


class ClassifierCheckpointError(ValueError):
    """Error of files that are not the complete, unchanged classifier that was saved.

    Example:
        >>> from classifier import ClassifierCheckpointError, load
        >>> try:
        ...     load("no-such-folder")
        ... except ClassifierCheckpointError as error:
        ...     print(str(error)[:45])
        A classifier needs no-such-folder/classifier.
    """


@dataclass(frozen=True, slots=True)
class LoadedClassifier:
    """Classifier ready to predict; made by `load`.

    Example:
        >>> import numpy as np
        >>> from classifier import ArrayTable, ClassifierConfig, load, train
        >>> images = np.random.default_rng(0).integers(0, 256, (16, 32, 32), dtype=np.uint8)
        >>> table = ArrayTable.of(images, labels=[0, 1] * 8)
        >>> config = ClassifierConfig(model="bam-cnn", batch_size=8, epochs=1, members=1)
        >>> train(table, table, config, out_dir="named", class_names=["normal", "covid"]).n_steps
        2
        >>> load("named").class_names
        ('normal', 'covid')

    Attributes:
        networks: One or more networks in eval mode; their probabilities are averaged.
        config: Recipe of the training.
        class_names: Names of the logits, in order.
        provenance: Facts that the caller recorded about the training.
        weights_sha256: Hash of the weights file, in hex.
        temperature: Divisor of the logits that makes probabilities as confident as they are
            accurate.
    """

    networks: tuple[ImageClassifier, ...]
    config: ClassifierConfig
    class_names: tuple[str, ...]
    provenance: Mapping[str, Any]
    weights_sha256: str
    temperature: float = 1.0

    @property
    def network(self) -> ImageClassifier:
        """First network; all share its preprocessing."""
        return self.networks[0]


def save_classifier(
    directory: Path,
    networks: Sequence[ImageClassifier],
    config: ClassifierConfig,
    *,
    class_names: Sequence[str],
    provenance: Mapping[str, object],
    temperature: float = 1.0,
) -> None:
    """Write both files, each atomically; the card, which holds the hash, comes last.

    Args:
        directory: Path to the folder; created if missing.
        networks: Networks with one preprocessing.
        config: The recipe.
        class_names: Names of the logits, in order.
        provenance: Facts about the training, of JSON types.
        temperature: Divisor of the logits at prediction.
    """
    directory.mkdir(parents=True, exist_ok=True)
    weights = {
        f"{number}.{name}": value.cpu().contiguous()
        for number, network in enumerate(networks)
        for name, value in network.state_dict().items()
    }
    content = safetensors.torch.save(weights)
    card = {
        "kind": KIND,
        "format": FORMAT,
        "config": config.model_dump(mode="json"),
        "class_names": list(class_names),
        "preprocessing": networks[0].preprocessing.as_json(),
        "members": len(networks),
        "temperature": temperature,
        "versions": {name: importlib.metadata.version(name) for name in _PACKAGES},
        "provenance": dict(provenance),
        "weights_sha256": hashlib.sha256(content).hexdigest(),
    }
    text = json.dumps(card, indent=2, allow_nan=False) + "\n"
    _write(directory / WEIGHTS, content)
    _write(directory / CARD, text.encode())


def load(directory: str | Path, device: str | torch.device = "cpu") -> LoadedClassifier:
    """Read a trained classifier.

    Example:
        >>> import numpy as np
        >>> from classifier import ArrayTable, ClassifierConfig, load, predict, train
        >>> images = np.random.default_rng(0).integers(0, 256, (16, 32, 32), dtype=np.uint8)
        >>> table = ArrayTable.of(images, labels=[0, 1] * 8)
        >>> config = ClassifierConfig(model="bam-cnn", batch_size=8, epochs=1)
        >>> result = train(table, table, config, out_dir="saved")
        >>> predict(load("saved"), images).shape
        (16, 2)

    Args:
        directory: Path to the folder that `train` wrote.
        device: Device of the networks.

    Raises:
        ClassifierCheckpointError: A file is missing, damaged, changed, of another kind or version,
            or its weights do not fit the recipe or are not finite.
    """
    card_path, weights_path = Path(directory) / CARD, Path(directory) / WEIGHTS
    card = _read_card(card_path)
    content = _read(weights_path)
    digest = hashlib.sha256(content).hexdigest()
    if digest != card["weights_sha256"]:
        raise ClassifierCheckpointError(
            f"{weights_path} should have the hash {card['weights_sha256']!s:.12} that "
            f"{CARD} states but has {digest:.12}; it was cut short or changed, so train again."
        )
    channels = card["preprocessing"].get("channels", GREY)
    if channels not in (GREY, COLOUR):
        raise ClassifierCheckpointError(
            f"{card_path} should be of images of 1 or 3 channels but says {channels!r:.60}; train "
            "again."
        )
    try:
        config = ClassifierConfig.model_validate(card["config"])
        networks = [
            build(config, len(card["class_names"]), channels=channels, pretrained=False)
            for _ in range(card["members"])
        ]
    except (ValidationError, ModelError) as error:
        raise ClassifierCheckpointError(
            f"The config in {card_path} should be a recipe of this version, but: "
            f"{' '.join(str(error).split()):.200}; train again."
        ) from None
    preprocessing = networks[0].preprocessing.as_json()
    if card["preprocessing"] != preprocessing:
        raise ClassifierCheckpointError(
            f"{card_path} was trained with the preprocessing {card['preprocessing']} but this "
            f"version uses {preprocessing}; train again."
        )
    _fill(nn.ModuleList(networks), content, weights_path)
    return LoadedClassifier(
        tuple(network.eval().to(device) for network in networks),
        config,
        tuple(card["class_names"]),
        card["provenance"],
        digest,
        card["temperature"],
    )


def _read_card(path: Path) -> dict[str, Any]:
    content = _read(path)
    try:
        card = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise ClassifierCheckpointError(
            f"{path} should be JSON, but: {error}; train again."
        ) from None
    if not isinstance(card, dict) or (card.get("kind"), card.get("format")) != (KIND, FORMAT):
        found = (card.get("kind"), card.get("format")) if isinstance(card, dict) else card
        older = found[0] == KIND if isinstance(found, tuple) else False
        remedy = "train again" if older else "give the folder of a trained classifier"
        raise ClassifierCheckpointError(
            f"{path} should describe a {KIND} of format {FORMAT} but says {found!r:.80}; {remedy}."
        )
    types = {
        "config": dict,
        "class_names": list,
        "preprocessing": dict,
        "provenance": dict,
        "temperature": float,
        "members": int,
        "weights_sha256": str,
    }
    for key, type_ in types.items():
        if not isinstance(card.get(key), type_):
            raise ClassifierCheckpointError(
                f"{path} should have {key} as a {type_.__name__} but has {card.get(key)!r:.60}; "
                "train again."
            )
    names = card["class_names"]
    if len(set(map(str, names))) < max(2, len(names)) or not all(
        isinstance(name, str) for name in names
    ):
        raise ClassifierCheckpointError(
            f"{path} should name two classes or more, each once, not {names!r:.80}; train again."
        )
    if isinstance(card["members"], bool) or not 1 <= card["members"] <= 20:
        raise ClassifierCheckpointError(
            f"{path} should have 1 to 20 members but has {card['members']}; train again."
        )
    if not 0.01 < card["temperature"] < 100:
        raise ClassifierCheckpointError(
            f"{path} should have a temperature near 1 but has {card['temperature']!r}; train again."
        )
    return card


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ClassifierCheckpointError(
            f"A classifier needs {path}, which cannot be read ({error.strerror}); train it first."
        ) from None


def _fill(networks: nn.Module, content: bytes, path: Path) -> None:
    try:
        weights = safetensors.torch.load(content)
    except (safetensors.SafetensorError, ValueError) as error:
        raise ClassifierCheckpointError(
            f"{path} should be a safetensors file, but: {error}; train again."
        ) from None
    wanted = networks.state_dict()
    for name in sorted(wanted.keys() ^ weights.keys()):
        verb = "lacks the" if name in wanted else "has the unknown"
        raise ClassifierCheckpointError(f"{path} {verb} tensor {name}; train again.")
    for name, tensor in weights.items():
        if (tensor.shape, tensor.dtype) != (wanted[name].shape, wanted[name].dtype):
            raise ClassifierCheckpointError(
                f"{path} should have {name} as {wanted[name].dtype} {tuple(wanted[name].shape)} "
                f"but has {tensor.dtype} {tuple(tensor.shape)}; train again."
            )
        if not torch.isfinite(tensor).all():
            raise ClassifierCheckpointError(f"{path} has NaN or infinity in {name}; train again.")
    networks.load_state_dict(weights)


def _write(path: Path, content: bytes) -> None:
    temporary = path.with_name(f".{path.name}.part")
    with temporary.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
