"""A trained generator as an ONNX file, from latents to images, checked against torch."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from balancer.errors import IntegrityError
from balancer.synthetic.dcgan import DcganSource
from classifier.onnx_export import TOLERANCE, run_onnx, write_onnx
from gan.checkpoint import Provenance, save_generator
from gan.networks import Generator
from gan.sampling import block_of_latents
from gan.transforms import to_uint8

INPUT, VALUES, IMAGES = "latents", "values", "images"
"""Names of the graph's input and outputs."""
_UNKNOWN: dict[str, tuple[str, ...]] = {"training_ids": (), "companion_ids": ()}
"""Note in `generator.json` in place of the list of training images."""


class DrawingGraph(nn.Module):
    """A generator as one module, from latents to values and to images.

    Args:
        generator: The generator.
    """

    def __init__(self, generator: Generator) -> None:
        super().__init__()
        self.generator = generator

    def forward(self, latents: Tensor) -> tuple[Tensor, Tensor]:
        """Draw images.

        Args:
            latents: float32 (N, latent_dim), standard normal.

        Returns:
            Values, float32 (N, C, S, S) in [-1, 1]; and images, uint8 (N, S, S), or (N, S, S, 3)
            in colour.
        """
        values = self.generator(latents)
        return values, to_uint8(values).movedim(1, 3).squeeze(3)  # no squeeze of three


def export_generator(source: DcganSource, path: Path, metadata: Mapping[str, str]) -> float:
    """Write a generator as an ONNX file and check it against torch on its first 64 images.

    Args:
        source: The generator.
        path: File to write; its folder exists.
        metadata: Stored in the file.

    Returns:
        Largest absolute difference of a value, of [-1, 1], between onnxruntime and torch.

    Raises:
        MissingPackage: A package of the extra `export` is missing.
        IntegrityError: The file does not agree with torch.
    """
    loaded = source.loaded
    graph = DrawingGraph(loaded.generator).eval()
    latents = block_of_latents(loaded.config.latent_dim, loaded.metadata.seed, 0)
    write_onnx(graph, latents[:2], path, INPUT, (VALUES, IMAGES), metadata, strict=True)
    values, _ = run_onnx(path, {INPUT: latents.numpy()})
    with torch.inference_mode():
        wanted = loaded.generator(latents).numpy()
    difference = float(np.abs(values - wanted).max())
    if not difference <= TOLERANCE:
        raise IntegrityError(
            f"{path.name} should give the images of torch to {TOLERANCE:g}, but differs by "
            f"{difference:.2g} on {len(wanted)} images; use other versions of onnx and onnxruntime."
        )
    return difference


def save_without_ids(source: DcganSource, folder: Path) -> None:
    """Write a generator's own two files for others, without the hashes of its training images.

    Whoever has an image could tell by its hash that it was among them.

    Args:
        source: The generator.
        folder: An existing folder.
    """
    metadata = source.loaded.metadata
    save_generator(
        folder,
        source.loaded.generator,
        provenance=Provenance.model_validate(
            {**metadata.model_dump(include={*Provenance.model_fields}), **_UNKNOWN}
        ),
        seed=metadata.seed,
        images_shown=metadata.images_shown,
    )
