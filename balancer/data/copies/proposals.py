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
from balancer.data.copies.scratch import Scratch
from balancer.data.film.fingerprint import FLIPS, SEARCH, Floats, Space, even_contrast, unit
from balancer.data.io import Pixels
from balancer.data.threads import map_threaded

Places = NDArray[np.intp]
Films = Callable[[Places], Pixels]
"""Function from positions of films to their thumbnails, uint8 (P, S, S)."""

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
    def of(cls, films: Films, coefficients: Scratch, space: Space) -> "Sieve":
        """Fit to crops of some of the films; with few films, all pairs pass.

        Args:
            films: Thumbnails of all films.
            coefficients: Their coefficients in the band `SEARCH`.
            space: Space of all films.
        """
        if len(coefficients) < _FEW:
            return cls(space.mean, space.whitening, -1.0, -1.0)
        among_crops = _scatter_of_crops(films, coefficients, space)
        values, vectors = scipy.linalg.eigh(space.covariance, among_crops + space.covariance)
        values, vectors = values[-_DIRECTIONS:], vectors[:, -_DIRECTIONS:]
        # Unit variance among films, times the root of its ratio to the variance among crops.
        scale = (values / np.maximum(1 - values, 1e-3)) ** 0.25 / np.sqrt(values)
        weights = space.whitening @ (vectors * scale)
        return cls(space.mean, np.asarray(weights, np.float32), _LEAST, _LEAST_CROPPED)

    def embed(self, coefficients: Floats) -> Floats:
        """Project coefficients (..., F) to unit vectors (..., D)."""
        return unit(np.asarray((coefficients - self.mean) @ self.weights, np.float32))[0]


def _scatter_of_crops(films: Films, coefficients: Scratch, space: Space) -> NDArray[np.float64]:
    some = np.unique(np.linspace(0, len(coefficients) - 1, _FILMS).round().astype(np.intp))
    even, whole = even_contrast(films(some)), space.whiten(coefficients.take(some))
    draw = np.random.default_rng(0)
    scatter = np.zeros((whole.shape[1],) * 2)
    for turn in range(_CROPS):
        part = slice(turn, None, _CROPS)
        for _ in range(_CROPS):
            left, right, top, bottom = draw.uniform(0, _CROP, 4)
            cropped = space.whiten(SEARCH.coefficients(even[part], (left, right, top, bottom)))
            moved = (cropped - whole[part]).astype(np.float64)
            scatter += moved.T @ moved
    return scatter / (_CROPS * len(some))


_BLOCK, _ACROSS, _AT_A_TIME = 512, 512, 4096
"""Films that are compared at a time, with how many others; pairs that are cropped at a time."""
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


def propose_pairs(films: Films, coefficients: Scratch, space: Space) -> CandidatePairs:
    """Compare every film with every other, in every flip.

    Args:
        films: Thumbnails of N films, N >= 2.
        coefficients: Their coefficients in the band `SEARCH`, (N, F).
        space: Space of all films.

    Returns:
        Every pair and flip once, `first < second`, with the initial crop for registration.
    """
    search = _Search(films, coefficients, space)
    starts = range(0, len(coefficients), _BLOCK)
    task = f"Comparing {len(coefficients)} images with each other, {_BLOCK} at a time"
    return _drop_reversed(_concatenate(map_threaded(search.candidates_of, starts, task=task)))


class _Search:
    """All uncropped films in every flip, with which blocks of cropped films are compared."""

    def __init__(self, films: Films, coefficients: Scratch, space: Space) -> None:
        self._films, self._coefficients, self._space = films, coefficients, space
        self._sieve = Sieve.of(films, coefficients, space)
        self._signs = np.stack([SEARCH.flip_signs(flip) for flip in range(len(FLIPS))])
        # Film by film, each in every flip.
        self._flipped = Scratch(len(coefficients), len(FLIPS) * self._sieve.weights.shape[1])
        starts = range(0, len(coefficients), _BLOCK)
        map_threaded(self._embed_flips, starts, task=f"Flipping {_BLOCK} images at a time")

    def _embed_flips(self, start: int) -> None:
        films = self._coefficients[start : start + _BLOCK]
        flipped = self._sieve.embed(films[:, None] * self._signs)
        self._flipped.write(start, flipped.reshape(len(films), -1))

    def candidates_of(self, start: int) -> CandidatePairs:
        """Find the likely copies of the films of a block, or of crops of these films."""
        block = slice(start, start + _BLOCK)
        uncut = self._sieve.embed(self._coefficients[block])
        thumbnails = self._films(np.arange(start, start + len(uncut)))
        cropped = SEARCH.coefficients_of_ends(even_contrast(thumbnails), _ENDS)
        # Crops in the outer order, so that each look-up touches little memory.
        cropped = np.ascontiguousarray(cropped.swapaxes(0, 1))
        crops = _Crops(self._sieve.embed(cropped), self._space.embed(cropped))
        lefts = range(0, len(self._coefficients), _ACROSS)
        pairs = _concatenate([self._likely(start, uncut, crops, left) for left in lefts])
        return pairs.take(_nearest(pairs))

    def _likely(self, start: int, uncut: Floats, crops: "_Crops", left: int) -> CandidatePairs:
        """Compare the films of a block with those from `left` on."""
        across = self._flipped[left : left + _ACROSS].reshape(-1, uncut.shape[1])
        alike = np.flatnonzero(uncut @ across.T >= self._sieve.least)
        row, place = np.divmod(alike, len(across))
        other = place // len(FLIPS) + left != row + start
        row, place = row[other], place[other]
        best, _ = _under_best_crop(crops.sieved, row, lambda part: across[place[part]])
        kept = np.flatnonzero(best >= self._sieve.least_cropped)
        row, (second, flip) = row[kept], np.divmod(place[kept], len(FLIPS))
        second += left

        def whole(part: slice) -> Floats:
            films = self._coefficients.take(second[part])
            return self._space.embed(films * self._signs[flip[part]])

        best, crop = _under_best_crop(crops.whole, row, whole)
        pairs = CandidatePairs(row + start, second, flip, best, _CUTS[crop])
        return pairs.take(np.flatnonzero(best >= _LIKELY))


@dataclass(frozen=True, slots=True)
class _Crops:
    """Vectors of the films of a block under every crop.

    Attributes:
        sieved: Vectors of the sieve, (C, B, D).
        whole: Vectors of all coefficients, (C, B, F).
    """

    sieved: Floats
    whole: Floats


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
    first = pairs.first[order]
    rank = np.arange(len(order)) - np.searchsorted(first, first)
    return order[rank < _NEAREST]


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
