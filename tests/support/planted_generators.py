"""Generators that must not pass the quality gate, as the images they would make."""

from collections.abc import Callable, Mapping

import cv2
import numpy as np
from numpy.typing import NDArray

Images = NDArray[np.uint8]


def noisy(images: Images, deviation: float) -> Images:
    noise = np.random.default_rng(0).normal(0, deviation, images.shape)
    return (images + noise).clip(0, 255).astype(np.uint8)


def shifted(images: Images, across: int, down: int) -> Images:
    return np.roll(images, (down, across), axis=(1, 2))


def blurred(images: Images, sigma: float = 1.5) -> Images:
    return np.stack([cv2.GaussianBlur(image, (0, 0), sigma) for image in images])


def averaged(images: Images, n: int) -> Images:
    """Means of random pairs: no image is a copy, and all lean towards what was seen."""
    rng = np.random.default_rng(2)
    first, second = (images[rng.integers(len(images), size=n)].astype(np.uint16) for _ in range(2))
    return ((first + second) // 2).astype(np.uint8)


def planted(
    own: Images, held_out: Images, other: Images, n: int = 120
) -> Mapping[str, Callable[[], Images]]:
    """By name, what makes the images.

    Args:
        own: Training images of the class, uint8 (N, S, S).
        held_out: Images of the class that nothing else has seen.
        other: Images of the majority class that nothing else has seen.
        n: Images of the generators that can make any number.
    """
    rng = np.random.default_rng(1)

    def copies() -> Images:
        return own[np.arange(n) % len(own)]

    return {
        "copycat": copies,
        "flipping copycat": lambda: np.ascontiguousarray(copies()[:, :, ::-1]),
        "shifting, noisy copycat": lambda: noisy(shifted(copies(), 2, -1), 5),
        "collapsed": lambda: noisy(held_out[np.arange(n) % 4], 3),
        "noise": lambda: rng.integers(0, 256, (n, *own.shape[1:]), dtype=np.uint8),
        "majority class": lambda: other,
        "blurred training images": lambda: blurred(copies()),
        "blurred unseen images": lambda: blurred(held_out),
    }
