"""Find copies of the same film: rescaled, recompressed, a little brighter, cropped, or mirrored.

All chest films look alike, so no fingerprint alone may join two. Pairs are proposed by whitened
cosine coefficients, tried with crops and flips in blocks of matrix products; they are brought to
cover each other, and what decides is how alike they are then. `docs/audit.md` has the thresholds
and what they were measured on.
"""

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from balancer.data.copies.proposals import Pairs, propose_pairs
from balancer.data.copies.registration import refined, register, similarity_of
from balancer.data.film.examine import Examined
from balancer.data.film.fingerprint import (
    DECIDE,
    SEARCH,
    Floats,
    Grey,
    Space,
    even_contrast,
    flip_images,
)
from balancer.data.io import Pixels
from balancer.data.threads import map_threaded

_BLOCK, _PAIRS = 512, 256
_HOPEFUL = 0.76
"""Least similarity after the first step of registration."""
_STEPS, _ROUNDS = 2, 2
"""Steps after the first, and how often the films themselves are then cut and registered again."""


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
    with threadpool_limits(1, "blas"):  # its threads and ours would wait for each other
        found = _found(thumbnails, correlation)
    return sorted(_best_of_each(found), key=lambda pair: (pair.first, pair.second))


def _found(thumbnails: Pixels, correlation: float) -> Iterable[NearDuplicate]:
    coefficients, search, decide = _spaces(thumbnails)
    pairs = propose_pairs(thumbnails, coefficients, search)
    parts = [
        pairs.take(np.arange(start, min(start + _PAIRS, len(pairs.first))))
        for start in range(0, len(pairs.first), _PAIRS)
    ]

    def decided(part: Pairs) -> list[NearDuplicate]:
        return list(_decided(part, thumbnails, search, decide, correlation))

    found = map_threaded(decided, parts, task=f"Bringing pairs to cover, {_PAIRS} at a time")
    return itertools.chain.from_iterable(found)


def _spaces(thumbnails: Pixels) -> tuple[Floats, Space, Space]:
    """Coefficients of the band `SEARCH`, and the spaces of both bands."""

    def read(start: int) -> tuple[Floats, Floats]:
        even = even_contrast(thumbnails[start : start + _BLOCK])
        return SEARCH.coefficients(even), DECIDE.coefficients(even)

    starts = range(0, len(thumbnails), _BLOCK)
    parts = map_threaded(read, starts, task=f"Looking at {_BLOCK} thumbnails at a time")
    search, decide = (np.concatenate(band) for band in zip(*parts, strict=True))
    return search, Space.of(search, SEARCH), Space.of(decide, DECIDE)


def _decided(
    part: Pairs, thumbnails: Pixels, search: Space, decide: Space, correlation: float
) -> Iterator[NearDuplicate]:
    first, second = thumbnails[part.first], _turned(thumbnails[part.second], part.flip)
    one, other = _even_of_each(thumbnails, part.first, part.second)
    other = _turned(other, part.flip)
    similarity, cuts = register(one, other, part.cuts, search, steps=1)
    kept = np.flatnonzero(similarity >= _HOPEFUL)
    if not len(kept):
        return
    _, cuts = register(one[kept], other[kept], cuts[kept], search, steps=_STEPS)
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


def _even_of_each(
    thumbnails: Pixels, first: NDArray[np.intp], second: NDArray[np.intp]
) -> tuple[Floats, Floats]:
    """Of the films of pairs: float32 (P, S, S) each; a film of many pairs is made even once."""
    films, place = np.unique(np.concatenate([first, second]), return_inverse=True)
    even = even_contrast(thumbnails[films])
    return even[place[: len(first)]], even[place[len(first) :]]


def _turned(images: NDArray[Grey], flips: NDArray[np.intp]) -> NDArray[Grey]:
    turned = images.copy()
    for flip in (1, 2, 3):
        turned[flips == flip] = flip_images(images[flips == flip], flip)
    return turned


def _best_of_each(pairs: Iterable[NearDuplicate]) -> list[NearDuplicate]:
    best: dict[tuple[int, int], NearDuplicate] = {}
    for pair in pairs:  # a symmetric film may match in two flips
        key = (pair.first, pair.second)
        if key not in best or pair.correlation > best[key].correlation:
            best[key] = pair
    return list(best.values())
