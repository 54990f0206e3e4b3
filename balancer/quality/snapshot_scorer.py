"""Scores of a GAN's snapshots, by which one of them is chosen."""

from pathlib import Path
from typing import Any

import numpy as np

import gan
from balancer.data.io import Pixels
from balancer.quality.choice import SELECTOR
from balancer.quality.distances import Kernels, kid_of_all
from balancer.quality.extractors import Extractor, load_extractor
from balancer.quality.features import Features, features_of
from balancer.quality.neighbors import closer_to_first, distances, is_recalled

_SCORER_DRAWS = 10
_NEIGHBOURS = 5


class Lite0Scorer:
    """Scores a GAN's snapshots against features of real images, which are computed once.

    Always with EfficientNet-Lite0, which is bundled.

    Args:
        training: uint8 (N, S, S), N >= 2.
        validation: uint8 (M, S, S), M >= 2.
        cache: Folder of kept features; None: nothing is kept.
    """

    def __init__(self, training: Pixels, validation: Pixels, *, cache: Path | None = None) -> None:
        self._extractor: Extractor | None = load_extractor(SELECTOR)
        self._training = features_of(self._extractor, training, cache=cache)
        self._validation = features_of(self._extractor, validation, cache=cache)
        self._spread = _spread(self._validation)

    def __getstate__(self) -> dict[str, Any]:
        """Leave out the network, which each process loads by itself."""
        return self.__dict__ | {"_extractor": None}

    def __call__(self, images: Pixels, /) -> gan.SnapshotScores:
        """Score generated images, uint8 (N, S, S)."""
        if self._extractor is None:
            self._extractor = load_extractor(SELECTOR)
        made = features_of(self._extractor, images)
        rng = np.random.default_rng(0)  # the same draws at every evaluation
        kernels = Kernels.of(made, self._validation)
        kid = kid_of_all(kernels)
        to_each = kernels.xy.mean(axis=0)  # (M,)
        recalled = is_recalled(made, self._validation, k=min(_NEIGHBOURS, len(made) - 1))
        return gan.SnapshotScores(
            kid=kid,
            kid_parts=tuple(kid + 2 * (to_each.mean() - to_each)),
            recalled=tuple(recalled),
            diversity=_spread(made) / max(self._spread, 1e-12),
            closer_to_training=closer_to_first(
                distances(made, self._training),
                distances(made, self._validation),
                rng,
                draws=_SCORER_DRAWS,
            ),
        )


def _spread(features: Features) -> float:
    """Return the mean distance of two images of a set."""
    n = len(features)
    return float(distances(features, features).sum() / (n * (n - 1)))
