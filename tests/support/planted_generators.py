"""Generators that must not pass the quality gate, as the images they would make."""

from collections.abc import Callable, Mapping

import cv2
import numpy as np
from numpy.typing import NDArray

from balancer.imaging.pixels import luma
from balancer.quality.placement import register

Images = NDArray[np.uint8]


def noisy(images: Images, deviation: float) -> Images:
    noise = np.random.default_rng(0).normal(0, deviation, images.shape)
    return (images + noise).clip(0, 255).astype(np.uint8)


def shifted(images: Images, across: int, down: int) -> Images:
    return np.roll(images, (down, across), axis=(1, 2))


def blurred(images: Images, sigma: float = 1.5) -> Images:
    return np.stack([cv2.GaussianBlur(image, (0, 0), sigma) for image in images])


def moved(images: Images, *, pixels: float, size: float = 0.0, light: float = 0.0) -> Images:
    """Shift, enlarge and lighten each image at random.

    Args:
        images: uint8 (N, S, S).
        pixels: Standard deviation of both shifts.
        size: Standard deviation of the zoom, 0.1 for 10 %.
        light: Standard deviation of the offset of the grey levels.
    """
    rng = np.random.default_rng(3)
    return np.stack([
        _placed(image, *rng.normal(0, pixels, 2), 1 + rng.normal(0, size), rng.normal(0, light))
        for image in images
    ])  # fmt: skip


def centred(images: Images, real: Images) -> Images:
    """Move what each image shows to where the mean real image shows it, at the same size."""
    found = register(images, luma(real).mean(axis=0))
    side = images.shape[1]
    back = np.stack([-side * found.right, -side * found.down, 1 / found.zoom], axis=1)
    return np.stack([
        _placed(_placed(image, across, down, 1, 0), 0, 0, zoom, 0)
        for image, (across, down, zoom) in zip(images, back, strict=True)
    ])  # fmt: skip


def warped(images: Images, deviation: float) -> Images:
    """Bend each image smoothly, by so many pixels."""
    rng = np.random.default_rng(4)
    side = images.shape[1]
    down, across = np.mgrid[:side, :side].astype(np.float32)

    def bend() -> NDArray[np.float32]:
        coarse = rng.normal(0, deviation, (4, 4)).astype(np.float32)
        return np.asarray(cv2.resize(coarse, (side, side), interpolation=cv2.INTER_CUBIC))

    return np.stack(
        [cv2.remap(image, across + bend(), down + bend(), cv2.INTER_LINEAR) for image in images]
    )


def alike(images: Images) -> Images:
    """Draw each image halfway to the mean: none is a copy, and all are much alike."""
    return ((images + images.mean(axis=0)) / 2).astype(np.uint8)


def of_one_contrast(images: Images) -> Images:
    """Give all images one contrast about their means, which a quarter of them stay below."""
    axes = tuple(range(1, images.ndim))
    means, deviations = (some(images, axis=axes, keepdims=True) for some in (np.mean, np.std))
    target = np.quantile(deviations, 0.25)
    return np.rint(means + (images - means) * target / deviations).clip(0, 255).astype(np.uint8)


def _placed(image: Images, across: float, down: float, zoom: float, light: float) -> Images:
    half = (len(image) - 1) / 2
    move = cv2.getRotationMatrix2D((half, half), 0, zoom)
    move[:, 2] += (across, down)
    placed = cv2.warpAffine(image, move, image.shape[1::-1], borderMode=cv2.BORDER_REPLICATE)
    return np.clip(placed + light, 0, 255).astype(np.uint8)


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
        "ten images, jittered": lambda: moved(
            copies()[np.arange(n) % 10], pixels=3, size=0.05, light=8
        ),
        "every image, warped": lambda: noisy(warped(copies(), 1), 3),
        "much alike, jittered": lambda: moved(alike(held_out), pixels=4),
        "one place and contrast": lambda: of_one_contrast(centred(held_out, own)),
        "collapsed": lambda: noisy(held_out[np.arange(n) % 4], 3),
        "noise": lambda: rng.integers(0, 256, (n, *own.shape[1:]), dtype=np.uint8),
        "majority class": lambda: other,
        "blurred training images": lambda: blurred(copies()),
        "blurred unseen images": lambda: blurred(held_out),
    }
