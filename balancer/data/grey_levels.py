"""From colours, and from samples of more than 8 bits, to grey levels.

Large images are converted a strip at a time: copies of a whole one take more than its result.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from balancer.imaging.pixels import Pixels

Values = NDArray[np.float64]
_DEPTHS = (8, 10, 12, 14)
_WHITE = 2**16 - 1
_PERCENTILES = (0.1, 99.9)
_LEAST_UNMARKED = 0.95
_STRIP = 2**20
"""Pixels of a strip, about."""
SPREAD = "samples that are floats, negative or over 16 bits, spread between their percentiles"


def eight_bits_of(samples: NDArray[Any]) -> tuple[Pixels, tuple[str, ...]]:
    """Scale samples by the depth that they use.

    Args:
        samples: Floats, or integers of more than 8 bits, of any shape; channels share a depth.

    Returns:
        uint8 of the same shape, and flags for the audit: that fewer than 16 bits are in use, as far
        as 99.9 % of the samples show, or that they were spread because they have no depth.
    """
    if samples.dtype.kind == "f":
        values = np.nan_to_num(samples.astype(np.float64))
        return np.round(spread(values, values) * 255).astype(np.uint8), (SPREAD,)
    if samples.min() < 0 or samples.max() > _WHITE:
        values = samples.astype(np.float64)
        return np.round(spread(values, values) * 255).astype(np.uint8), (SPREAD,)
    whole = samples.astype(np.uint16, copy=False)
    most = float(np.percentile(without_marker(whole), _PERCENTILES[1]))
    bits = next((bits for bits in _DEPTHS if most < 2**bits), 16)
    levels = np.arange(_WHITE + 1, dtype=np.int64)
    if bits == 16:
        return _looked_up((levels + 128) // 257, whole), ()
    white = 2**bits - 1
    scaled = (np.minimum(levels, white) * 255 + white // 2) // white
    flag = f"{bits} bits in a file of 16 bits, scaled by {bits} bits"
    return _looked_up(scaled, whole), (flag,)


def grey_of(image: Image.Image) -> Pixels:
    """Convert an image of 8 bits a channel to grey.

    Args:
        image: An image of any mode of 8 bits or fewer.

    Returns:
        uint8 (H, W): ITU-R 601 luma of colours; transparency becomes black.
    """
    width, height = image.size
    pixels = np.empty((height, width), np.uint8)
    rows = max(1, _STRIP // max(1, width))
    for top in range(0, height, rows):
        bottom = min(height, top + rows)
        pixels[top:bottom] = _grey_strip(image.crop((0, top, width, bottom)))
    return pixels


def _grey_strip(image: Image.Image) -> Pixels:
    if image.has_transparency_data:
        opaque = Image.new("RGBA", image.size, (0, 0, 0, 255))
        image = Image.alpha_composite(opaque, image.convert("RGBA")).convert("RGB")
    elif image.mode in ("P", "CMYK", "YCbCr", "LAB", "HSV"):
        image = image.convert("RGB")
    return np.asarray(image.convert("L"))


def _looked_up(table: NDArray[np.int64], whole: NDArray[np.uint16]) -> Pixels:
    grey, result = table.astype(np.uint8), np.empty(whole.shape, np.uint8)
    rows = max(1, _STRIP // max(1, whole.shape[-1]))
    for top in range(0, len(whole), rows):
        result[top : top + rows] = grey[whole[top : top + rows]]
    return result


def without_marker(values: NDArray[Any]) -> NDArray[Any]:
    """Return values without the brightest, if that is a marker: rare, and far above all others.

    Letters and marks are written at the largest number that the file can hold; over 0.1 % of the
    pixels they would decide the percentiles.

    Args:
        values: Values of any shape.

    Returns:
        Values (N,).
    """
    flat = values.ravel()
    top = flat.max()
    rest = flat[flat < top]
    if rest.size < _LEAST_UNMARKED * flat.size:
        return flat
    darkest, brightest = float(rest.min()), float(rest.max())
    apart = float(top) - brightest > brightest - darkest > 0
    return rest if apart else flat


def spread(values: Values, inside: Values) -> Values:
    """Spread values to [0, 1] between the percentiles 0.1 and 99.9 of those inside.

    A dead pixel or a marker does not decide the scale. Where both percentiles are equal, the
    extremes take their place.

    Args:
        values: Values of any shape.
        inside: The values that count, without padding.
    """
    if not inside.size:
        return np.zeros_like(values)
    usual = without_marker(inside)
    low, high = (float(value) for value in np.percentile(usual, _PERCENTILES))
    if low == high:
        low, high = float(usual.min()), float(usual.max())
    if low == high:
        return np.zeros_like(values)
    share: Values = values - low
    share /= high - low  # in place, as are the limits: a copy has eight times the bytes of a film
    return np.asarray(np.clip(share, 0, 1, out=share), np.float64)


def window(values: Values, center: float, width: float, function: str = "LINEAR") -> Values:
    """Map values to [0, 1] by a window of DICOM PS3.3 C.11.2.1.2 and C.11.2.1.3.

    Args:
        values: Values of any shape, after the rescale.
        center: Center of the window.
        width: Width of the window; at least 1 for LINEAR, above 0 otherwise.
        function: LINEAR, LINEAR_EXACT or SIGMOID.

    Raises:
        ValueError: The width or the function is none of these.
    """
    if width < 1 if function == "LINEAR" else width <= 0:
        raise ValueError("the window has no width")
    if function == "LINEAR":
        # A width of 1 is a threshold: everything above the centre - 0.5 is white.
        share = (values - (center - 0.5)) / max(width - 1, 1e-9) + 0.5
    elif function == "LINEAR_EXACT":
        share = (values - center) / width + 0.5
    elif function == "SIGMOID":
        share = 1 / (1 + np.exp(np.clip(-4 * (values - center) / width, -700, 700)))
    else:
        raise ValueError("the window has an unknown function")
    return np.clip(share, 0, 1)
