"""Near copies of training images among generated ones, in feature spaces and in aligned pixels.

A held-out image of the same class is what an honest generator would make, so every figure comes
with the one of held-out images.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
import numpy.typing as npt
from scipy.stats import binomtest

from balancer.quality.aligned import Images, nearest_aligned
from balancer.quality.descriptors import edge_histograms
from balancer.quality.extractors import Extractor
from balancer.quality.features import Features, features_of
from balancer.quality.figures import Correlations, Memorization, NearCopies, TrainingDistance
from balancer.quality.neighbors import closer_to_first, distances

FloatArray = npt.NDArray[np.float64]
EDGES = "edges"
_DRAWS = 20


@dataclass(frozen=True, slots=True)
class Nearest:
    """The training image nearest to each image of a set.

    Attributes:
        is_copy: bool (N,), near copy of a training image in some space.
        rows: int64 (N,), the training image most alike in aligned pixels.
        correlations: float32 (N,), correlations with that image.
        relative: float64 (N,) per feature space: distance to the nearest training image or its
            mirror image, over the median of held-out images.
        features: float32 (N, d) per feature space.
    """

    is_copy: npt.NDArray[np.bool_]
    rows: npt.NDArray[np.int64]
    correlations: npt.NDArray[np.float32]
    relative: Mapping[str, FloatArray]
    features: Mapping[str, Features]


class CopyDetector:
    """Finds near copies of training images.

    Args:
        training: uint8 (N, S, S), images of one class.
        held_out: uint8 (M, S, S), M >= 1, other images of the class: the scale of distances.
        extractors: Extractors by name; edge histograms are always compared as well.
        decisive: Names of the extractors whose distances can make an image a near copy; those of
            the others are reported. Edge histograms always can.
        correlation: Correlation of aligned pixels at or above which an image is a near copy.
        distance: Share of the median distance of held-out images at or below which it is one.
        cache: Folder of kept features of these images; None: nothing is kept.
    """

    def __init__(
        self,
        training: Images,
        held_out: Images,
        *,
        extractors: Mapping[str, Extractor],
        decisive: Collection[str],
        correlation: float,
        distance: float,
        cache: Path | None = None,
    ) -> None:
        self._training = training
        self._held_out = held_out
        self._extractors = extractors
        self._correlation = correlation
        self._distance = distance
        self._decisive = {*decisive, EDGES}
        self._of_training = self._describe_both(training, cache)
        self._of_held_out = self._describe_both(held_out, cache)
        self._cache = cache
        self._scale = {
            name: max(float(np.median(self._to_training(name, features[: len(held_out)]))), 1e-12)
            for name, features in self._of_held_out.items()
        }

    def nearest(self, images: Images, *, cache: Path | None = None) -> Nearest:
        """Compare images, uint8 (N, S, S), with the training images; features go to the cache."""
        aligned = nearest_aligned(images, self._training)
        features = self._describe(images, cache)
        relative = {
            name: self._to_training(name, values) / self._scale[name]
            for name, values in features.items()
        }
        close = [relative[name] <= self._distance for name in relative if name in self._decisive]
        alike = aligned.correlations >= self._correlation
        return Nearest(
            is_copy=np.logical_or.reduce([alike, *close]),
            rows=aligned.rows,
            correlations=aligned.correlations,
            relative=relative,
            features=features,
        )

    def measure(self, found: Nearest, rng: np.random.Generator) -> Memorization:
        """Measure a set of generated images.

        Args:
            found: The result of `nearest` for them.
            rng: Random numbers that choose training images where there are more than held-out ones.
        """
        held_out = self.nearest(self._held_out, cache=self._cache)
        return Memorization(
            n=len(found.rows),
            n_held_out=len(self._held_out),
            near_copies=NearCopies(
                generated=float(found.is_copy.mean()),
                generated_at_least=_lower_bound(found.is_copy),
                held_out=float(held_out.is_copy.mean()),
            ),
            correlation=Correlations(
                generated=float(np.median(found.correlations)),
                held_out=float(np.median(held_out.correlations)),
            ),
            distance={
                name: TrainingDistance(
                    generated=float(np.median(found.relative[name])),
                    held_out=float(np.median(held_out.relative[name])),
                    closer_to_training=self._closer_to_training(name, features, rng),
                )
                for name, features in found.features.items()
            },
        )

    def _describe(self, images: Images, cache: Path | None) -> dict[str, Features]:
        return {
            name: features_of(extractor, images, cache=cache)
            for name, extractor in self._extractors.items()
        } | {EDGES: edge_histograms(images)}

    def _describe_both(self, images: Images, cache: Path | None) -> dict[str, Features]:
        """Describe all images, then their mirror images, since a flipped copy is a copy."""
        plain = self._describe(images, cache)
        mirrored = self._describe(np.ascontiguousarray(images[:, :, ::-1]), cache)
        return {name: np.concatenate((plain[name], mirrored[name])) for name in plain}

    def _to_training(self, space: str, features: Features) -> FloatArray:
        return cast(FloatArray, distances(features, self._of_training[space]).min(axis=1))

    def _closer_to_training(
        self, space: str, features: Features, rng: np.random.Generator
    ) -> float:
        training = _to_either_side(features, self._of_training[space])
        held_out = _to_either_side(features, self._of_held_out[space])
        return closer_to_first(training, held_out, rng, draws=_DRAWS)


def without_held_out(found: Memorization, is_copy: npt.NDArray[np.bool_]) -> Memorization:
    """Return what is known of copies where no held-out image is known to be unseen.

    Args:
        found: Measured against one part of the real images, with the other part as the scale.
        is_copy: bool (N,), near copies of an image of either part.
    """
    copies = found.near_copies.model_copy(
        update={"generated": float(is_copy.mean()), "generated_at_least": _lower_bound(is_copy)}
    )
    # The generator may have seen both parts, so that it is closer to one of them means nothing.
    return found.model_copy(update={"near_copies": copies, "distance": {}})


def _to_either_side(features: Features, both: Features) -> FloatArray:
    """Return the distance to each image or its mirror image, the nearer one: float64 (N, M)."""
    between = distances(features, both)
    half = between.shape[1] // 2
    return cast(FloatArray, np.minimum(between[:, :half], between[:, half:]))


def _lower_bound(flags: npt.NDArray[np.bool_]) -> float:
    """Return the lower end of the exact 95 % interval of a share (Clopper and Pearson 1934)."""
    found = binomtest(int(flags.sum()), len(flags)).proportion_ci(0.95, method="exact")
    return float(found.low)
