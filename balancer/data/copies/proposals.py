"""Pairs of films that may be copies, found in three steps among all pairs.

A sieve with few directions compares every film with every other in every flip; the pairs that pass
are compared under sixteen crops, first by the sieve, then with all coefficients.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import scipy.linalg
from numpy.typing import NDArray

from balancer.data.copies.registration import Cuts, flip_cuts
from balancer.data.film.fingerprint import SEARCH, Floats, Space, even_contrast, unit
from balancer.data.io import Pixels
from balancer.data.threads import map_threaded

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


Places = NDArray[np.intp]

_BLOCK, _ACROSS, _AT_A_TIME = 512, 4096, 4096
_LEAST_BLOCK, _COMPARED = 16, 512 * 10_000
"""Fewest films of a block; number of pairs of films that a block compares at most above it."""
_ENDS = ((0.0, 0.0), (0.04, 0.0), (0.0, 0.04), (0.04, 0.04))
_CUTS = np.array([(*columns, *rows) for columns in _ENDS for rows in _ENDS])
_LIKELY = 0.62
"""Least similarity by all coefficients, under the best crop."""
_NEAREST = 64
"""Most candidates of a film; the most similar ones are kept."""


@dataclass(frozen=True, slots=True)
class CandidatePairs:
    """Pairs that may be copies.

    Attributes:
        first: Positions of the first films, (P,).
        second: Positions of the second films, (P,).
        flip: Flips of the second against the first, indices of `FLIPS`, (P,).
        similarity: Similarity in [-1, 1], (P,).
        cuts: Parts of the first that the second lacks, (P, 4); see `Cuts`.
    """

    first: Places
    second: Places
    flip: Places
    similarity: Floats
    cuts: Cuts

    def take(self, chosen: Places) -> "CandidatePairs":
        """Select pairs, in the given order."""
        return CandidatePairs(
            self.first[chosen],
            self.second[chosen],
            self.flip[chosen],
            self.similarity[chosen],
            self.cuts[chosen],
        )


def propose_pairs(thumbnails: Pixels, coefficients: Floats, space: Space) -> CandidatePairs:
    """Compare every film with every other, in every flip.

    Args:
        thumbnails: Thumbnails, uint8 (N, S, S), N >= 2.
        coefficients: Their coefficients in the band `SEARCH`, (N, F).
        space: Space of all films.

    Returns:
        Every pair and flip once, `first < second`, with the initial crop for registration.
    """
    search = _Search(thumbnails, coefficients, space)
    starts = range(0, len(thumbnails), search.block)
    task = f"Comparing {len(thumbnails)} images with each other, {search.block} at a time"
    return _drop_reversed(_concatenate(map_threaded(search.candidates_of, starts, task=task)))


class _Search:
    """All uncropped films in every flip, with which blocks of cropped films are compared.

    Attributes:
        block: Number of films that are compared at a time; fewer of many, so that the pairs that
            pass the sieve at a time, and their memory, do not grow with the number of films.
    """

    def __init__(self, thumbnails: Pixels, coefficients: Floats, space: Space) -> None:
        self._thumbnails, self._coefficients, self._space = thumbnails, coefficients, space
        self._sieve = Sieve.of(thumbnails, coefficients, space)
        self.block = max(_LEAST_BLOCK, min(_BLOCK, _COMPARED // len(thumbnails)))
        self._signs = np.stack([SEARCH.flip_signs(flip) for flip in range(4)])
        # Flip by flip: position `flip * N + film`.
        self._flipped = np.concatenate(
            [self._sieve.embed(coefficients * signs) for signs in self._signs]
        )

    def candidates_of(self, start: int) -> CandidatePairs:
        """Find the likely copies of the films of a block, or of crops of these films."""
        block = slice(start, start + self.block)
        uncut = self._sieve.embed(self._coefficients[block])
        row, place = self._passing(uncut, start)
        if not len(row):
            return _no_pairs()
        cropped = SEARCH.coefficients_of_ends(even_contrast(self._thumbnails[block]), _ENDS)
        # Crops in the outer order, so that each look-up touches little memory.
        cropped = np.ascontiguousarray(cropped.swapaxes(0, 1))
        best, _ = _under_best_crop(
            self._sieve.embed(cropped), row, lambda part: self._flipped[place[part]]
        )
        kept = np.flatnonzero(best >= self._sieve.least_cropped)
        row, (flip, second) = row[kept], np.divmod(place[kept], len(self._thumbnails))

        def whole(part: slice) -> Floats:
            return self._space.embed(self._coefficients[second[part]] * self._signs[flip[part]])

        best, crop = _under_best_crop(self._space.embed(cropped), row, whole)
        pairs = CandidatePairs(row + start, second, flip, best, _CUTS[crop])
        return pairs.take(_nearest(pairs))

    def _passing(self, uncut: Floats, start: int) -> tuple[Places, Places]:
        """Return row in the block and position in `_flipped` of the pairs that pass the sieve."""
        rows, places = [], []
        for left in range(0, len(self._flipped), _ACROSS):
            across = self._flipped[left : left + _ACROSS]
            alike = np.flatnonzero(uncut @ across.T >= self._sieve.least)
            row, column = np.divmod(alike, len(across))
            rows.append(row)
            places.append(column + left)
        row, place = np.concatenate(rows), np.concatenate(places)
        other = place % len(self._thumbnails) != row + start
        return row[other], place[other]


def _under_best_crop(
    cropped: Floats, row: Places, others: Callable[[slice], Floats]
) -> tuple[Floats, Places]:
    """Return the best similarity of each pair over the crops of its first film, and that crop.

    Args:
        cropped: Vectors of the films of a block under every crop, (C, B, D).
        row: Row of the first film of each pair, (P,).
        others: Function from a slice of the pairs to vectors of their second films, (p, D).
    """
    best, crop = np.empty(len(row), np.float32), np.empty(len(row), np.intp)
    for start in range(0, len(row), _AT_A_TIME):
        part = slice(start, start + _AT_A_TIME)
        second = others(part)
        similarity = np.stack(
            [np.einsum("pd,pd->p", films[row[part]], second) for films in cropped], axis=1
        )
        crop[part] = similarity.argmax(axis=1)
        best[part] = similarity.max(axis=1)
    return best, crop


def _nearest(pairs: CandidatePairs) -> Places:
    order = np.lexsort((-pairs.similarity, pairs.first))
    order = order[pairs.similarity[order] >= _LIKELY]
    first = pairs.first[order]
    rank = np.arange(len(order)) - np.searchsorted(first, first)
    return order[rank < _NEAREST]


def _no_pairs() -> CandidatePairs:
    none = np.empty(0, np.intp)
    return CandidatePairs(none, none, none, np.empty(0, np.float32), np.empty((0, 4)))


def _concatenate(parts: Sequence[CandidatePairs]) -> CandidatePairs:
    return CandidatePairs(
        *(
            np.concatenate([getattr(part, name) for part in parts])
            for name in ("first", "second", "flip", "similarity", "cuts")
        )
    )


def _drop_reversed(pairs: CandidatePairs) -> CandidatePairs:
    """Keep every pair and flip once, the smaller position first, with the better crop."""
    swapped = pairs.first > pairs.second
    cuts = pairs.cuts.copy()
    for flip in range(4):
        turned = swapped & (pairs.flip == flip)
        cuts[turned] = -flip_cuts(cuts[turned], flip)
    first = np.where(swapped, pairs.second, pairs.first)
    second = np.where(swapped, pairs.first, pairs.second)
    order = np.lexsort((-pairs.similarity, pairs.flip, second, first))
    keys = np.stack([first, second, pairs.flip], axis=1)[order]
    new = np.ones(len(order), bool)
    new[1:] = (keys[1:] != keys[:-1]).any(axis=1)
    return CandidatePairs(first, second, pairs.flip, pairs.similarity, cuts).take(order[new])
