"""Registration of two thumbnails of one film, of which either may be cropped."""

import cv2
import numpy as np
from numpy.typing import NDArray

from balancer.data.film.fingerprint import (
    DECIDE,
    SEARCH,
    SIDE,
    Floats,
    Space,
    even_contrast,
    unit,
    waves,
    waves_with_slopes,
)
from balancer.data.io import Pixels

Cuts = NDArray[np.float64]
"""Shares (P, 4) of the left, right, top and bottom of the first film that the second lacks;
negative: shares of the second that the first lacks."""

_STEP, _FARTHEST = 0.03, 0.15
_DAMPING = 1e-3


def flip_cuts(cuts: Cuts, flip: int) -> Cuts:
    """Return the cuts after both films are mirrored."""
    order = [1, 0, 2, 3] if flip & 1 else [0, 1, 2, 3]
    cuts = cuts[..., order]
    return cuts[..., [0, 1, 3, 2]] if flip & 2 else cuts


def register(
    first: Floats, second: Floats, cuts: Cuts, space: Space, *, steps: int
) -> tuple[Floats, Cuts]:
    """Find the cuts that make pairs of films most alike, by Gauss-Newton steps.

    Args:
        first: First films with even contrast, float32 (P, S, S).
        second: Second films, flipped like the first.
        cuts: Initial cuts.
        space: Space of the band `SEARCH`.
        steps: Number of steps.

    Returns:
        The best similarity of all steps, (P,) in [-1, 1], and its cuts.
    """
    best, at = np.full(len(first), -np.inf, np.float32), cuts
    for _ in range(steps):
        one, slope_one = _embed_with_slopes(first, np.maximum(cuts, 0), space)
        other, slope_other = _embed_with_slopes(second, np.maximum(-cuts, 0), space)
        best, at = _better_of(best, at, one, other, cuts)
        # Cuts of the second film are negative, and it is subtracted: the signs cancel.
        slope = np.where((cuts >= 0)[:, :, None], slope_one, slope_other)
        cuts = np.clip(cuts - _newton_step(slope, one - other), -_FARTHEST, _FARTHEST)
    one = _embed(first, np.maximum(cuts, 0), space)
    return _better_of(best, at, one, _embed(second, np.maximum(-cuts, 0), space), cuts)


def refine_cuts(first: Pixels, second: Pixels, cuts: Cuts, space: Space, *, rounds: int) -> Cuts:
    """Cut the films themselves and register the rest, in several rounds.

    Contrast that was evened with pixels outside a cut biases the cut towards zero; here it is
    evened again after each cut.

    Args:
        first: First thumbnails, uint8 (P, S, S).
        second: Second thumbnails, flipped like the first.
        cuts: Approximate cuts.
        space: Space of the band `SEARCH`.
        rounds: Number of rounds.
    """
    for _ in range(rounds):
        one = even_contrast(_crop(first, np.maximum(cuts, 0)))
        other = even_contrast(_crop(second, np.maximum(-cuts, 0)))
        _, further = register(one, other, np.zeros_like(cuts), space, steps=2)
        kept = 1 - np.abs(cuts.reshape(-1, 2, 2)).sum(axis=2)  # shares of width and height
        cuts = np.clip(cuts + np.repeat(kept, 2, axis=1) * further, -_FARTHEST, _FARTHEST)
    return cuts


def similarity_of(first: Pixels, second: Pixels, cuts: Cuts, space: Space) -> Floats:
    """Compute the similarity of pairs of films in the part that both show.

    Args:
        first: First thumbnails, uint8 (P, S, S).
        second: Second thumbnails, flipped like the first.
        cuts: Cuts of each pair.
        space: Space of the band `DECIDE`.

    Returns:
        Similarity in [-1, 1], (P,).
    """
    one = even_contrast(_crop(first, np.maximum(cuts, 0)))
    other = even_contrast(_crop(second, np.maximum(-cuts, 0)))
    embedded = [space.embed(DECIDE.coefficients(films)) for films in (one, other)]
    return np.asarray(np.einsum("pf,pf->p", *embedded), np.float32)


def _better_of(
    best: Floats, at: Cuts, one: Floats, other: Floats, cuts: Cuts
) -> tuple[Floats, Cuts]:
    similarity = np.einsum("pf,pf->p", one, other)
    better = similarity > best
    return np.where(better, similarity, best), np.where(better[:, None], cuts, at)


def _embed(films: Floats, cuts: Cuts, space: Space) -> Floats:
    """Compute unit vectors (P, F) of cut films."""
    left, right, top, bottom = cuts.T
    across, down = waves(SEARCH.n_waves, left, right), waves(SEARCH.n_waves, top, bottom)
    return space.embed(SEARCH.choose(down @ (films @ across.transpose(0, 2, 1))))


def _embed_with_slopes(films: Floats, cuts: Cuts, space: Space) -> tuple[Floats, Floats]:
    """Compute unit vectors and their derivatives (P, 4, F) by the cuts."""
    left, right, top, bottom = cuts.T
    across, across_slopes = waves_with_slopes(SEARCH.n_waves, left, right)
    down, down_slopes = waves_with_slopes(SEARCH.n_waves, top, bottom)
    rows = down @ films  # (P, W, S)
    columns = films @ across.transpose(0, 2, 1)  # (P, S, W)
    slopes = [rows @ slope.transpose(0, 2, 1) for slope in across_slopes]
    slopes += [slope @ columns for slope in down_slopes]
    vectors, length = unit(space.whiten(SEARCH.choose(down @ columns)))
    slope = SEARCH.choose(np.stack(slopes, axis=1)) @ space.whitening
    along = np.einsum("pkf,pf->pk", slope, vectors)[:, :, None]
    return vectors, (slope - along * vectors[:, None]) / length[:, None]


def _newton_step(slope: Floats, difference: Floats) -> Cuts:
    normal = (slope @ slope.transpose(0, 2, 1)).astype(np.float64)
    trace = np.trace(normal, axis1=1, axis2=2)[:, None, None]
    normal += np.eye(4) * (_DAMPING * trace + 1e-9)
    step = np.linalg.solve(normal, (slope @ difference[:, :, None]).astype(np.float64))
    return np.clip(step[:, :, 0], -_STEP, _STEP)


def _crop(thumbnails: Pixels, cuts: Cuts) -> Pixels:
    cropped = np.empty_like(thumbnails)
    for place, (left, right, top, bottom) in enumerate(cuts):
        wide, tall = 1 - left - right, 1 - top - bottom
        window = np.array(
            [
                [wide, 0, SIDE * left - 0.5 + 0.5 * wide],
                [0, tall, SIDE * top - 0.5 + 0.5 * tall],
            ]
        )
        cropped[place] = cv2.warpAffine(
            np.ascontiguousarray(thumbnails[place]),
            window,
            (SIDE, SIDE),
            flags=cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REPLICATE,
        )
    return cropped
