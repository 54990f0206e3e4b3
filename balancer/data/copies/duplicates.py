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

from balancer.data.copies.proposals import CandidatePairs, propose_pairs
from balancer.data.copies.registration import refine_cuts, register, similarity_of
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
    if len(images) < 2:
        return []
    return find_copies_by_thumbnail(np.stack([image.thumbnail for image in images]), correlation)


def find_copies_by_thumbnail(thumbnails: Pixels, correlation: float) -> list[NearDuplicate]:
    """Find the same pairs among thumbnails, uint8 (N, 64, 64), 2 or more; see `thumbnail_of`."""
    with threadpool_limits(1, "blas"):  # BLAS threads and ours would block each other
        pairs = _copies_among(thumbnails, correlation)
    return sorted(_best_of_each(pairs), key=lambda pair: (pair.first, pair.second))


def _copies_among(thumbnails: Pixels, correlation: float) -> Iterable[NearDuplicate]:
    coefficients, search, decide = _spaces(thumbnails)
    pairs = propose_pairs(thumbnails, coefficients, search)
    parts = [
        pairs.take(np.arange(start, min(start + _PAIRS, len(pairs.first))))
        for start in range(0, len(pairs.first), _PAIRS)
    ]

    def confirm(part: CandidatePairs) -> list[NearDuplicate]:
        return list(_confirm(part, thumbnails, search, decide, correlation))

    found = map_threaded(confirm, parts, task=f"Registering pairs, {_PAIRS} at a time")
    return itertools.chain.from_iterable(found)


def _spaces(thumbnails: Pixels) -> tuple[Floats, Space, Space]:
    """Compute the coefficients in the band `SEARCH`, and the spaces of both bands."""
    search, decide = (
        np.empty((len(thumbnails), len(band.cycles())), np.float32) for band in (SEARCH, DECIDE)
    )

    def read(start: int) -> None:
        block = slice(start, start + _BLOCK)
        even = even_contrast(thumbnails[block])
        search[block], decide[block] = SEARCH.coefficients(even), DECIDE.coefficients(even)

    starts = range(0, len(thumbnails), _BLOCK)
    map_threaded(read, starts, task=f"Reading {_BLOCK} thumbnails at a time")
    return search, Space.of(search, SEARCH), Space.of(decide, DECIDE)


def _confirm(
    part: CandidatePairs, thumbnails: Pixels, search: Space, decide: Space, correlation: float
) -> Iterator[NearDuplicate]:
    first, second = thumbnails[part.first], _flip_each(thumbnails[part.second], part.flip)
    one, other = _even_of_each(thumbnails, part.first, part.second)
    other = _flip_each(other, part.flip)
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


def _even_of_each(
    thumbnails: Pixels, first: NDArray[np.intp], second: NDArray[np.intp]
) -> tuple[Floats, Floats]:
    """Apply `even_contrast` to both films of pairs, once per film: float32 (P, S, S) each."""
    films, place = np.unique(np.concatenate([first, second]), return_inverse=True)
    even = even_contrast(thumbnails[films])
    return even[place[: len(first)]], even[place[len(first) :]]


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
