"""Features of images, computed fast on a CPU and kept on disk under a hash of their inputs."""

import hashlib
import json
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from balancer.errors import EnvironmentFault
from balancer.files import replacing
from balancer.imaging.pixels import planes
from balancer.quality.extractors import Extractor

Images = npt.NDArray[np.uint8]
Features = npt.NDArray[np.float32]

_BATCH = 16
"""Images per pass: the activations of more do not fit the processor's cache, which is slower."""


def features_of(extractor: Extractor, images: Images, *, cache: Path | None = None) -> Features:
    """Extract features, or read them back if they were extracted before.

    Args:
        extractor: Extractor of `load_extractor`.
        images: uint8 (N, H, W), grey, or (N, H, W, 3), sRGB.
        cache: Folder of kept features; None: nothing is kept. A file's name is a hash of the
            extractor's recipe and the pixels, and a damaged file is replaced.

    Returns:
        float32 (N, extractor.dimension).

    Raises:
        ValueError: `images` have another dtype or shape.
        EnvironmentFault: The network gives infinite or undefined features.
    """
    if images.dtype != np.uint8 or len(images.shape) < 3:
        raise ValueError(
            f"images should be uint8 (N, H, W) or (N, H, W, 3), not {images.dtype} {images.shape}"
        )
    if cache is None:
        return _extract(extractor, images)
    path = cache / f"{_key(extractor, images)}.npy"
    features = _read(path, (len(images), extractor.dimension))
    if features is None:
        features = _extract(extractor, images)
        _write(path, features)
    return features


def _extract(extractor: Extractor, images: Images) -> Features:
    features = np.empty((len(images), extractor.dimension), np.float32)
    with torch.inference_mode():
        for start in range(0, len(images), _BATCH):
            # A copy, since a memory-mapped or read-only array cannot back a tensor.
            batch = torch.from_numpy(planes(np.array(images[start : start + _BATCH])))
            features[start : start + _BATCH] = extractor.network(batch)[0].numpy()
    if not np.isfinite(features).all():
        raise EnvironmentFault(
            f"The extractor {extractor.name} should give finite features but does "
            f"not; its weights {extractor.recipe['weights']} are damaged, replace them."
        )
    return features


def _key(extractor: Extractor, images: Images) -> str:
    digest = hashlib.sha256(json.dumps(extractor.recipe, sort_keys=True).encode())
    digest.update(repr(images.shape).encode())
    digest.update(np.ascontiguousarray(images).data)
    return digest.hexdigest()


def _read(path: Path, shape: tuple[int, int]) -> Features | None:
    try:
        features = np.load(path, allow_pickle=False)
    except (OSError, EOFError, ValueError):
        return None
    whole = features.shape == shape and features.dtype == np.float32
    return features if whole and np.isfinite(features).all() else None


def _write(path: Path, features: Features) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as partial, partial.open("wb") as file:
        np.save(file, features)
