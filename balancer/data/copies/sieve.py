"""First, cheap comparison of all films: along the few directions that a crop changes least."""

from dataclasses import dataclass

import numpy as np
import scipy.linalg
from numpy.typing import NDArray

from balancer.data.film.fingerprint import SEARCH, Floats, Space, even_contrast, unit
from balancer.data.io import Pixels

_DIRECTIONS = 48
_CROP = 0.08
"""Largest share of a side that is cut off in the crops for fitting the directions."""
_FILMS, _CROPS = 512, 16
_FEW = 128
"""Number of films below which the sieve is not fitted, and all pairs are compared fully."""
_LEAST, _LEAST_CROPPED = 0.48, 0.70


@dataclass(frozen=True, slots=True)
class Sieve:
    """Projection in which a film and its crops are near, by linear discriminants (Fisher 1936).

    Attributes:
        mean: Mean of the coefficients, float32 (F,).
        weights: Directions with large variance among films and small variance among crops of
            one film, float32 (F, D).
        least: Least cosine of an uncropped pair.
        least_cropped: Least cosine of a pair under the best of some crops.
    """

    mean: Floats
    weights: Floats
    least: float
    least_cropped: float

    @classmethod
    def of(cls, thumbnails: Pixels, coefficients: Floats, space: Space) -> "Sieve":
        """Fit to crops of some of the films; with few films, all pairs pass.

        Args:
            thumbnails: Thumbnails, uint8 (N, S, S).
            coefficients: Their coefficients in the band `SEARCH`, (N, F).
            space: Space of all films.
        """
        if len(thumbnails) < _FEW:
            return cls(space.mean, space.whitening, -1.0, -1.0)
        among_films = np.cov(space.whiten(coefficients), rowvar=False)
        among_crops = _scatter_of_crops(thumbnails, coefficients, space)
        values, vectors = scipy.linalg.eigh(among_films, among_crops + among_films)
        values, vectors = values[-_DIRECTIONS:], vectors[:, -_DIRECTIONS:]
        # Unit variance among films, times the root of its ratio to the variance among crops.
        scale = (values / np.maximum(1 - values, 1e-3)) ** 0.25 / np.sqrt(values)
        weights = space.whitening @ (vectors * scale)
        return cls(space.mean, np.asarray(weights, np.float32), _LEAST, _LEAST_CROPPED)

    def embed(self, coefficients: Floats) -> Floats:
        """Project coefficients (..., F) to unit vectors (..., D)."""
        return unit(np.asarray((coefficients - self.mean) @ self.weights, np.float32))[0]


def _scatter_of_crops(
    thumbnails: Pixels, coefficients: Floats, space: Space
) -> NDArray[np.float64]:
    films = np.unique(np.linspace(0, len(thumbnails) - 1, _FILMS).round().astype(np.intp))
    even, whole = even_contrast(thumbnails[films]), space.whiten(coefficients[films])
    draw = np.random.default_rng(0)
    scatter = np.zeros((whole.shape[1],) * 2)
    for turn in range(_CROPS):
        part = slice(turn, None, _CROPS)
        for _ in range(_CROPS):
            left, right, top, bottom = draw.uniform(0, _CROP, 4)
            cropped = space.whiten(SEARCH.coefficients(even[part], (left, right, top, bottom)))
            moved = (cropped - whole[part]).astype(np.float64)
            scatter += moved.T @ moved
    return scatter / (_CROPS * len(films))
