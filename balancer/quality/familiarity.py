"""Distance of an image to the training images of the classifiers of a workspace.

A classifier names a class for anything, even a photograph, so the distance of an image to the
training images is measured first: the mean distance to the k nearest of them (Sun 2022, arXiv
2204.06507). It uses two spaces: directions of Lite0 features, which separate radiographs from other
pictures, and thumbnails of equal mean and contrast, which separate upright radiographs from
negatives and rotated ones. The usual distance is measured on validation images, which are as new to
the training images as any other image.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from balancer.data.index import Index
from balancer.data.io import Pixels, resize_square
from balancer.quality.extractors import Extractor
from balancer.quality.features import features_of
from balancer.quality.neighbors import distances

FloatArray = npt.NDArray[np.float64]

FEATURES, SHAPE = "Lite0 features", "overall shape"
NEIGHBOURS = 5
QUANTILE = 0.995
MARGIN = 1.1
"""Factor of the quantile, since a few dozen validation images do not show the full range."""
FEWEST = 2
"""Smallest number of validation images that show usual distances."""
_MOST = 2_000
"""Largest number of training images used per class; more take time and add nothing."""
_THUMBNAIL = 32
_AT_ONCE = 1_000
"""Number of images whose distances to all training images are in memory together."""


@dataclass(frozen=True, slots=True)
class Likeness:
    """Distance of an image to the training images.

    Attributes:
        shares: Space to distance as a share of its limit; above 1 is too far.
        n_validation: Number of images behind the limits.
    """

    shares: Mapping[str, float]
    n_validation: int

    @property
    def is_far(self) -> bool:
        """True if it is beyond a limit."""
        return max(self.shares.values()) > 1

    def shares_text(self) -> str:
        """Return the shares in words."""
        return " and ".join(f"{name} {share:.0%}" for name, share in self.shares.items())

    def sentence(self) -> str:
        """Return the sentence that the page shows."""
        return (
            f"Distance from the training images: {self.shares_text()} of the limit, which is "
            f"{MARGIN:g} times what {QUANTILE:.1%} of {self.n_validation} validation images stay "
            "under."
        )


class Familiarity:
    """Distances to the training images of an index.

    Args:
        training: uint8 (N, S, S), all classes.
        validation: uint8 (M, S, S), M >= 2.
        features_of_training: float32 (N, d).
        features_of_validation: float32 (M, d).
        extractor: Extractor of these features.
    """

    def __init__(
        self,
        training: Pixels,
        validation: Pixels,
        features_of_training: npt.NDArray[np.float32],
        features_of_validation: npt.NDArray[np.float32],
        extractor: Extractor,
    ) -> None:
        self._extractor = extractor
        self._size = int(training.shape[1])
        self._n_validation = len(validation)
        self._training = {FEATURES: _directions(features_of_training), SHAPE: _shapes(training)}
        held_out = {FEATURES: _directions(features_of_validation), SHAPE: _shapes(validation)}
        self._limits = {
            space: MARGIN * float(np.quantile(_nearest(values, self._training[space]), QUANTILE))
            for space, values in held_out.items()
        }

    def of(self, pixels: Pixels) -> Likeness:
        """Measure an image, uint8 (H, W)."""
        shares = self._shares(resize_square(pixels, self._size)[None], cache=None)
        return Likeness(
            {space: float(values[0]) for space, values in shares.items()}, self._n_validation
        )

    def largest_shares(self, images: Pixels, *, cache: Path) -> FloatArray:
        """Return the largest share of a limit of each image; above 1 is too far.

        Args:
            images: uint8 (N, S, S), S as in training.
            cache: Folder of cached features.

        Returns:
            float64 (N,).
        """
        parts = [images[start : start + _AT_ONCE] for start in range(0, len(images), _AT_ONCE)]
        shares = [self._shares(np.asarray(part), cache=cache) for part in parts]
        return np.concatenate([np.max(list(one.values()), axis=0) for one in shares])

    def _shares(self, images: Pixels, *, cache: Path | None) -> dict[str, FloatArray]:
        """Return space to the distance of each image as a share of the limit."""
        spaces = {
            FEATURES: _directions(features_of(self._extractor, images, cache=cache)),
            SHAPE: _shapes(images),
        }
        return {
            space: _nearest(values, self._training[space]) / self._limits[space]
            for space, values in spaces.items()
        }


def measure_familiarity(
    index: Index, size: int, extractor: Extractor, *, cache: Path
) -> Familiarity | None:
    """Prepare the check on the images of an index.

    Args:
        index: Index whose training and validation images are read.
        size: Side in pixels at which they are read.
        extractor: Extractor of Lite0 features.
        cache: Folder of cached features.

    Returns:
        None if there are too few images.
    """
    parts = {
        split: [part for part in _by_class(index, split, size) if len(part)]
        for split in ("train", "val")
    }
    counts = {split: sum(map(len, images)) for split, images in parts.items()}
    if counts["train"] == 0 or counts["val"] < FEWEST:
        return None
    features = {
        # One class after the other, as in `quality`, so that its cache is used here too.
        split: np.concatenate([features_of(extractor, part, cache=cache) for part in images])
        for split, images in parts.items()
    }
    return Familiarity(
        np.concatenate(parts["train"]),
        np.concatenate(parts["val"]),
        features["train"],
        features["val"],
        extractor,
    )


def _by_class(index: Index, split: str, size: int) -> Sequence[Pixels]:
    return [index.pixels(size, split, label)[:_MOST] for label in index.classes]


def _directions(features: npt.NDArray[np.float32]) -> FloatArray:
    values = features.astype(np.float64)
    norms = np.linalg.norm(values, axis=1, keepdims=True)
    return np.asarray(values / np.maximum(norms, 1e-12), np.float64)


def _shapes(images: Pixels) -> FloatArray:
    """Return flat thumbnails of mean 0 and norm 1; squared distances are 2 (1 - correlation)."""
    small = np.stack([resize_square(image, _THUMBNAIL) for image in images]).astype(np.float64)
    flat = small.reshape(len(images), -1)
    flat -= flat.mean(axis=1, keepdims=True)
    norms = np.linalg.norm(flat, axis=1, keepdims=True)
    return np.asarray(flat / np.maximum(norms, 1e-12), np.float64)


def _nearest(values: FloatArray, training: FloatArray) -> FloatArray:
    """Return the mean distance to the nearest training images, float64 (N,)."""
    k = min(NEIGHBOURS, len(training))
    return np.asarray(np.partition(distances(values, training), k - 1, axis=1)[:, :k].mean(axis=1))
