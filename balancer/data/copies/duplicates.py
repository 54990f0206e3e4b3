"""Find copies of the same film: rescaled, recompressed, a little brighter, cropped, or mirrored.

All chest films look alike, so no fingerprint alone may join two. Pairs are proposed by whitened
cosine coefficients, tried with crops and flips in blocks of matrix products; they are brought to
cover each other, and what decides is how alike they are then. `docs/audit.md` has the thresholds
and what they were measured on.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from balancer.data.copies.registration import Cuts, flip_cuts, refined, register, similarity_of
from balancer.data.film.examine import Examined
from balancer.data.film.fingerprint import DECIDE, SEARCH, Space, even_contrast, flipped
from balancer.data.io import Pixels

_BLOCK, _PAIRS = 512, 256
_ENDS = ((0.0, 0.0), (0.04, 0.0), (0.0, 0.04), (0.04, 0.04))
_SECOND_LOOK = tuple((*columns, *rows) for columns in _ENDS for rows in _ENDS)
_FIRST_LOOK = (
    *((cut, cut, cut, cut) for cut in (0.0, 0.025, 0.05)),
    *((*columns, *rows) for columns in _ENDS[1:3] for rows in _ENDS[1:3]),
)
"""Cuts with which all pairs are compared: none, even ones, and the four corners."""
_PROPOSED, _LIKELY, _HOPEFUL = 0.50, 0.62, 0.70
"""Least similarity in the first look, in the second, and after two steps of registration."""
_FIRST_STEPS, _LAST_STEPS, _ROUNDS = 2, 4, 2
_NEAREST = 64
"""A film is held against this many others at most, the likeliest."""


@dataclass(frozen=True, slots=True)
class NearDuplicate:
    """Two images, by position, that show the same film.

    Attributes:
        first: Position of one.
        second: Position of the other, larger than `first`.
        correlation: Similarity of what both show, in [-1, 1].
        flip: How the second is mirrored against the first, a place in `FLIPS`.
        cropped: Largest share of a side that one of them lacks.
    """

    first: int
    second: int
    correlation: float
    flip: int
    cropped: float


@dataclass(frozen=True, slots=True)
class _Pairs:
    """Proposed pairs: positions and flips (P,), similarity (P,) and cuts (P, 4)."""

    first: NDArray[np.intp]
    second: NDArray[np.intp]
    flip: NDArray[np.intp]
    similarity: NDArray[np.float32]
    cuts: Cuts

    def take(self, chosen: NDArray[np.intp]) -> "_Pairs":
        return _Pairs(
            self.first[chosen],
            self.second[chosen],
            self.flip[chosen],
            self.similarity[chosen],
            self.cuts[chosen],
        )


def find_near_duplicates(images: Sequence[Examined], correlation: float) -> list[NearDuplicate]:
    """Find pairs of near duplicates, flips included, in the order of the images.

    Args:
        images: Without two of equal pixels, which would fill the list with the obvious.
        correlation: Least similarity of a pair, in (0, 1].

    Returns:
        Every pair once, `first < second`.
    """
    if len(images) < 2:
        return []
    thumbnails = np.stack([image.thumbnail for image in images])
    search, coefficients = _space(thumbnails)
    parts = [
        _second_look(part, thumbnails, search, coefficients)
        for part in _first_look(thumbnails, search, coefficients)
    ]
    proposed = _unordered(_joined(parts))
    return sorted(
        _best_of_each(_decided(proposed, thumbnails, search, correlation)),
        key=lambda pair: (pair.first, pair.second),
    )


def _space(thumbnails: Pixels) -> tuple[Space, NDArray[np.float32]]:
    parts = [
        SEARCH.coefficients(even_contrast(thumbnails[start : start + _BLOCK]))
        for start in range(0, len(thumbnails), _BLOCK)
    ]
    coefficients = np.concatenate(parts)
    return Space.of(coefficients, SEARCH), coefficients


def _first_look(
    thumbnails: Pixels, space: Space, coefficients: NDArray[np.float32]
) -> Iterator[_Pairs]:
    """Per block of films, those that may be copies of one of them or of a part of it."""
    flips = [space.embed(coefficients * SEARCH.flip_signs(flip)) for flip in range(4)]
    for start in range(0, len(thumbnails), _BLOCK):
        even = even_contrast(thumbnails[start : start + _BLOCK])
        found: list[NDArray[np.intp]] = []
        for cut in _FIRST_LOOK:
            films = space.embed(SEARCH.coefficients(even, cut))
            for flip, others in enumerate(flips):
                alike = np.flatnonzero(films @ others.T >= _PROPOSED)
                row, column = np.divmod(alike, len(others))
                # Uncut, a pair is the same either way round.
                other = column > row + start if cut == _FIRST_LOOK[0] else column != row + start
                row, column = row[other] + start, column[other]
                found.append(np.stack([row, column, np.full_like(row, flip)]))
        first, second, flip = np.unique(np.concatenate(found, axis=1), axis=1)
        yield _Pairs(
            first, second, flip, np.zeros(len(first), np.float32), np.zeros((len(first), 4))
        )


def _second_look(
    pairs: _Pairs, thumbnails: Pixels, space: Space, coefficients: NDArray[np.float32]
) -> _Pairs:
    """The likely ones of a block, with the crop that fits best."""
    if not len(pairs.first):
        return pairs
    films, row = np.unique(pairs.first, return_inverse=True)
    even = even_contrast(thumbnails[films])
    signs = np.stack([SEARCH.flip_signs(flip) for flip in range(4)])
    best = np.full(len(row), -np.inf, np.float32)
    cuts = np.zeros((len(row), 4))
    for cut in _SECOND_LOOK:
        embedded = space.embed(SEARCH.coefficients(even, cut))
        for part in np.array_split(np.arange(len(row)), len(row) // 8192 + 1):
            others = coefficients[pairs.second[part]] * signs[pairs.flip[part]]
            similarity = np.einsum("pf,pf->p", embedded[row[part]], space.embed(others))
            better = similarity > best[part]
            best[part] = np.where(better, similarity, best[part])
            cuts[part[better]] = cut
    scored = _Pairs(pairs.first, pairs.second, pairs.flip, best, cuts)
    return scored.take(_nearest(scored))


def _nearest(pairs: _Pairs) -> NDArray[np.intp]:
    order = np.lexsort((-pairs.similarity, pairs.first))
    order = order[pairs.similarity[order] >= _LIKELY]
    first = pairs.first[order]
    rank = np.arange(len(order)) - np.searchsorted(first, first)
    return order[rank < _NEAREST]


def _joined(parts: Sequence[_Pairs]) -> _Pairs:
    return _Pairs(
        *(
            np.concatenate([getattr(part, name) for part in parts])
            for name in ("first", "second", "flip", "similarity", "cuts")
        )
    )


def _unordered(pairs: _Pairs) -> _Pairs:
    """Every pair and flip once, the smaller position first, the better crop of the two."""
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
    return _Pairs(first, second, pairs.flip, pairs.similarity, cuts).take(order[new])


def _decided(
    pairs: _Pairs, thumbnails: Pixels, search: Space, correlation: float
) -> Iterator[NearDuplicate]:
    if not len(pairs.first):
        return
    decide = _deciding_space(thumbnails)
    for start in range(0, len(pairs.first), _PAIRS):
        part = pairs.take(np.arange(start, min(start + _PAIRS, len(pairs.first))))
        first, second = thumbnails[part.first], _turned(thumbnails[part.second], part.flip)
        one, other = even_contrast(first), even_contrast(second)
        similarity, cuts = register(one, other, part.cuts, search, steps=_FIRST_STEPS)
        kept = np.flatnonzero(similarity >= _HOPEFUL)
        if not len(kept):
            continue
        _, cuts = register(one[kept], other[kept], cuts[kept], search, steps=_LAST_STEPS)
        cuts = refined(first[kept], second[kept], cuts, search, rounds=_ROUNDS)
        alike = similarity_of(first[kept], second[kept], cuts, decide)
        for place, value, cut in zip(kept, alike, cuts, strict=True):
            if value >= correlation:
                yield NearDuplicate(
                    first=int(part.first[place]),
                    second=int(part.second[place]),
                    correlation=float(value),
                    flip=int(part.flip[place]),
                    cropped=float(np.abs(cut).max()),
                )


def _deciding_space(thumbnails: Pixels) -> Space:
    parts = [
        DECIDE.coefficients(even_contrast(thumbnails[start : start + _BLOCK]))
        for start in range(0, len(thumbnails), _BLOCK)
    ]
    return Space.of(np.concatenate(parts), DECIDE)


def _turned(thumbnails: Pixels, flips: NDArray[np.intp]) -> Pixels:
    turned = thumbnails.copy()
    for flip in (1, 2, 3):
        turned[flips == flip] = flipped(thumbnails[flips == flip], flip)
    return turned


def _best_of_each(pairs: Iterator[NearDuplicate]) -> list[NearDuplicate]:
    best: dict[tuple[int, int], NearDuplicate] = {}
    for pair in pairs:  # a symmetric film may match in two flips
        key = (pair.first, pair.second)
        if key not in best or pair.correlation > best[key].correlation:
            best[key] = pair
    return list(best.values())
