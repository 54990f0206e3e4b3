"""From samples of more than 8 bits to grey levels: by a window, a depth, or percentiles."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from balancer.imaging.pixels import Pixels

Values = NDArray[np.float64]
_DEPTHS = (8, 10, 12, 14)
_WHITE = 2**16 - 1
_PERCENTILES = (0.1, 99.9)
_LEAST_UNMARKED = 0.95
SPREAD = "samples that are floats, negative or over 16 bits, spread between their percentiles"


def grey_of_deep(samples: NDArray[Any]) -> tuple[Pixels, tuple[str, ...]]:
    """Scale samples by the depth that they use.

    Args:
        samples: Floats, or integers of more than 8 bits (H, W).

    Returns:
        uint8 (H, W), and flags for the audit: that fewer than 16 bits are in use, as far as 99.9 %
        of the samples show, or that they were spread because they have no depth.
    """
    if samples.dtype.kind == "f":
        values = np.nan_to_num(samples.astype(np.float64))
        return np.round(spread(values, values) * 255).astype(np.uint8), (SPREAD,)
    whole = samples.astype(np.int64)
    if whole.min() < 0 or whole.max() > _WHITE:
        values = whole.astype(np.float64)
        return np.round(spread(values, values) * 255).astype(np.uint8), (SPREAD,)
    most = float(np.percentile(without_marker(whole), _PERCENTILES[1]))
    bits = next((bits for bits in _DEPTHS if most < 2**bits), 16)
    if bits == 16:
        return ((whole + 128) // 257).astype(np.uint8), ()
    white = 2**bits - 1
    scaled = (np.minimum(whole, white) * 255 + white // 2) // white
    return scaled.astype(np.uint8), (f"{bits} bits in a file of 16 bits, scaled by {bits} bits",)


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
    return np.asarray(np.clip((values - low) / (high - low), 0, 1), np.float64)


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
