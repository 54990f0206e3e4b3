"""A trained generator as files: `generator.safetensors` and `generator.json`, never a pickle."""

import hashlib
import importlib.metadata
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from pydantic import (
    BaseModel,
    ConfigDict,
    SerializerFunctionWrapHandler,
    ValidationError,
    model_serializer,
)
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from gan.config import GANConfig
from gan.networks import Generator

WEIGHTS_NAME = "generator.safetensors"
METADATA_NAME = "generator.json"
KIND: Literal["gan-generator"] = "gan-generator"
FORMAT: Literal[2] = 2


class CheckpointError(ValueError):
    """A checkpoint is missing, damaged, or not what was asked for."""


class Provenance(BaseModel):
    """What a generator was trained on.

    Attributes:
        class_name: The class of all training images.
        index_hash: Fingerprint of the table that the images were chosen from.
        training_ids: Content hash of each training image.
        companion_ids: The same of the images of another class that shared its training.
        preprocessing: What was done to all images before, as its maker notes it; empty: nothing.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    class_name: str
    index_hash: str
    training_ids: tuple[str, ...]
    companion_ids: tuple[str, ...] = ()
    preprocessing: dict[str, Any] = {}

    @model_serializer(mode="wrap")
    def _without_nothing(self, serialize: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out a preprocessing of nothing, so that trainings from before it still go on."""
        values: dict[str, Any] = serialize(self)
        if not self.preprocessing:
            del values["preprocessing"]
        return values


class GeneratorMetadata(Provenance):
    """The content of `generator.json`.

    Attributes:
        images_shown: Real images that the discriminator had seen when these weights were, all
            devices together.
        weights_sha256: SHA-256 of the weights file, hex; it identifies the checkpoint.
    """

    kind: Literal["gan-generator"] = KIND
    format: Literal[2] = FORMAT
    config: GANConfig
    seed: int
    images_shown: int
    versions: dict[str, str]
    weights_sha256: str


@dataclass(frozen=True, slots=True)
class LoadedGenerator:
    """A generator read from disk, in eval mode, on the CPU.

    Attributes:
        checkpoint_hash: SHA-256 of the weights, hex.
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
    """Write the two files; each is whole or absent whenever the process dies.

    Args:
        directory: Made if missing.
        generator: Its weights and statistics are saved.
        provenance: What it was trained on.
        seed: The run's seed.
        images_shown: Length of the training so far.

    Returns:
        Path of the weights.

    Raises:
        CheckpointError: A weight is not finite.
        OSError: The files cannot be written.
    """
    # Contiguous copies in the default memory format: safetensors stores no strides.
    weights = {
        name: value.detach().cpu().contiguous() for name, value in generator.state_dict().items()
    }
    _require_finite(weights, directory / WEIGHTS_NAME)
    content = save(weights)
    metadata = GeneratorMetadata(
        **provenance.model_dump(),
        config=generator.config,
        seed=seed,
        images_shown=images_shown,
        versions=installed_versions(),
        weights_sha256=hashlib.sha256(content).hexdigest(),
    )
    path = directory / WEIGHTS_NAME
    write_atomically(path, content)
    text = json.dumps(metadata.model_dump(mode="json"), indent=2, allow_nan=False) + "\n"
    write_atomically(directory / METADATA_NAME, text.encode())
    return path


def load_generator(directory: Path) -> LoadedGenerator:
    """Read what `save_generator` wrote, checking all of it.

    Args:
        directory: Folder of the two files.

    Raises:
        CheckpointError: A file is missing, damaged, of another kind or format, or the weights do
            not fit the configuration.
    """
    metadata = _read_metadata(directory / METADATA_NAME)
    path = directory / WEIGHTS_NAME
    content = _read(path)
    digest = hashlib.sha256(content).hexdigest()
    if digest != metadata.weights_sha256:
        raise CheckpointError(
            f"{path} should have the SHA-256 {metadata.weights_sha256[:12]}... of {METADATA_NAME}, "
            f"but has {digest[:12]}... ({len(content)} bytes): it is damaged or belongs "
            "elsewhere; restore it or train the generator again."
        )
    try:
        weights = load(content)
    except SafetensorError as error:
        raise CheckpointError(
            f"{path} should be a safetensors file, but: {error}; train the generator again."
        ) from None
    # Without storage, so that a forged configuration cannot ask for memory before it is checked.
    with torch.device("meta"):
        generator = Generator(metadata.config)
    _require_fit(weights, generator.state_dict(), path)
    _require_finite(weights, path)
    generator.load_state_dict(weights, strict=True, assign=True)
    generator.eval().requires_grad_(False)
    if metadata.config.channels_last:
        generator.to(memory_format=torch.channels_last)
    return LoadedGenerator(generator, metadata.config, metadata, digest)


def installed_versions() -> dict[str, str]:
    """Versions of the packages that shape a training run."""
    names = ("torch", "lightning", "numpy", "safetensors")
    return {name: importlib.metadata.version(name) for name in names}


def write_atomically(path: Path, content: bytes) -> None:
    """Replace a file by way of a temporary one, flushed to the disk before it takes the name.

    Raises:
        OSError: The file cannot be written; what stood there is untouched.
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
        content = path.read_bytes()
    except OSError as error:
        raise CheckpointError(
            f"{path} should be a file of a trained generator, but: {error.strerror}; "
            "train the generator first or name its folder."
        ) from None
    if not content:
        raise CheckpointError(f"{path} is empty; restore it or train the generator again.")
    return content


def _read_metadata(path: Path) -> GeneratorMetadata:
    try:
        values = json.loads(_read(path))
    except ValueError as error:
        if isinstance(error, CheckpointError):
            raise
        raise CheckpointError(
            f"{path} should be JSON, but: {error}; restore it or train the generator again."
        ) from None
    found = values if isinstance(values, dict) else {}
    for field, wanted in (("kind", KIND), ("format", FORMAT)):
        if found.get(field) != wanted:
            raise CheckpointError(
                f"{path} should have {field} {wanted!r}, but has {found.get(field)!r}; name a "
                "folder with a generator that this version trained."
            )
    try:
        return GeneratorMetadata.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"])
        raise CheckpointError(
            f"{path} has an unusable field {field}: {first['msg'].lower()}; restore it or train "
            "the generator again."
        ) from None


def _require_fit(weights: Mapping[str, Tensor], wanted: Mapping[str, Tensor], path: Path) -> None:
    for name in sorted(weights.keys() | wanted.keys()):
        has, needs = _describe(weights.get(name)), _describe(wanted.get(name))
        if has != needs:
            raise CheckpointError(
                f"{path}, tensor {name}, should be {needs} by the configuration beside it, but is "
                f"{has}; restore both files or train the generator again."
            )


def _describe(tensor: Tensor | None) -> str:
    return "absent" if tensor is None else f"{tensor.dtype} {tuple(tensor.shape)}"


def _require_finite(weights: Mapping[str, Tensor], path: Path) -> None:
    for name, value in weights.items():
        if not bool(torch.isfinite(value).all()):
            raise CheckpointError(
                f"{path}, tensor {name}, holds NaN or infinity; train the generator again, with "
                "lower learning rates if this happened in training."
            )
