"""Rare images blended with their nearest neighbours in the space of frozen features.

Neighbours are training images, found in the features of the bundled network. In a study the pixels
are blended; on frozen features (`--quick`) the features are.
"""

from abc import ABC, abstractmethod
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from balancer.ablation.families.arm import (
    RATIO,
    Arm,
    Blend,
    FoldData,
    Maker,
    Option,
    register,
    whole,
)
from balancer.data.io import Pixels
from balancer.errors import DataError
from balancer.quality.extractors import load_extractor
from balancer.quality.features import Features, features_of


class NeighborArm(Arm, ABC):
    """The base of both arms: whom images may be blended with is theirs.

    Attributes:
        largest_share: Largest share of the partner in a blend.
    """

    kind = "cheap"
    takes = (Option("neighbors", whole(1, 50), 5), RATIO)
    suits_frozen = True
    largest_share: ClassVar[float]

    @abstractmethod
    def candidates(self, fold: FoldData, label: str) -> list[int]:
        """Return the rows of training images that may be partners."""

    def blend(
        self,
        fold: FoldData,
        label: str,
        rows: NDArray[np.int64],
        features: Features,
        rng: np.random.Generator,
    ) -> Blend:
        """Draw one of each image's nearest candidates, and its share.

        Raises:
            DataError: There is no other image to blend with.
        """
        among = np.array(self.candidates(fold, label), np.int64)
        k = min(self.options["neighbors"], len(among) - int(np.isin(rows, among).any()))
        if k < 1:
            raise DataError(
                f"The arm {self.name} should blend images of {label} with others, but the "
                "training split has none; add images or leave out the arm."
            )
        own, back = np.unique(rows, return_inverse=True)
        theirs = features[among].astype(np.float64)
        distances = (theirs**2).sum(1) - 2 * features[own] @ theirs.T  # up to a number per row
        distances[own[:, None] == among] = np.inf
        nearest = among[np.argsort(distances, axis=1, kind="stable")[:, :k]]
        partners = nearest[back, rng.integers(0, k, len(rows))]
        return Blend(partners, rng.uniform(0, self.largest_share, len(rows)))

    def maker(self, fold: FoldData, rng: np.random.Generator) -> Maker:
        """Blend the pixels of repeated training images with those of their partners."""
        training = np.array([row for c in fold.index.classes for row in fold.training_rows(c)])
        cache = fold.place.main.feature_cache_dir
        found = features_of(load_extractor("lite0"), fold.real.pixels[training], cache=cache)
        features = np.zeros((len(fold.real.pixels), found.shape[1]), np.float32)
        features[training] = found

        def make(label: str, count: int) -> Pixels:
            rows = self.rows_to_add(fold, label, count, rng)
            blend = self.blend(fold, label, rows, features, rng)
            return np.round(blend.of(fold.real.pixels, rows)).astype(np.uint8)

        return make


@register
class SmoteArm(NeighborArm):
    """Blends of rare images with one of their nearest of the same class.

    SMOTE: synthetic minority over-sampling technique, Chawla 2002, arXiv 1106.1813.
    """

    family = "smote"
    describes = (
        "Rare images blended with one of their {neighbors} nearest of the same class in feature "
        "space until the classes reach {ratio} (Chawla 2002)."
    )
    largest_share = 1.0

    def candidates(self, fold: FoldData, label: str) -> list[int]:
        """Return the training images of the class."""
        return fold.training_rows(label)


@register
class NeighborMixingArm(NeighborArm):
    """Blends of rare images with one of their nearest of larger classes, labelled as rare.

    After Remix (Chou 2020, arXiv 2007.03943), which gives a mixed pair the label of the rarer
    class; partners are the nearest in feature space in place of random ones, where classes meet.
    """

    family = "neighbor-mixing"
    describes = (
        "Rare images with up to half of one of their {neighbors} nearest of larger classes in "
        "feature space, labelled as rare, until {ratio} (after Remix, Chou 2020)."
    )
    largest_share = 0.5

    def candidates(self, fold: FoldData, label: str) -> list[int]:
        """Return the training images of all larger classes."""
        of_class = {name: fold.training_rows(name) for name in fold.index.classes}
        least = len(of_class[label])
        return [row for rows in of_class.values() if len(rows) > least for row in rows]
