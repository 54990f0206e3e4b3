"""Fingerprint of a film by which its copies are recognised, and the similarity of two films.

`thumbnail_of` runs once per file, where the file is decoded; all other functions work on the
thumbnails of many films at once.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Protocol, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from balancer.data.io import Pixels

Floats = NDArray[np.float32]
Cut = tuple[float, float, float, float]
"""Shares of a film that are cut off: left, right, top, bottom."""
Grey = TypeVar("Grey", np.uint8, np.float32)

SIDE = 64
FLIPS = ("", "mirrored", "upside down", "turned by half")
"""Names of the flips; bit 0 mirrors left to right, bit 1 top to bottom."""
_LOCAL_MEAN, _LOCAL_CONTRAST, _FLAT = 4.0, 6.0, 3.0
_NOISE = 0.1
_PRIOR_FILMS = 200
_FILMS = 4096


def thumbnail_of(pixels: Pixels) -> Pixels:
    """Shrink a film to the thumbnail that is compared.

    Args:
        pixels: Pixels, uint8 (H, W).

    Returns:
        uint8 (64, 64): stretched to a square, each pixel the mean of its area.
    """
    return np.asarray(cv2.resize(pixels, (SIDE, SIDE), interpolation=cv2.INTER_AREA), np.uint8)


def flip_images(images: NDArray[Grey], flip: int) -> NDArray[Grey]:
    """Mirror images (..., H, W) by one of the four flips."""
    images = images[..., ::-1] if flip & 1 else images
    return images[..., ::-1, :] if flip & 2 else images


def even_contrast(thumbnails: Pixels) -> Floats:
    """Remove the common shape of chests and the exposure: uint8 (N, S, S) -> float32.

    The local mean is subtracted and the result divided by the local contrast; otherwise the edge
    of a black border would outweigh everything inside it.
    """
    even = np.empty(thumbnails.shape, np.float32)
    for place, thumbnail in enumerate(thumbnails):
        grey = thumbnail.astype(np.float32)
        detail = grey - _blurred(grey, _LOCAL_MEAN)
        even[place] = detail / (np.sqrt(_blurred(detail * detail, _LOCAL_CONTRAST)) + _FLAT)
    return even


@dataclass(frozen=True, slots=True)
class WaveBand:
    """Band of cosine waves, by their number of cycles along a side.

    Attributes:
        lowest: Fewest cycles; slower waves are the outline that all chests share.
        highest: Most cycles; faster waves do not survive a crop that is known to one pixel only.
    """

    lowest: float
    highest: float

    @property
    def n_waves(self) -> int:
        """Number of waves along one side."""
        return int(2 * self.highest) + 1

    def cycles(self) -> NDArray[np.float64]:
        """Return the number of cycles of each coefficient, (F,)."""
        cycles: NDArray[np.float64] = _cycles(self)[_in_band(self)]
        return cycles

    def choose(self, waves: Floats) -> Floats:
        """Select the coefficients of the band: (..., W, W) -> (..., F)."""
        return np.ascontiguousarray(waves[..., _in_band(self)])

    def coefficients(
        self, even: Floats, cut: tuple[float, float, float, float] = (0,) * 4
    ) -> Floats:
        """Compute the coefficients of films under a cut: (N, S, S) -> (N, F).

        Args:
            even: Films from `even_contrast`.
            cut: Share of the side to cut off: left, right, top, bottom.
        """
        left, right, top, bottom = cut
        across = waves(self.n_waves, np.array([left]), np.array([right]))
        down = waves(self.n_waves, np.array([top]), np.array([bottom]))
        return self.choose(down[0] @ even @ across[0].T)

    def coefficients_of_ends(self, even: Floats, ends: Sequence[tuple[float, float]]) -> Floats:
        """Compute the coefficients under many cuts at once.

        Args:
            even: Films from `even_contrast`, (N, S, S).
            ends: E pairs of shares to cut off at both ends of a side; every pair of columns is
                combined with every pair of rows.

        Returns:
            float32 (N, E * E, F); the pairs of columns are the outer order.
        """
        begin, end = np.array(ends).T
        cosines = waves(self.n_waves, begin, end).reshape(-1, SIDE)  # (E * W, S)
        grid = np.asarray(cosines @ even @ cosines.T, np.float32).reshape(
            len(even), len(ends), self.n_waves, len(ends), self.n_waves
        )
        chosen = self.choose(grid.transpose(0, 3, 1, 2, 4))
        return chosen.reshape(len(even), len(ends) ** 2, -1)

    def flip_signs(self, flip: int) -> Floats:
        """Return the factors by which a flip changes the coefficients: float32 (F,), +1 or -1."""
        down, across = np.nonzero(_in_band(self))
        signs = (1 - 2 * (across % 2 * (flip & 1))) * (1 - 2 * (down % 2 * (flip >> 1)))
        return signs.astype(np.float32)


SEARCH = WaveBand(1.5, 6.0)
"""Band that tolerates an error of a few per cent in the crop."""
DECIDE = WaveBand(1.5, 8.0)
"""Band for films that are registered to each other."""


class FilmRows(Protocol):
    """Rows of numbers, one for each film, which are read in parts: an array, or a file of them."""

    def __len__(self) -> int: ...
    def __getitem__(self, part: slice, /) -> Floats: ...


@dataclass(frozen=True, slots=True)
class Space:
    """Space of whitened coefficients, where copies are near and other films are far.

    Whitening gives less weight to coefficients that vary much from film to film.

    Attributes:
        mean: Mean of the coefficients of the films it was fitted to, float32 (F,).
        whitening: Whitening matrix, float32 (F, F).
        covariance: Covariance of these films once whitened, float64 (F, F).
    """

    mean: Floats
    whitening: Floats
    covariance: NDArray[np.float64]

    @classmethod
    def of(cls, coefficients: FilmRows, band: WaveBand) -> "Space":
        """Fit to the coefficients of all films, (N, F), with a prior that matters for few films.

        The prior is that amplitudes fall with the frequency, as in nearly all pictures.
        """
        n_films = len(coefficients)
        parts = [slice(start, start + _FILMS) for start in range(0, n_films, _FILMS)]
        total = np.zeros((1, len(band.cycles())), np.float32)
        for part in parts:
            total = np.concatenate([total, coefficients[part]]).sum(axis=0, keepdims=True)
        mean = total[0] / n_films
        scatter = np.zeros((len(mean),) * 2)
        for part in parts:
            around = (coefficients[part] - mean).astype(np.float64)
            scatter += around.T @ around
        prior = 1 / np.square(band.cycles())
        power = float(np.trace(scatter)) / n_films / float(prior.sum())
        covariance = scatter + np.diag(_PRIOR_FILMS * max(power, 1e-6) * prior)
        values, vectors = np.linalg.eigh(covariance / (n_films + _PRIOR_FILMS))
        whitening = vectors / np.sqrt(values + _NOISE * values.mean())
        whitened = whitening.T @ scatter @ whitening / max(n_films - 1, 1)
        return cls(mean.astype(np.float32), whitening.astype(np.float32), whitened)

    def whiten(self, coefficients: Floats) -> Floats:
        """Whiten coefficients: (..., F) -> (..., F)."""
        return np.asarray((coefficients - self.mean) @ self.whitening, np.float32)

    def embed(self, coefficients: Floats) -> Floats:
        """Return unit vectors (..., F) whose dot product is the similarity of two films."""
        return unit(self.whiten(coefficients))[0]


def unit(vectors: Floats) -> tuple[Floats, Floats]:
    """Scale vectors (..., F) to length 1; return them and their lengths (..., 1)."""
    length = np.linalg.norm(vectors, axis=-1, keepdims=True)
    length = np.maximum(length, 1e-9).astype(np.float32)
    return np.asarray(vectors / length, np.float32), length


def waves(n_waves: int, begin: NDArray[np.float64], end: NDArray[np.float64]) -> Floats:
    """Compute cosines over sides that are cut at both ends.

    Args:
        n_waves: Number of waves, W.
        begin: Shares to cut off at the beginning, (P,).
        end: Shares to cut off at the end, (P,).

    Returns:
        float32 (P, W, S).
    """
    weight, along = _weights_and_positions(begin, end)
    angle = np.pi * along[:, None] * np.arange(n_waves)[:, None]
    cosines: Floats = np.cos(angle.astype(np.float32)) * weight[:, None].astype(np.float32)
    return cosines


def waves_with_slopes(
    n_waves: int, begin: NDArray[np.float64], end: NDArray[np.float64]
) -> tuple[Floats, Floats]:
    """Return `waves` and their derivatives by `begin` and `end`, float32 (2, P, W, S)."""
    weight, along = _weights_and_positions(begin, end)
    number = np.arange(n_waves)[:, None]
    angle = (np.pi * along[:, None] * number).astype(np.float32)
    cosines = np.cos(angle) * weight[:, None].astype(np.float32)
    steepness = np.pi * number * (weight / (1 - begin - end)[:, None])[:, None]
    slope = -np.sin(angle) * steepness.astype(np.float32)
    by_begin, by_end = (along - 1)[:, None], along[:, None]
    return cosines, np.stack([slope * by.astype(np.float32) for by in (by_begin, by_end)])


def _weights_and_positions(
    begin: NDArray[np.float64], end: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Weights of the pixels of cut sides, and their positions in the rest, both (P, S)."""
    edges = np.arange(SIDE + 1) / SIDE
    kept = (1 - begin - end)[:, None]
    low = np.maximum(edges[:-1], begin[:, None])
    high = np.minimum(edges[1:], 1 - end[:, None])
    weight = np.maximum(high - low, 0) / kept * np.sqrt(2 * SIDE)
    return weight, ((low + high) / 2 - begin[:, None]) / kept


@cache
def _cycles(band: WaveBand) -> NDArray[np.float64]:
    half = np.arange(band.n_waves) / 2
    return np.hypot(half[:, None], half)


@cache
def _in_band(band: WaveBand) -> NDArray[np.bool_]:
    return (_cycles(band) >= band.lowest) & (_cycles(band) <= band.highest)


def _blurred(image: Floats, sigma: float) -> Floats:
    return np.asarray(cv2.GaussianBlur(image, (0, 0), sigma, borderType=cv2.BORDER_REFLECT))
