"""FID and KID of two sets of features, in float64.

FID: Heusel 2017 (arXiv 1706.08500). KID: Binkowski 2018 (1801.01401). Both equal torch-fidelity's;
what is added is speed, an interval for KID, and a value for sets smaller than a KID subset.
"""

from dataclasses import dataclass
from typing import cast

import numpy as np
import numpy.typing as npt
import scipy.linalg
from torch_fidelity.defaults import DEFAULTS
from torch_fidelity.metric_kid import kernel_poly, mmd2

FloatArray = npt.NDArray[np.float64]


def frechet_distance(first: npt.ArrayLike, second: npt.ArrayLike) -> float:
    """Compute the Frechet distance of two Gaussians fitted to features.

    The trace of the root of the product of the covariances is the sum of the singular values of
    X Y^T / sqrt((n - 1)(m - 1)), where X and Y are the centred features. That is exact for any n
    and needs no covariance; its cost depends on the smaller of n and d. torch-fidelity computes the
    eigenvalues of a d x d matrix that is singular for n <= d.

    Args:
        first: Features (n, d), n >= 2.
        second: Features (m, d), m >= 2.

    Returns:
        A squared distance, at least 0 except for rounding.
    """
    a, b = np.asarray(first, np.float64), np.asarray(second, np.float64)
    mean_a, mean_b = a.mean(axis=0), b.mean(axis=0)
    root_a, root_b = _factor(a - mean_a), _factor(b - mean_b)
    overlap = scipy.linalg.svdvals(root_a @ root_b.T).sum()
    shift = ((mean_a - mean_b) ** 2).sum()
    return float(shift + (root_a**2).sum() + (root_b**2).sum() - 2 * overlap)


@dataclass(frozen=True)
class Kernels:
    """The polynomial kernel (x.y / d + 1)^3 between all images of two sets, float64.

    Every subset and resample below is a choice of rows and columns, so the matrix products are
    computed once. Takes 8 (n + m)^2 bytes.

    Attributes:
        xx: Within the first set, (n, n).
        xy: Between the sets, (n, m).
        yy: Within the second set, (m, m).
    """

    xx: FloatArray
    xy: FloatArray
    yy: FloatArray

    @classmethod
    def of(cls, first: npt.ArrayLike, second: npt.ArrayLike) -> "Kernels":
        """Compare features (n, d) with features (m, d)."""
        a, b = np.asarray(first, np.float64), np.asarray(second, np.float64)
        return cls(kernel_poly(a, a), kernel_poly(a, b), kernel_poly(b, b))


def kid_of_subsets(kernels: Kernels, *, subsets: int, subset_size: int) -> float:
    """Compute KID as torch-fidelity does: mean unbiased MMD^2 of random subsets of equal size.

    Args:
        kernels: Kernels of the two sets.
        subsets: Number of pairs of subsets.
        subset_size: Number of images per subset, from 2 to the size of the smaller set.

    Returns:
        An unbiased estimate of a squared distance; slightly negative if the sets are alike.
    """
    # torch-fidelity's own draws, so that its own call gives the same number.
    rng = np.random.RandomState(DEFAULTS["rng_seed"])
    n, m = kernels.xy.shape
    values = []
    for _ in range(subsets):
        rows = rng.choice(n, subset_size, replace=False)
        columns = rng.choice(m, subset_size, replace=False)
        values.append(
            mmd2(
                kernels.xx[np.ix_(rows, rows)],
                kernels.xy[np.ix_(rows, columns)],
                kernels.yy[np.ix_(columns, columns)],
            )
        )
    return float(np.mean(values))


def kid_of_all(kernels: Kernels) -> float:
    """Compute the unbiased MMD^2 of all images of both sets, 2 or more each."""
    n, m = kernels.xy.shape
    one_each = np.ones((1, n)), np.ones((1, m))
    return float(_weighted_kid(kernels, *one_each)[0])


def kid_interval(
    kernels: Kernels, rng: np.random.Generator, *, samples: int = 1_000, level: float = 0.95
) -> tuple[float, float]:
    """Compute a percentile bootstrap interval of `kid_of_all`, resampling both sets.

    A resample has some images twice; pairs of an image with its own copy are left out, else every
    resample would look more alike within itself than it is and the interval would be too high.

    Args:
        kernels: Kernels of the two sets.
        rng: Random numbers for the resamples.
        samples: Number of resamples.
        level: Nominal coverage.

    Returns:
        Lower and upper end.
    """
    n, m = kernels.xy.shape
    weights_x = _resamples(rng, n, samples)
    weights_y = _resamples(rng, m, samples)
    values = _weighted_kid(kernels, weights_x, weights_y)
    tail = (1 - level) / 2
    low, high = np.quantile(values, [tail, 1 - tail])
    return float(low), float(high)


def kid_difference_interval(
    own: Kernels,
    other: Kernels,
    rng: np.random.Generator,
    *,
    samples: int = 1_000,
    level: float = 0.95,
) -> tuple[float, float]:
    """Compute an interval of how much farther one set is from a second than from a third.

    Args:
        own: Kernels of the set and the second one.
        other: Kernels of the same set and the third one.
        rng: Random numbers for the resamples; those of the set are the same in both distances.
        samples: Number of resamples.
        level: Nominal coverage.

    Returns:
        Lower and upper end of `kid_of_all(own) - kid_of_all(other)`.
    """
    weights = _resamples(rng, len(own.xx), samples)
    first = _weighted_kid(own, weights, _resamples(rng, len(own.yy), samples))
    second = _weighted_kid(other, weights, _resamples(rng, len(other.yy), samples))
    tail = (1 - level) / 2
    low, high = np.quantile(first - second, [tail, 1 - tail])
    return float(low), float(high)


def _factor(centred: FloatArray) -> FloatArray:
    """Return F of at most d rows with F^T F = the covariance of the centred (n, d) features."""
    n, d = centred.shape
    scaled = centred / np.sqrt(n - 1)
    if n <= d:
        return cast(FloatArray, scaled)
    return cast(FloatArray, scipy.linalg.qr(scaled, mode="r", overwrite_a=True)[0][:d])


def _resamples(rng: np.random.Generator, n: int, samples: int) -> FloatArray:
    """Count how often each of n images is drawn in n draws, (samples, n)."""
    weights = rng.multinomial(n, np.full(n, 1 / n), size=samples).astype(np.float64)
    # A resample of one image alone has no pairs; that can happen if n is small.
    weights[(weights == n).any(axis=1)] = 1
    return weights


def _weighted_kid(kernels: Kernels, x: FloatArray, y: FloatArray) -> FloatArray:
    """Compute the unbiased MMD^2 under image weights x (samples, n) and y (samples, m)."""
    between = ((x @ kernels.xy) * y).sum(axis=1) / (x.sum(axis=1) * y.sum(axis=1))
    return cast(FloatArray, _within(kernels.xx, x) + _within(kernels.yy, y) - 2 * between)


def _within(kernel: FloatArray, weights: FloatArray) -> FloatArray:
    squares = weights**2
    pairs = ((weights @ kernel) * weights).sum(axis=1) - squares @ np.diagonal(kernel)
    return cast(FloatArray, pairs / (weights.sum(axis=1) ** 2 - squares.sum(axis=1)))
