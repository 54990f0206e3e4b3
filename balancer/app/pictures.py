"""Arrays as pictures inside a page; nothing is loaded from anywhere."""

import base64

import cv2
import numpy as np
from numpy.typing import NDArray

from balancer.data.io import Pixels
from balancer.explanation.sheets import overlay

SIDE = 384
"""Pixels of a film on the page."""


def shown(pixels: Pixels) -> Pixels:
    """A film as the page shows it: uint8 (384, 384), stretched as the networks see it."""
    shrinks = min(pixels.shape) > SIDE
    interpolation = cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(pixels, (SIDE, SIDE), interpolation=interpolation), np.uint8)


def mapped(pixels: Pixels, heat: NDArray[np.float32]) -> Pixels:
    """A film, uint8 (H, W), under a map, float32 (S, S) in [0, 1]: uint8 (384, 384, 3), RGB."""
    large = cv2.resize(heat, (SIDE, SIDE), interpolation=cv2.INTER_LINEAR)
    return overlay(shown(pixels), np.clip(large, 0, 1))


def data_uri(pixels: Pixels) -> str:
    """A picture, uint8 (H, W) grey or (H, W, 3) RGB, as an address that holds all of it."""
    ordered = pixels if pixels.ndim == 2 else np.ascontiguousarray(pixels[..., ::-1])
    done, encoded = cv2.imencode(".png", ordered)
    if not done:
        raise ValueError(f"A picture wants uint8 (H, W) or (H, W, 3), not {pixels.shape}.")
    return png_uri(encoded.tobytes())


def png_uri(content: bytes) -> str:
    """The same of a PNG file's bytes."""
    return "data:image/png;base64," + base64.b64encode(content).decode()
