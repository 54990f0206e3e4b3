"""Registration of images to the mean real image: where their content lies, and how large it is.

Two radiographs of one chest are unlike pixel by pixel where the chest lies two pixels apart, so a
generator that draws one chest and moves it about looks diverse. Registered images have no place.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from balancer.imaging.pixels import luma

Images = NDArray[np.uint8]
Floats = NDArray[np.float64]

RECIPE = "best correlation with the mean real image, at 64 px, shifts up to 1/8, zoom 0.8 to 1.25"
_SIDE = 64
_MARGIN = 8
"""The centre that is looked for lacks this part of the side, at each border."""
_ZOOMS = 1.25 ** np.linspace(-1, 1, 7)


@dataclass(frozen=True, slots=True)
class Registered:
    """Images registered to a mean image.

    Attributes:
        windows: uint8 (N, W, W) or (N, W, W, 3), the part of each image that shows the centre of
            the mean image, at its place and size; W is 3/4 of the side.
        right: float64 (N,), place of that part, right of the centre, as a share of the side.
        down: The same, below the centre.
        zoom: float64 (N,), its size, over that in the mean image.
    """

    windows: Images
    right: Floats
    down: Floats
    zoom: Floats


def register(images: Images, mean: Floats) -> Registered:
    """Find the centre of a mean image in each image, at the shift and zoom of best correlation.

    Of textures, which have no place, the result is arbitrary, and alike in both sets compared.

    Args:
        images: uint8 (N, S, S) or (N, S, S, 3), of which the brightness is compared.
        mean: Mean brightness of real images, float64 (S, S).
    """
    small = _resized(mean.astype(np.float32), min(len(mean), _SIDE))
    margin = len(small) // _MARGIN
    centre = small[margin:-margin, margin:-margin]
    places = np.array([_place(grey, centre) for grey in luma(images)])
    left, top, extent = places.T
    return Registered(
        windows=np.stack(
            [_window(image, *place) for image, place in zip(images, places, strict=True)]
        ),
        right=left + extent / 2 - 0.5,
        down=top + extent / 2 - 0.5,
        zoom=extent * len(small) / len(centre),
    )


def _place(grey: Images, centre: NDArray[np.float32]) -> tuple[float, float, float]:
    """Return the left and top edge and the extent of the window, as shares of the side."""
    return max(_candidates(grey, centre))[1:]


def _candidates(
    grey: Images, centre: NDArray[np.float32]
) -> Iterator[tuple[float, float, float, float]]:
    """Yield the best correlation at each zoom, and its window."""
    for zoom in _ZOOMS:
        side = max(round(min(len(grey), _SIDE) / zoom), len(centre))
        pixels = _resized(grey.astype(np.float32), side)
        _, best, _, (left, top) = cv2.minMaxLoc(
            cv2.matchTemplate(pixels, centre, cv2.TM_CCOEFF_NORMED)
        )
        yield best, left / side, top / side, len(centre) / side


def _resized(image: NDArray[np.float32], side: int) -> NDArray[np.float32]:
    way = cv2.INTER_AREA if len(image) > side else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(image, (side, side), interpolation=way), np.float32)


def _window(image: Images, left: float, top: float, extent: float) -> Images:
    """Cut a window out of an image and bring it to the size that all windows have."""
    side = len(image)
    width = side - 2 * (side // _MARGIN)
    step = extent * side / width
    corner = (step - 1) / 2  # the middle of the first pixel
    move = np.array([[step, 0, left * side + corner], [0, step, top * side + corner]])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return np.asarray(
        cv2.warpAffine(image, move, (width, width), flags=flags, borderMode=cv2.BORDER_REPLICATE),
        np.uint8,
    )
