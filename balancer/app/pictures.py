"""Arrays as pictures inside a page; nothing is loaded from anywhere."""

import base64

import cv2
import numpy as np
from numpy.typing import NDArray

from balancer.data.io import Pixels
from balancer.explanation.sheets import overlay
from balancer.imaging.pixels import for_opencv

SIDE = 384
"""Side in pixels of an image on the page."""


def shown(pixels: Pixels) -> Pixels:
    """Resize an image for the page to 384 px, stretched as the networks see it."""
    shrinks = min(pixels.shape[:2]) > SIDE
    interpolation = cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(pixels, (SIDE, SIDE), interpolation=interpolation), np.uint8)


def mapped(pixels: Pixels, heat: NDArray[np.float32]) -> Pixels:
    """Draw a map, float32 (S, S) in [0, 1], over an image, uint8 (H, W) or (H, W, 3).

    Returns:
        uint8 (384, 384, 3), RGB.
    """
    large = cv2.resize(heat, (SIDE, SIDE), interpolation=cv2.INTER_LINEAR)
    return overlay(shown(pixels), np.clip(large, 0, 1))


def data_uri(pixels: Pixels) -> str:
    """Encode a picture, uint8 (H, W) grey or (H, W, 3) RGB, as a data URI."""
    done, encoded = cv2.imencode(".png", for_opencv(pixels))
    if not done:
        raise ValueError(f"A picture should be uint8 (H, W) or (H, W, 3), not {pixels.shape}.")
    return png_uri(encoded.tobytes())


def png_uri(content: bytes) -> str:
    """Encode the bytes of a PNG file as a data URI."""
    return "data:image/png;base64," + base64.b64encode(content).decode()
