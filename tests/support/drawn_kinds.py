"""Drawn images of other kinds than chests: skin, stained tissue, retina, ultrasound."""

import cv2
import numpy as np

from support.radiograph_folders import film

STAINS = np.array([[0.65, 0.70, 0.29], [0.07, 0.99, 0.11]])
"""Haematoxylin and eosin (Ruifrok and Johnston 2001), as optical densities."""


def tissue(seed: int, stains: np.ndarray = STAINS, side: int = 64) -> np.ndarray:
    """Draw tissue: random amounts of two stains, and a corner of glass."""
    draw = np.random.default_rng(seed)
    amounts = draw.gamma(2.0, 0.35, (side, side, 2)) + 0.1
    pure = draw.random((side, side)) < 0.1
    amounts[pure] *= np.eye(2)[draw.integers(0, 2, pure.sum())]
    amounts[: side // 4, : side // 4] = 0
    unit = stains / np.linalg.norm(stains, axis=1, keepdims=True)
    return np.clip(np.rint(256 * np.exp(-amounts @ unit) - 1), 0, 255).astype(np.uint8)


def skin(seed: int, side: int = 64) -> np.ndarray:
    """Draw skin with a lesion: a dark ellipse on an uneven ground."""
    ground = 150 + film(seed, side).astype(np.float64) / 8
    y, x = np.mgrid[:side, :side] / side - 0.5
    draw = np.random.default_rng(seed)
    a, b, turn = draw.uniform(0.1, 0.25), draw.uniform(0.1, 0.25), draw.uniform(0, np.pi)
    u, v = x * np.cos(turn) + y * np.sin(turn), y * np.cos(turn) - x * np.sin(turn)
    ground -= 60 / (1 + np.exp(30 * ((u / a) ** 2 + (v / b) ** 2 - 1).clip(-1, 1)))
    return (ground[..., None] * [1.05, 0.85, 0.75]).clip(0, 255).astype(np.uint8)


def with_hair(image: np.ndarray, seed: int) -> np.ndarray:
    draw, image = np.random.default_rng(seed), image.copy()
    for _ in range(draw.integers(5, 10)):
        ends = draw.integers(0, len(image), 4).tolist()
        cv2.line(image, (ends[0], ends[1]), (ends[2], ends[3]), (50, 40, 40), 1)
    return image


def with_ruler(image: np.ndarray, seed: int) -> np.ndarray:
    image, step = image.copy(), 4 + seed % 3
    image[-8:, seed % step :: step] = 30
    return image


def with_dark_corners(image: np.ndarray, seed: int) -> np.ndarray:
    y, x = np.mgrid[: len(image), : len(image)] / len(image) - 0.5
    inside = np.hypot(x, y) < np.random.default_rng(seed).uniform(0.5, 0.58)
    return np.where(inside[..., None], image, image // 8).astype(np.uint8)


def retina(seed: int, radius: float, side: int = 64) -> np.ndarray:
    y, x = np.mgrid[:side, :side] / side - 0.5
    shown = 90 + film(seed, side)[..., None] / 6 * [1.0, 0.5, 0.2]
    return np.where((np.hypot(x, y) < radius)[..., None], shown, 4).astype(np.uint8)


def sonogram(seed: int, side: int = 64, crosses: int = 0) -> np.ndarray:
    """Draw grey speckle, and calipers as bright crosses."""
    draw = np.random.default_rng(seed)
    image = cv2.GaussianBlur(draw.rayleigh(45, (side, side)), (0, 0), 0.8).clip(0, 200)
    image = image.astype(np.uint8)
    for row, column in draw.integers(6, side - 6, (crosses, 2)):
        image[row - 3 : row + 4, column] = image[row, column - 3 : column + 4] = 255
    return image
