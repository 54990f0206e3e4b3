"""A probe of real images that is insensitive to image quality, to label generated images.

Classes of radiographs often differ in quality as much as in anatomy, and a probe of clean images
labels any blurred or noisy one as the class of the worse machine. So training images of every class
are also used blurred and noisy.
"""

from collections.abc import Mapping
from pathlib import Path

import cv2
import numpy as np

from balancer.quality.extractors import Extractor
from balancer.quality.features import Features, Images, features_of
from balancer.quality.probes import LinearProbe, train_probe

_MOST = 500
"""Number of images of a class that are degraded; more would only take longer."""
_VERSIONS = 2
_BLUR, _NOISE = 2.0 / 64, 20.0
"""Largest standard deviations: blur in sides of the image, noise in grey levels."""


def train_blind_probe(
    training: Mapping[str, Images], *, extractor: Extractor, seed: int, cache: Path | None
) -> LinearProbe:
    """Train on real training images, clean and degraded.

    Args:
        training: uint8 (N, S, S) by class, at least two classes.
        extractor: Extractor of the features.
        seed: Seed for the degradations.
        cache: Folder of kept features; None: nothing is kept.
    """
    rng = np.random.default_rng([seed, len(training)])
    features: dict[str, Features] = {}
    for label, images in sorted(training.items()):
        some = images[rng.permutation(len(images))[:_MOST]]
        versions = [images, *(degraded(some, rng) for _ in range(_VERSIONS))]
        features[label] = np.concatenate(
            [features_of(extractor, version, cache=cache) for version in versions]
        )
    return train_probe(features)


def degraded(images: Images, rng: np.random.Generator) -> Images:
    """Blur each image and add noise, both by a random amount: uint8 (N, S, S) to the same."""
    result = np.empty_like(images)
    for row, image in enumerate(images):
        sigma = rng.uniform(0, _BLUR) * len(image)
        blurred = image.astype(np.float64)
        if sigma > 0.1:  # below, a kernel of one pixel
            blurred = np.asarray(cv2.GaussianBlur(blurred, (0, 0), sigma), np.float64)
        noisy = blurred + rng.normal(0, rng.uniform(0, _NOISE), image.shape)
        result[row] = noisy.round().clip(0, 255)
    return result
