"""From the shadow of a phantom to its film: scatter, exposure, processing, noise, marker."""

import cv2
import numpy as np
from numpy.typing import NDArray

from samples.drawing import Canvas, Layer, Points, curve

_LETTERS = {
    -1: [
        np.array([(0.0, 2.0), (0.0, 0.0)]),
        curve([(0.0, 0.0), (0.8, 0.05), (1.1, 0.5), (0.8, 0.95), (0.0, 1.0)]),
        np.array([(0.5, 1.0), (1.15, 2.0)]),
    ],
    1: [np.array([(0.0, 0.0), (0.0, 2.0), (1.0, 2.0)])],
}
"""Strokes of the lead letters R and L, two units tall."""


def expose(shadow: Layer, size: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Turn attenuations into a film.

    Args:
        shadow: float32 (S, S), 0 for air and about 1 for the densest parts.
        size: Side of the film in pixels, at most S.
        rng: Of exposure and noise.

    Returns:
        uint8 (size, size): bright where the beam is weakened.
    """
    canvas = Canvas(len(shadow))
    scattered = np.float32(rng.uniform(0.0, 0.22))
    shadow = shadow + scattered * (canvas.soften(shadow, 0.30) - shadow)
    shadow = canvas.soften(shadow, rng.uniform(0.002, 0.009))
    film = _develop(shadow, rng)
    edges, reach = np.float32(rng.uniform(0.0, 0.9)), rng.uniform(0.03, 0.12)
    film = film + edges * (film - canvas.soften(film, reach))
    if rng.random() < 0.45:
        film = np.maximum(film, _marker(canvas, rng))
    if rng.random() < 0.30:
        film = film * _collimator(canvas, rng)
    small = np.asarray(cv2.resize(film, (size, size), interpolation=cv2.INTER_AREA), np.float32)
    return np.rint(np.clip(_with_noise(small, rng), 0, 1) * 255).astype(np.uint8)


def _develop(shadow: Layer, rng: np.random.Generator) -> Layer:
    """Apply the S-curve of film: steepest at `middle`, with ends that vary."""
    middle, slope = rng.normal(0.52, 0.055), rng.uniform(4.2, 7.0)
    curved = 1 / (1 + np.exp(np.float32(slope) * (np.float32(middle) - shadow)))
    low, high = 1 / (1 + np.exp(slope * middle)), 1 / (1 + np.exp(slope * (middle - 1)))
    black, white = rng.uniform(0.0, 0.07), rng.uniform(0.88, 1.02)
    level = (curved - np.float32(low)) * np.float32((white - black) / (high - low))
    top, bottom = rng.normal(0, 0.02, 2)
    heel = np.linspace(top, bottom, len(shadow), dtype=np.float32)
    return np.asarray(level + black + heel[:, None], np.float32)


def _with_noise(film: Layer, rng: np.random.Generator) -> Layer:
    """Add quantum mottle; part of it is blurred as a screen blurs it."""
    grain = rng.standard_normal(film.shape, dtype=np.float32)
    mottle = cv2.GaussianBlur(rng.standard_normal(film.shape, dtype=np.float32), (0, 0), 0.8)
    amount = rng.uniform(0.001, 0.0045)
    return np.asarray(film + amount * (0.7 * grain + 2.0 * mottle), np.float32)


def _marker(canvas: Canvas, rng: np.random.Generator) -> Layer:
    side = int(rng.choice((-1, 1)))
    corner = np.array([side * rng.uniform(0.74, 0.90), rng.uniform(-0.95, -0.70)])
    height = rng.uniform(0.03, 0.05)
    strokes: list[tuple[Points, float]] = [
        (letter * height + corner, 0.022) for letter in _LETTERS[side]
    ]
    return np.float32(rng.uniform(0.7, 1.0)) * canvas.stroke(*strokes)


def _collimator(canvas: Canvas, rng: np.random.Generator) -> Layer:
    """Shade the borders that the collimator kept dark, at a slight angle."""
    left, right, top, bottom = 1 - 0.16 * rng.beta(1.0, 2.5, 4)
    lean = rng.normal(0, 0.012, 4)
    window = np.array(
        [
            *((-left + lean[0], -top + lean[1]), (right + lean[2], -top - lean[1])),
            *((right - lean[2], bottom + lean[3]), (-left - lean[0], bottom - lean[3])),
        ]
    )
    lit: Layer = np.float32(0.04) + np.float32(0.96) * canvas.fill(window, blur=0.004)
    return lit
