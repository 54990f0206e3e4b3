"""Files of a trained generator: `generator.safetensors` and `generator.json`, never a pickle."""

import hashlib
import importlib.metadata
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import safetensors.torch
import torch
from pydantic import Field, SerializerFunctionWrapHandler, ValidationError, model_serializer
from safetensors import SafetensorError
from torch import Tensor

from gan.config import CheckedModel, GANConfig
from gan.networks import Generator
from gan.transforms import GREY, Channels

WEIGHTS_NAME = "generator.safetensors"
METADATA_NAME = "generator.json"
KIND: Literal["gan-generator"] = "gan-generator"
FORMAT: Literal[2] = 2


class GeneratorCheckpointError(ValueError):
    """A checkpoint is missing, damaged, or of another training or format.

    Example:
        >>> import gan
        >>> try:
        ...     loaded = gan.load("missing-gan")
        ... except gan.GeneratorCheckpointError as error:
        ...     print(error)  # doctest: +ELLIPSIS
        missing-gan/generator.json should be ...
    """


class Provenance(CheckedModel):
    """Source of the training images, as written to `generator.json`.

    Attributes:
        class_name: Name of the class of all training images.
        index_hash: Fingerprint of the table that lists the images; empty: unknown.
        training_ids: Content hash of each training image; empty: unknown.
        companion_ids: Content hash of each image of another class that shared the training.
        preprocessing: Record of the preprocessing of all images; empty: none.

    Example:
        >>> from gan import Provenance
        >>> Provenance(class_name="COVID", index_hash="", training_ids=()).class_name
        'COVID'
    """

    class_name: str
    index_hash: str
    training_ids: tuple[str, ...]
    companion_ids: tuple[str, ...] = ()
    preprocessing: dict[str, Any] = Field(default_factory=dict)

    @model_serializer(mode="wrap")
    def _without_nothing(self, serialize: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out what earlier versions did not write, so that their trainings can resume."""
        values: dict[str, Any] = serialize(self)
        if not self.preprocessing:
            del values["preprocessing"]
        if values.get("channels") == GREY:
            del values["channels"]
        return values


class GeneratorMetadata(Provenance):
    """Content of `generator.json`.

    Attributes:
        kind: Kind of the file.
        format: Version of the format.
        config: Recipe.
        seed: Seed for the run.
        images_shown: Number of real images shown before these weights, all devices together.
        versions: Versions of the packages that trained it.
        weights_sha256: SHA-256 of the weights file, hex; it identifies the checkpoint.
        channels: Number of channels of its images; not written where they are grey.
    """

    kind: Literal["gan-generator"] = KIND
    format: Literal[2] = FORMAT
    config: GANConfig
    seed: int
    images_shown: int
    versions: dict[str, str]
    weights_sha256: str
    channels: Channels = GREY


@dataclass(frozen=True, slots=True)
class LoadedGenerator:
    """Generator read from disk, in eval mode, on the CPU.

    Attributes:
        generator: Network from latents to images.
        config: Recipe.
        metadata: Content of `generator.json`.
        checkpoint_hash: SHA-256 of the weights, hex.

    Example:
        >>> import gan, numpy as np
        >>> images = np.random.default_rng(0).integers(0, 256, (64, 32, 32), dtype=np.uint8)
        >>> config = gan.GANConfig(image_size=32, images_shown=256)
        >>> result = gan.train(images, config, out_dir="noise-gan")
        >>> gan.load("noise-gan").metadata.images_shown
        256
    """

    generator: Generator
    config: GANConfig
    metadata: GeneratorMetadata
    checkpoint_hash: str


def save_generator(
    directory: Path,
    generator: Generator,
    *,
    provenance: Provenance,
    seed: int,
    images_shown: int,
) -> Path:
    """Write the two files; after a kill, each is complete or unchanged.

    Args:
        directory: Path to the folder; created if missing.
        generator: Network whose weights and statistics are saved.
        provenance: Source of the training images.
        seed: Seed for the run.
        images_shown: Number of real images shown before these weights.

    Returns:
        Path to the weights.

    Raises:
        GeneratorCheckpointError: A weight is not finite.
        OSError: The files cannot be written.
    """
    # Contiguous copies in the default memory format: safetensors stores no strides.
    weights = {
        name: value.detach().cpu().contiguous() for name, value in generator.state_dict().items()
    }
    _require_finite(weights, directory / WEIGHTS_NAME)
    content = safetensors.torch.save(weights)
    metadata = GeneratorMetadata(
        **provenance.model_dump(),
        config=generator.config,
        seed=seed,
        images_shown=images_shown,
        versions=installed_versions(),
        channels=generator.channels,
        weights_sha256=hashlib.sha256(content).hexdigest(),
    )
    path = directory / WEIGHTS_NAME
    write_atomically(path, content)
    text = json.dumps(metadata.model_dump(mode="json"), indent=2, allow_nan=False) + "\n"
    write_atomically(directory / METADATA_NAME, text.encode())
    return path


def load(directory: str | Path) -> LoadedGenerator:
    """Read a trained generator, with all checks.

    Args:
        directory: Path to the folder of `generator.safetensors` and `generator.json`.

    Raises:
        GeneratorCheckpointError: A file is missing, damaged, of another kind or format, or the
            weights do not fit the recipe.

    Example:
        >>> import gan, numpy as np
        >>> images = np.random.default_rng(0).integers(0, 256, (64, 32, 32), dtype=np.uint8)
        >>> config = gan.GANConfig(image_size=32, images_shown=256)
        >>> result = gan.train(images, config, out_dir="noise-gan")
        >>> gan.load("noise-gan").config.image_size
        32
    """
    folder = Path(directory)
    metadata = _read_metadata(folder / METADATA_NAME)
    # Without memory, so that a forged recipe cannot ask for any before it is checked.
    with torch.device("meta"):
        generator = Generator(metadata.config, metadata.channels)
    weights = _read_weights(
        folder / WEIGHTS_NAME, sha256=metadata.weights_sha256, wanted=generator.state_dict()
    )
    generator.load_state_dict(weights, strict=True, assign=True)
    generator.eval().requires_grad_(False)
    if metadata.config.channels_last:
        generator.to(memory_format=torch.channels_last)
    return LoadedGenerator(generator, metadata.config, metadata, metadata.weights_sha256)


def installed_versions() -> dict[str, str]:
    """Return the versions of the packages that the result of a training depends on."""
    names = ("torch", "lightning", "numpy", "safetensors")
    return {name: importlib.metadata.version(name) for name in names}


def write_atomically(path: Path, content: bytes) -> None:
    """Replace a file through a temporary one, flushed to the disk before it takes the name.

    Args:
        path: Path to the file; its folder is created if missing.
        content: New content.

    Raises:
        OSError: The file cannot be written; an existing one is unchanged.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    try:
        with partial.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except OSError:
        partial.unlink(missing_ok=True)
        raise


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise GeneratorCheckpointError(
            f"{path} should be a file of a trained generator, but: {error.strerror}; "
            "train the generator first or give its folder."
        ) from None


def _read_metadata(path: Path) -> GeneratorMetadata:
    content = _read(path)
    try:
        values = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise GeneratorCheckpointError(
            f"{path} should be JSON, but: {error}; restore it or train the generator again."
        ) from None
    found = values if isinstance(values, dict) else {}
    for field, wanted in (("kind", KIND), ("format", FORMAT)):
        if found.get(field) != wanted:
            raise GeneratorCheckpointError(
                f"{path} should have {field} {wanted!r}, but has {found.get(field)!r}; give a "
                "folder with a generator of this version."
            )
    try:
        return GeneratorMetadata.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"])
        raise GeneratorCheckpointError(
            f"{path} has an unusable field {field}: {first['msg'].lower()}; restore it or train "
            "the generator again."
        ) from None


def _read_weights(path: Path, *, sha256: str, wanted: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Read tensors; check their hash, names, dtypes, shapes, and that all values are finite."""
    content = _read(path)
    digest = hashlib.sha256(content).hexdigest()
    if digest != sha256:
        raise GeneratorCheckpointError(
            f"{path} should have the SHA-256 {sha256[:12]}... of {METADATA_NAME}, but has "
            f"{digest[:12]}... ({len(content)} bytes): it is damaged or from another training; "
            "restore it or train the generator again."
        )
    try:
        weights = safetensors.torch.load(content)
    except SafetensorError as error:
        raise GeneratorCheckpointError(
            f"{path} should be a safetensors file, but: {error}; train the generator again."
        ) from None
    for name in sorted(weights.keys() | wanted.keys()):
        has, needs = _describe(weights.get(name)), _describe(wanted.get(name))
        if has != needs:
            raise GeneratorCheckpointError(
                f"{path}, tensor {name}, should be {needs} by the configuration beside it, but is "
                f"{has}; restore both files or train the generator again."
            )
    _require_finite(weights, path)
    return weights


def _describe(tensor: Tensor | None) -> str:
    return "absent" if tensor is None else f"{tensor.dtype} {tuple(tensor.shape)}"


def _require_finite(weights: Mapping[str, Tensor], path: Path) -> None:
    for name, value in weights.items():
        if not bool(torch.isfinite(value).all()):
            raise GeneratorCheckpointError(
                f"{path}, tensor {name}, should be finite, but has NaN or infinity; train the "
                "generator again, with lower learning rates if this happened in training."
            )
