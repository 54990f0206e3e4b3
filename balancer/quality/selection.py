"""The judge of a GAN's snapshots: distances to validation images, computed fast and often."""

from pathlib import Path
from typing import Any

import numpy as np

from balancer.quality.distances import Kernels, kid_of_all
from balancer.quality.extractors import Extractor, load_extractor
from balancer.quality.features import Images, features_of
from balancer.quality.neighbors import closer_to_first, distances
from gan import SnapshotScores

_DRAWS = 10


class SnapshotJudge:
    """Scores generated images against features of real ones that are extracted once.

    Always EfficientNet-Lite0: training must not hang on weights that may not be there.

    Args:
        training: uint8 (N, S, S), N >= 2.
        validation: uint8 (M, S, S), M >= 2.
        cache: Folder of kept features; None: nothing is kept.
    """

    def __init__(self, training: Images, validation: Images, *, cache: Path | None = None) -> None:
        self._extractor: Extractor | None = load_extractor("lite0")
        self._training = features_of(self._extractor, training, cache=cache)
        self._validation = features_of(self._extractor, validation, cache=cache)
        self._spread = _spread(self._validation)

    def __getstate__(self) -> dict[str, Any]:
        """Without the network, which each process loads by itself."""
        return self.__dict__ | {"_extractor": None}

    def __call__(self, images: Images, /) -> SnapshotScores:
        """Score generated images, uint8 (N, S, S)."""
        if self._extractor is None:
            self._extractor = load_extractor("lite0")
        made = features_of(self._extractor, images)
        return SnapshotScores(
            kid=kid_of_all(Kernels.of(made, self._validation)),
            diversity=_spread(made) / max(self._spread, 1e-12),
            closer_to_training=self._closer_to_training(made),
        )

    def _closer_to_training(self, made: np.ndarray) -> float:
        rng = np.random.default_rng(0)  # the same draws at every evaluation
        return closer_to_first(
            distances(made, self._training), distances(made, self._validation), rng, draws=_DRAWS
        )


def _spread(features: np.ndarray) -> float:
    """Mean distance of two images of a set."""
    n = len(features)
    return float(distances(features, features).sum() / (n * (n - 1)))
