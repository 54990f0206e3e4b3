"""Pairs of images whose features are nearly the same: edited copies, or one patient twice.

The search for near duplicates compares pixels, so it can miss a copy that was turned, labelled or
given another contrast. Features depend less on such edits, but separate different images less well.
So these pairs are only shown, for a reader to decide. `docs/audit.md` has the measurement.
"""

from dataclasses import dataclass

import numpy as np

from balancer.quality.features import Features

_COMPONENTS = {400: 128, 100: 64}
"""Least number of images at which that many principal components can be estimated."""
_NOISE = 0.05
_ALIKE_WHITENED, _ALIKE_PLAIN = 0.65, 0.85
_BLOCK = 1024


@dataclass(frozen=True, slots=True)
class LookAlike:
    """Two images by position, `first < second`, and their similarity in [-1, 1]."""

    first: int
    second: int
    similarity: float


def look_alikes(features: Features) -> list[LookAlike]:
    """Find pairs whose features are far nearer than those of different images.

    With 400 images or more the 128 strongest principal components are whitened, with 100 or more
    the 64 strongest, and pairs with a cosine of 0.65 are returned; fewer images do not show what
    varies, so plain centred features have to reach 0.85.

    Args:
        features: float32 (N, F).

    Returns:
        Each pair once, the most alike first.
    """
    if len(features) < 2:
        return []
    components = next((n for least, n in _COMPONENTS.items() if len(features) >= least), 0)
    around = features - features.mean(axis=0)
    vectors = _whitened(around, components) if components else around
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    vectors = (vectors / np.maximum(length, 1e-9)).astype(np.float32)
    limit = _ALIKE_WHITENED if components else _ALIKE_PLAIN
    pairs: list[LookAlike] = []
    for start in range(0, len(vectors), _BLOCK):
        similarity = vectors[start : start + _BLOCK] @ vectors[start:].T
        row, column = np.nonzero(similarity >= limit)
        later = column > row
        pairs.extend(
            LookAlike(start + int(i), start + int(j), float(similarity[i, j]))
            for i, j in zip(row[later], column[later], strict=True)
        )
    return sorted(pairs, key=lambda pair: (-pair.similarity, pair.first, pair.second))


def _whitened(around: Features, components: int) -> Features:
    around = around.astype(np.float64)
    values, vectors = np.linalg.eigh(around.T @ around / len(around))
    values, vectors = values[-components:], vectors[:, -components:]
    white = around @ (vectors / np.sqrt(values + _NOISE * values.mean()))
    return np.asarray(white, np.float32)
