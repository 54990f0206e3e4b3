"""A classifier of real images that cannot go by image quality, to say what generated ones show.

Classes of radiographs often differ in quality as much as in anatomy, and a classifier of clean
images takes any blurred or noisy one for the class of the worse machine. So each training image is
also shown blurred and noisy, whatever its class.
"""

from collections.abc import Mapping
from pathlib import Path

import cv2
import numpy as np

from balancer.quality.extractors import Extractor
from balancer.quality.features import Features, Images, features_of
from balancer.quality.probes import Judge, train_judge

_MOST = 500
"""Images of a class that are degraded; more would only take longer."""
_VERSIONS = 2
_BLUR, _NOISE = 2.0 / 64, 20.0
"""Largest standard deviations: of the blur in sides, of the noise in grey levels."""


def quality_blind_judge(
    training: Mapping[str, Images], *, extractor: Extractor, seed: int, cache: Path | None
) -> Judge:
    """Train on real training images, clean and degraded.

    Args:
        training: By class, uint8 (N, S, S), at least two classes.
        extractor: Gives the features.
        seed: Of the degradations.
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
    return train_judge(features)


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
