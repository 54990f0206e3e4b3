"""A first, cheap comparison of all films: along the few directions that a crop moves least."""

from dataclasses import dataclass

import numpy as np
import scipy.linalg
from numpy.typing import NDArray

from balancer.data.film.fingerprint import SEARCH, Floats, Space, even_contrast, unit
from balancer.data.io import Pixels

_DIRECTIONS = 48
_CROP = 0.08
"""Most that a side loses in the crops from which the directions are learnt."""
_FILMS, _CROPS = 512, 16
_FEW = 128
"""Too few films to learn from, and few enough to compare each with each in full."""
_LEAST, _LEAST_CROPPED = 0.48, 0.70


@dataclass(frozen=True, slots=True)
class Sieve:
    """Where a film and a part of it are near, by linear discriminant analysis (Fisher 1936).

    Attributes:
        mean: float32 (F,), of the coefficients.
        weights: float32 (F, D): variance among films over variance among crops of one film.
        least: Cosine that a pair needs as it is.
        least_cropped: Cosine that it needs under the best of some crops.
    """

    mean: Floats
    weights: Floats
    least: float
    least_cropped: float

    @classmethod
    def of(cls, thumbnails: Pixels, coefficients: Floats, space: Space) -> "Sieve":
        """Learn from crops of some of the films; of few films, all pairs pass.

        Args:
            thumbnails: uint8 (N, S, S).
            coefficients: Theirs, of the band `SEARCH`, (N, F).
            space: Of all of them.
        """
        if len(thumbnails) < _FEW:
            return cls(space.mean, space.whitening, -1.0, -1.0)
        among_films = np.cov(space.whiten(coefficients), rowvar=False)
        among_crops = _scatter_of_crops(thumbnails, coefficients, space)
        values, vectors = scipy.linalg.eigh(among_films, among_crops + among_films)
        values, vectors = values[-_DIRECTIONS:], vectors[:, -_DIRECTIONS:]
        # Unit variance among films, times the root of its ratio to that among crops.
        scale = (values / np.maximum(1 - values, 1e-3)) ** 0.25 / np.sqrt(values)
        weights = space.whitening @ (vectors * scale)
        return cls(space.mean, np.asarray(weights, np.float32), _LEAST, _LEAST_CROPPED)

    def embed(self, coefficients: Floats) -> Floats:
        """Unit vectors (..., D) of coefficients (..., F)."""
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
