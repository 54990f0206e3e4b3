"""What is kept of a film to recognise copies of it, and how near two films are by it.

`thumbnail_of` runs once per file, where the file is decoded; everything else works on the
thumbnails of many films at once.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import TypeVar

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
"""What bit 0, left to right, and bit 1, top to bottom, of a flip do."""
_LOCAL_MEAN, _LOCAL_CONTRAST, _FLAT = 4.0, 6.0, 3.0
_NOISE = 0.1
_PRIOR_FILMS = 200


def thumbnail_of(pixels: Pixels) -> Pixels:
    """Shrink a film to what is compared.

    Args:
        pixels: uint8 (H, W).

    Returns:
        uint8 (64, 64): stretched to a square, each pixel the mean of its area.
    """
    return np.asarray(cv2.resize(pixels, (SIDE, SIDE), interpolation=cv2.INTER_AREA), np.uint8)


def flipped(images: NDArray[Grey], flip: int) -> NDArray[Grey]:
    """Mirror (..., H, W) by one of the four flips."""
    images = images[..., ::-1] if flip & 1 else images
    return images[..., ::-1, :] if flip & 2 else images


def even_contrast(thumbnails: Pixels) -> Floats:
    """Take away what all chests share and what depends on exposure: uint8 (N, S, S) -> float32.

    The local mean is subtracted and the local contrast divided out, or the edge of a black border
    would outweigh all that is inside it.
    """
    even = np.empty(thumbnails.shape, np.float32)
    for place, thumbnail in enumerate(thumbnails):
        grey = thumbnail.astype(np.float32)
        detail = grey - _blurred(grey, _LOCAL_MEAN)
        even[place] = detail / (np.sqrt(_blurred(detail * detail, _LOCAL_CONTRAST)) + _FLAT)
    return even


@dataclass(frozen=True, slots=True)
class Band:
    """Cosine waves of a film, by how often they swing along a side.

    Attributes:
        lowest: Fewest swings; slower waves are the outline that all chests share.
        highest: Most swings; faster ones do not survive a crop that is known to a pixel only.
    """

    lowest: float
    highest: float

    @property
    def n_waves(self) -> int:
        """Waves along one side."""
        return int(2 * self.highest) + 1

    def swings(self) -> NDArray[np.float64]:
        """Of every coefficient: (F,)."""
        found: NDArray[np.float64] = _swings(self)[_chosen(self)]
        return found

    def choose(self, waves: Floats) -> Floats:
        """Coefficients (..., W, W) -> (..., F)."""
        return np.ascontiguousarray(waves[..., _chosen(self)])

    def coefficients(
        self, even: Floats, cut: tuple[float, float, float, float] = (0,) * 4
    ) -> Floats:
        """Coefficients of films, as if a share of each side were cut off: (N, S, S) -> (N, F).

        Args:
            even: See `even_contrast`.
            cut: Which.
        """
        left, right, top, bottom = cut
        across = waves(self.n_waves, np.array([left]), np.array([right]))
        down = waves(self.n_waves, np.array([top]), np.array([bottom]))
        return self.choose(down[0] @ even @ across[0].T)

    def coefficients_of_ends(self, even: Floats, ends: Sequence[tuple[float, float]]) -> Floats:
        """Coefficients under many cuts at once.

        Args:
            even: See `even_contrast`, (N, S, S).
            ends: What is cut off at both ends of a side, E times; every pair of columns goes with
                every pair of rows.

        Returns:
            float32 (N, E * E, F), the columns in the outer order.
        """
        begin, end = np.array(ends).T
        cosines = waves(self.n_waves, begin, end).reshape(-1, SIDE)  # (E * W, S)
        grid = np.asarray(cosines @ even @ cosines.T, np.float32).reshape(
            len(even), len(ends), self.n_waves, len(ends), self.n_waves
        )
        chosen = self.choose(grid.transpose(0, 3, 1, 2, 4))
        return chosen.reshape(len(even), len(ends) ** 2, -1)

    def flip_signs(self, flip: int) -> Floats:
        """What a flip does to the coefficients: float32 (F,) of +1 and -1."""
        down, across = np.nonzero(_chosen(self))
        signs = (1 - 2 * (across % 2 * (flip & 1))) * (1 - 2 * (down % 2 * (flip >> 1)))
        return signs.astype(np.float32)


SEARCH = Band(1.5, 6.0)
"""Bears a crop that is off by a few per cent."""
DECIDE = Band(1.5, 8.0)
"""For films that were brought to cover each other."""


@dataclass(frozen=True, slots=True)
class Space:
    """Where copies are near and strangers far: coefficients, whitened.

    What differs much from film to film in general says little about two of them.

    Attributes:
        mean: float32 (F,), of the films that it was made for.
        whitening: float32 (F, F).
    """

    mean: Floats
    whitening: Floats

    @classmethod
    def of(cls, coefficients: Floats, band: Band) -> "Space":
        """Fit to the coefficients of all films, (N, F); few films lean on a prior.

        The prior says that amplitudes fall with the frequency, as in nearly all pictures.
        """
        mean = coefficients.mean(axis=0)
        around = (coefficients - mean).astype(np.float64)
        prior = 1 / np.square(band.swings())
        power = float(np.square(around).sum()) / len(around) / float(prior.sum())
        covariance = around.T @ around + np.diag(_PRIOR_FILMS * max(power, 1e-6) * prior)
        values, vectors = np.linalg.eigh(covariance / (len(around) + _PRIOR_FILMS))
        whitening = vectors / np.sqrt(values + _NOISE * values.mean())
        return cls(mean.astype(np.float32), whitening.astype(np.float32))

    def whiten(self, coefficients: Floats) -> Floats:
        """Coefficients (..., F) -> (..., F)."""
        return np.asarray((coefficients - self.mean) @ self.whitening, np.float32)

    def embed(self, coefficients: Floats) -> Floats:
        """Unit vectors (..., F) whose dot product is the similarity of two films."""
        return unit(self.whiten(coefficients))[0]


def unit(vectors: Floats) -> tuple[Floats, Floats]:
    """Vectors (..., F) at length 1, and their lengths (..., 1)."""
    length = np.linalg.norm(vectors, axis=-1, keepdims=True)
    length = np.maximum(length, 1e-9).astype(np.float32)
    return np.asarray(vectors / length, np.float32), length


def waves(n_waves: int, begin: NDArray[np.float64], end: NDArray[np.float64]) -> Floats:
    """Cosines over sides that are cut at both ends.

    Args:
        n_waves: W.
        begin: Shares that are cut off at the beginning, (P,).
        end: The same at the end.

    Returns:
        float32 (P, W, S).
    """
    weight, along = _kept(begin, end)
    angle = np.pi * along[:, None] * np.arange(n_waves)[:, None]
    cosines: Floats = np.cos(angle.astype(np.float32)) * weight[:, None].astype(np.float32)
    return cosines


def waves_with_slopes(
    n_waves: int, begin: NDArray[np.float64], end: NDArray[np.float64]
) -> tuple[Floats, Floats]:
    """The same, and their derivatives by `begin` and by `end`, float32 (2, P, W, S)."""
    weight, along = _kept(begin, end)
    number = np.arange(n_waves)[:, None]
    angle = (np.pi * along[:, None] * number).astype(np.float32)
    cosines = np.cos(angle) * weight[:, None].astype(np.float32)
    steepness = np.pi * number * (weight / (1 - begin - end)[:, None])[:, None]
    slope = -np.sin(angle) * steepness.astype(np.float32)
    by_begin, by_end = (along - 1)[:, None], along[:, None]
    return cosines, np.stack([slope * by.astype(np.float32) for by in (by_begin, by_end)])


def _kept(
    begin: NDArray[np.float64], end: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Weights of the pixels of sides that are cut, and where they lie in what is left: (P, S)."""
    edges = np.arange(SIDE + 1) / SIDE
    kept = (1 - begin - end)[:, None]
    low = np.maximum(edges[:-1], begin[:, None])
    high = np.minimum(edges[1:], 1 - end[:, None])
    weight = np.maximum(high - low, 0) / kept * np.sqrt(2 * SIDE)
    return weight, ((low + high) / 2 - begin[:, None]) / kept


@cache
def _swings(band: Band) -> NDArray[np.float64]:
    half = np.arange(band.n_waves) / 2
    return np.hypot(half[:, None], half)


@cache
def _chosen(band: Band) -> NDArray[np.bool_]:
    return (_swings(band) >= band.lowest) & (_swings(band) <= band.highest)


def _blurred(image: Floats, sigma: float) -> Floats:
    return np.asarray(cv2.GaussianBlur(image, (0, 0), sigma, borderType=cv2.BORDER_REFLECT))
