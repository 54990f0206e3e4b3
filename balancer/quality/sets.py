"""The images that one class is measured by, and the features that several measurements share."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from balancer.imaging.pixels import luma
from balancer.quality.choice import ChosenBy
from balancer.quality.config import GateConfig, QualityConfig
from balancer.quality.extractors import Extractor
from balancer.quality.features import Features, Images, features_of
from balancer.quality.memorization import CopyDetector, Nearest
from balancer.quality.placement import Registered, register

FEWEST = 2
"""Number of images of a set below which nothing is measured."""
_MOST = 500
"""Number of images of a set within which pairs are compared; more would only take longer."""


@dataclass(frozen=True, slots=True)
class ClassImages:
    """The images of one class and what they are compared with; uint8 (N, S, S), no test image.

    Attributes:
        label: The class.
        accepted: Synthetic images that join the training split.
        made: All synthetic images, rejected ones included.
        training: Real training images, by class.
        validation: Real validation images, by class.
        unseen: Whether the source of the synthetic images is known not to have seen the validation
            images.
        chosen_by: Name of an extractor that chose the accepted images to what it chose.
    """

    label: str
    accepted: Images
    made: Images
    training: Mapping[str, Images]
    validation: Mapping[str, Images]
    unseen: bool = True
    chosen_by: ChosenBy = field(default_factory=dict)

    @property
    def own_training(self) -> Images:
        """Real training images of the class."""
        return self.training[self.label]

    @property
    def own_validation(self) -> Images:
        """Real validation images of the class."""
        return self.validation[self.label]


class ClassFeatures:
    """The images of one class with everything computed from them, each at most once.

    Args:
        images: The images.
        extractors: Extractors by name; the first one also serves the probes.
        quality: Sizes of samples.
        gate: Limits that make an image a near copy.
        seed: Seed for everything drawn.
        cache: Folder of kept features; None: nothing is kept.
    """

    def __init__(
        self,
        images: ClassImages,
        *,
        extractors: Mapping[str, Extractor],
        quality: QualityConfig,
        gate: GateConfig,
        seed: int,
        cache: Path | None,
    ) -> None:
        self.images = images
        self.label = images.label
        self.extractors = extractors
        self.main = next(iter(extractors.values()))
        self.quality = quality
        self.gate = gate
        self.seed = seed
        self.cache = cache

    def rng(self, purpose: int) -> np.random.Generator:
        """Start the random numbers of one purpose; the same ones at every call."""
        return np.random.default_rng([self.seed, purpose])

    def features(self, images: Images) -> Features:
        """Compute features of the first extractor, or read them back from the cache."""
        return features_of(self.main, images, cache=self.cache)

    @cached_property
    def accepted(self) -> Features:
        """Features of accepted images."""
        return self.features(self.images.accepted)

    @cached_property
    def made(self) -> Features:
        """Features of all images made."""
        return self.features(self.images.made)

    @cached_property
    def training(self) -> dict[str, Features]:
        """Features of real training images, by class."""
        return {name: self.features(some) for name, some in self.images.training.items()}

    @cached_property
    def validation(self) -> dict[str, Features]:
        """Features of real validation images, by class."""
        return {name: self.features(some) for name, some in self.images.validation.items()}

    @cached_property
    def copies(self) -> CopyDetector:
        """The detector of near copies of training images."""
        return self._detector(self.images.own_training, self.images.own_validation)

    @cached_property
    def nearest(self) -> Nearest:
        """The training image nearest to each accepted image."""
        return self.copies.nearest(self.images.accepted, cache=self.cache)

    @cached_property
    def nearest_made(self) -> Nearest:
        """The training image nearest to each image made."""
        if np.array_equal(self.images.made, self.images.accepted):
            return self.nearest
        return self.copies.nearest(self.images.made, cache=self.cache)

    @cached_property
    def copies_of_held_out(self) -> CopyDetector:
        """The detector of near copies of validation images."""
        return self._detector(self.images.own_validation, self.images.own_training)

    @cached_property
    def nearest_held_out(self) -> Nearest:
        """The validation image nearest to each accepted image."""
        return self.copies_of_held_out.nearest(self.images.accepted, cache=self.cache)

    @cached_property
    def accepted_copies(self) -> NDArray[np.bool_]:
        """Return True for accepted images that are near copies of a real image of either side."""
        return self.nearest.is_copy | self.nearest_held_out.is_copy

    @cached_property
    def made_copies(self) -> NDArray[np.bool_]:
        """Return the same for each image made."""
        if np.array_equal(self.images.made, self.images.accepted):
            return self.accepted_copies
        others = self.copies_of_held_out.nearest(self.images.made, cache=self.cache)
        return self.nearest_made.is_copy | others.is_copy

    @cached_property
    def real_copies(self) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Return True where validation images are near copies of training ones; the reverse."""
        images, cache = self.images, self.cache
        held_out = self.copies.nearest(images.own_validation, cache=cache)
        training = self.copies_of_held_out.nearest(images.own_training, cache=cache)
        return held_out.is_copy, training.is_copy

    @cached_property
    def registered(self) -> tuple[Registered, Registered] | None:
        """Accepted and real images of `pairable`, registered to the mean real training image."""
        sets = self.pairable(self.rng(3))
        if sets is None:
            return None
        mean = luma(self.images.own_training).mean(axis=0)
        accepted, real = sets
        return register(accepted, mean), register(real, mean)

    def _detector(self, training: Images, held_out: Images) -> CopyDetector:
        return CopyDetector(
            training,
            held_out,
            extractors=self.extractors,
            decisive=[next(iter(self.extractors))],
            correlation=self.gate.near_copy_correlation,
            distance=self.gate.near_copy_distance,
            cache=self.cache,
        )

    def pairable(self, rng: np.random.Generator) -> tuple[Images, Images] | None:
        """Choose equally many accepted and real training images, to compare pairs within each.

        Returns:
            Both sets, at most 500 images each; None with fewer than 2.
        """
        accepted, real = self.images.accepted, self.images.own_training
        n = min(len(accepted), len(real), _MOST)
        if n < FEWEST:
            return None
        return accepted[rng.permutation(len(accepted))[:n]], real[rng.permutation(len(real))[:n]]
