"""Conversion of 8-bit images to the range of the networks and back; the round trip is exact."""

import torch
from torch import Tensor


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
