"""Search for copies of the same film: rescaled, recompressed, brightened, cropped, or mirrored.

All chest films are similar, so a fingerprint alone cannot decide. Candidate pairs are found by
whitened cosine coefficients under crops and flips, in blocks of matrix products; then they are
registered to each other, and their similarity decides. `docs/audit.md` has the thresholds and the
data they were measured on.
"""

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from balancer.data.copies.proposals import CandidatePairs, Films, Places, propose_pairs
from balancer.data.copies.registration import refine_cuts, register, similarity_of
from balancer.data.copies.scratch import Scratch
from balancer.data.film.examine import Examined, thumbnails_of
from balancer.data.film.fingerprint import (
    DECIDE,
    SEARCH,
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
"""Number of steps after the first, and of rounds of cutting the films and registering the rest."""


@dataclass(frozen=True, slots=True)
class NearDuplicate:
    """Two images that show the same film.

    Attributes:
        first: Position of the first image.
        second: Position of the second image, larger than `first`.
        correlation: Similarity of the part that both show, in [-1, 1].
        flip: Flip of the second against the first, an index of `FLIPS`.
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
        images: Images without equal pixels, which would only add trivial pairs.
        correlation: Least similarity of a pair, in (0, 1].

    Returns:
        Every pair once, `first < second`.
    """

    def read(films: Places) -> Pixels:
        return thumbnails_of([images[film] for film in films])

    return _find_copies(read, len(images), correlation)


def find_copies_by_thumbnail(thumbnails: Pixels, correlation: float) -> list[NearDuplicate]:
    """Find the same pairs among thumbnails, uint8 (N, 64, 64); see `thumbnail_of`."""
    return _find_copies(thumbnails.__getitem__, len(thumbnails), correlation)


def _find_copies(films: Films, n_films: int, correlation: float) -> list[NearDuplicate]:
    if n_films < 2:
        return []
    with threadpool_limits(1, "blas"):  # BLAS threads and ours would block each other
        pairs = _copies_among(films, n_films, correlation)
    return sorted(_best_of_each(pairs), key=lambda pair: (pair.first, pair.second))


def _copies_among(films: Films, n_films: int, correlation: float) -> Iterable[NearDuplicate]:
    coefficients, search, decide = _spaces(films, n_films)
    pairs = propose_pairs(films, coefficients, search)
    parts = [
        pairs.take(np.arange(start, min(start + _PAIRS, len(pairs.first))))
        for start in range(0, len(pairs.first), _PAIRS)
    ]

    def confirm(part: CandidatePairs) -> list[NearDuplicate]:
        return list(_confirm(part, films, search, decide, correlation))

    found = map_threaded(confirm, parts, task=f"Registering pairs, {_PAIRS} at a time")
    return itertools.chain.from_iterable(found)


def _spaces(films: Films, n_films: int) -> tuple[Scratch, Space, Space]:
    """Compute the coefficients in the band `SEARCH`, and the spaces of both bands."""
    search, decide = (Scratch(n_films, len(band.cycles())) for band in (SEARCH, DECIDE))

    def read(start: int) -> None:
        even = even_contrast(films(np.arange(start, min(start + _BLOCK, n_films))))
        search.write(start, SEARCH.coefficients(even))
        decide.write(start, DECIDE.coefficients(even))

    starts = range(0, n_films, _BLOCK)
    map_threaded(read, starts, task=f"Reading {_BLOCK} thumbnails at a time")
    return search, Space.of(search, SEARCH), Space.of(decide, DECIDE)


def _confirm(
    part: CandidatePairs, films: Films, search: Space, decide: Space, correlation: float
) -> Iterator[NearDuplicate]:
    seen, both = np.unique(np.concatenate([part.first, part.second]), return_inverse=True)
    thumbnails, (of_first, of_second) = films(seen), np.split(both, 2)
    first, second = thumbnails[of_first], _flip_each(thumbnails[of_second], part.flip)
    even = even_contrast(thumbnails)
    one, other = even[of_first], _flip_each(even[of_second], part.flip)
    similarity, cuts = register(one, other, part.cuts, search, steps=1)
    kept = np.flatnonzero(similarity >= _HOPEFUL)
    if not len(kept):
        return
    _, cuts = register(one[kept], other[kept], cuts[kept], search, steps=_STEPS)
    cuts = refine_cuts(first[kept], second[kept], cuts, search, rounds=_ROUNDS)
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


def _flip_each(images: NDArray[Grey], flips: NDArray[np.intp]) -> NDArray[Grey]:
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
