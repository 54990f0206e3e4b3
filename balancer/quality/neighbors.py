"""Precision, recall, density and coverage: fidelity and diversity by nearest neighbours.

Precision and recall: Kynkäänniemi 2019 (arXiv 1904.06991). Density and coverage: Naeem 2020
(2002.09797). Each real or generated image has a ball that reaches to its k-th neighbour.
"""

from dataclasses import dataclass
from typing import cast

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Manifold:
    """Overlap of the balls around real and generated images.

    Attributes:
        precision: Share of generated images inside a ball of a real one.
        recall: Share of real images inside a ball of a generated one.
        density: Mean number of real balls around a generated image, over k; may exceed 1.
        coverage: Share of real balls with a generated image inside.
    """

    precision: float
    recall: float
    density: float
    coverage: float


def manifold(fake: npt.ArrayLike, real: npt.ArrayLike, *, k: int) -> Manifold:
    """Compare two sets of features.

    Args:
        fake: Features of generated images, (n, d), n > k.
        real: Features of real images, (m, d), m > k.
        k: Number of neighbours that set a ball's radius, without the image itself.

    Raises:
        ValueError: A set has k images or fewer.
    """
    a, b = np.asarray(fake, np.float64), np.asarray(real, np.float64)
    if min(len(a), len(b)) <= k:
        raise ValueError(f"{k} neighbours need more images than {min(len(a), len(b))}.")
    between = distances(a, b)  # (n, m)
    in_real = between <= _radii(b, k)
    in_fake = between <= _radii(a, k)[:, None]
    return Manifold(
        precision=float(in_real.any(axis=1).mean()),
        recall=float(in_fake.any(axis=0).mean()),
        density=float(in_real.sum(axis=1).mean() / k),
        coverage=float(in_real.any(axis=0).mean()),
    )


def is_recalled(fake: npt.ArrayLike, real: npt.ArrayLike, *, k: int) -> npt.NDArray[np.bool_]:
    """Say of each real image whether it is in a ball of a generated one; their share is the recall.

    Args:
        fake: Features of generated images, (n, d), n > k.
        real: Features of real images, (m, d).
        k: Number of neighbours that set a ball's radius, without the image itself.
    """
    a = np.asarray(fake, np.float64)
    in_fake = distances(a, real) <= _radii(a, k)[:, None]
    return np.asarray(in_fake.any(axis=0))


def distances(first: npt.ArrayLike, second: npt.ArrayLike) -> FloatArray:
    """Compute Euclidean distances of features (n, d) and (m, d): float64 (n, m)."""
    a, b = np.asarray(first, np.float64), np.asarray(second, np.float64)
    # About their common centre, where the difference of squares below loses the fewest digits.
    centre = b.mean(axis=0)
    a, b = a - centre, b - centre
    squares = (a**2).sum(axis=1)[:, None] + (b**2).sum(axis=1) - 2 * a @ b.T
    return cast(FloatArray, np.sqrt(np.maximum(squares, 0)))


def closer_to_first(
    first: FloatArray, second: FloatArray, rng: np.random.Generator, *, draws: int
) -> float:
    """Compute the share of images nearer to the first than to the second of two equal-sized sets.

    Args:
        first: Distances to the images of the first set, (N, M).
        second: Distances to those of the second, (N, K).
        rng: Random numbers that choose as many of the larger set as the smaller one has.
        draws: Number of choices to average over.
    """
    n = min(first.shape[1], second.shape[1])
    shares = []
    for _ in range(draws):
        one = first[:, rng.permutation(first.shape[1])[:n]].min(axis=1)
        other = second[:, rng.permutation(second.shape[1])[:n]].min(axis=1)
        shares.append((one < other).mean())
    return float(np.mean(shares))


def _radii(features: FloatArray, k: int) -> FloatArray:
    """Return the distance of each image to its k-th neighbour in the same set."""
    within = distances(features, features)
    np.fill_diagonal(within, 0)
    return np.partition(within, k, axis=1)[:, k]
