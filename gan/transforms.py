"""Conversion of 8-bit images to the shape and range of the networks and back; both are exact.

Arrays are (N, S, S) where images are grey and (N, S, S, 3) where they are sRGB; tensors are
(N, C, S, S). `to_planes` and `to_pictures` are the way from one to the other.
"""

from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Channels = Literal[1, 3]
"""Number of channels of an image."""
GREY: Channels = 1
COLOUR: Channels = 3


def to_planes(images: object, side: int) -> Tensor | None:
    """Return images as a tensor, channels first.

    Args:
        images: Array or tensor, uint8 (N, S, S), (N, S, S, 3), (N, 1, S, S) or (N, 3, S, S).
        side: S.

    Returns:
        uint8 (N, C, S, S) on the CPU; None where they are not such images, or none at all.
    """
    if not isinstance(images, np.ndarray | Tensor) or not len(images):
        return None
    if images.dtype != (np.uint8 if isinstance(images, np.ndarray) else torch.uint8):
        return None
    if isinstance(images, np.ndarray):
        # Tensors cannot share read-only memory (a memory map) or negative strides.
        images = torch.from_numpy(np.require(images, requirements=["C", "W"]))
    shape = tuple(images.shape[1:])
    if shape == (side, side, COLOUR) and side != COLOUR:
        return images.cpu().permute(0, 3, 1, 2).contiguous()
    if shape in ((side, side), (GREY, side, side), (COLOUR, side, side)):
        return images.cpu().reshape(len(images), -1, side, side)
    return None


def channels_of(images: Tensor) -> Channels:
    """Return C of images (N, C, S, S)."""
    return GREY if images.shape[1] == GREY else COLOUR


def to_pictures(images: Tensor) -> NDArray[np.uint8]:
    """Return a tensor as an array, channels last.

    Args:
        images: uint8 (N, C, S, S).

    Returns:
        uint8 (N, S, S) for one channel, (N, S, S, 3) for three.
    """
    last = images.squeeze(1) if images.shape[1] == GREY else images.permute(0, 2, 3, 1)
    return np.ascontiguousarray(last.cpu().numpy())


def to_unit_range(images: Tensor) -> Tensor:
    """Map 0..255 to [-1, 1].

    Args:
        images: uint8, any shape.

    Returns:
        float32 of the same shape.

    Raises:
        ValueError: The images are not uint8.
    """
    if images.dtype is not torch.uint8:
        raise ValueError(f"Images should be uint8 in 0..255, not {images.dtype}; convert them.")
    return images.to(torch.float32).div_(127.5).sub_(1)


def to_uint8(images: Tensor) -> Tensor:
    """Map [-1, 1] to 0..255, rounded to nearest and clipped.

    Args:
        images: float, any shape.

    Returns:
        uint8 of the same shape.

    Raises:
        ValueError: The images are not floating point.
    """
    if not images.is_floating_point():
        raise ValueError(f"Images should be floats in [-1, 1], not {images.dtype}; convert them.")
    return images.float().add(1).mul_(127.5).round_().clamp_(0, 255).to(torch.uint8)
