"""Look once at every file of a data folder: its hash, its size, and whether it can be used."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

import imagehash
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from balancer.data.io import (
    Pixels,
    UnusableImageError,
    decode_radiograph,
    read_bytes,
    resize_square,
)
from balancer.data.roots import Roots
from balancer.data.scan import FoundImage, Unusable
from balancer.data.threads import map_threaded
from balancer.sections import DataConfig

Grey = TypeVar("Grey", np.uint8, np.float32)

THUMBNAIL = 32
_CONSTANT_DEVIATION = 1.0
_LOW_CONTRAST_RANGE = 32
_COLOURED_SHARE = 0.001

COLOUR = "coloured marks or text"
LOW_CONTRAST = f"fewer than {_LOW_CONTRAST_RANGE} grey levels"
OTHER_FORMAT = "content is of the other format than the name says"


@dataclass(frozen=True, slots=True)
class Examined:
    """A usable image.

    Attributes:
        path: Relative to the data folder, POSIX form.
        label: Its class.
        image_id: SHA-256 of the file, in hex.
        pixel_hash: SHA-256 of the decoded pixels and their shape, in hex.
        width: In pixels, upright.
        height: In pixels, upright.
        thumbnail: uint8 (32, 32).
        hashes: uint64 (4,), perceptual hashes of the image as it is, mirrored left to right, top
            to bottom, and both.
        synthetic: The file is marked as generated.
        flags: What a reader should look at; no reason to refuse the image.
    """

    path: str
    label: str
    image_id: str
    pixel_hash: str
    width: int
    height: int
    thumbnail: Pixels = field(repr=False)
    hashes: NDArray[np.uint64] = field(repr=False)
    synthetic: bool
    flags: tuple[str, ...]


def examine_images(
    roots: Roots, images: Sequence[FoundImage], config: DataConfig
) -> tuple[list[Examined], list[Unusable]]:
    """Decode every image once and sort the usable from the unusable; both keep the given order."""
    results = map_threaded(
        partial(_examine, roots, config), images, task=f"Reading {len(images)} images"
    )
    return (
        [result for result in results if isinstance(result, Examined)],
        [result for result in results if isinstance(result, Unusable)],
    )


def flips(thumbnails: NDArray[Grey]) -> tuple[NDArray[Grey], ...]:
    """The four mirrorings of (..., H, W), in the order of `Examined.hashes`."""
    return (
        thumbnails,
        thumbnails[..., :, ::-1],
        thumbnails[..., ::-1, :],
        thumbnails[..., ::-1, ::-1],
    )


def _examine(roots: Roots, config: DataConfig, found: FoundImage) -> Examined | Unusable:
    path = roots.locate(found.path)
    try:
        data = read_bytes(path)
        image = decode_radiograph(data, path, max_megapixels=config.max_megapixels)
    except UnusableImageError as error:
        return Unusable(found.path, found.label, error.reason)
    reason = why_unusable(image.pixels, config)
    # A generated image is no data, however small or dull: it must reach the check that refuses it.
    if reason and not image.synthetic:
        return Unusable(found.path, found.label, reason)
    height, width = image.pixels.shape
    thumbnail = resize_square(image.pixels, THUMBNAIL)
    pixel_hash = hashlib.sha256(f"{width}x{height}:".encode())
    pixel_hash.update(image.pixels.tobytes())
    return Examined(
        path=found.path,
        label=found.label,
        image_id=hashlib.sha256(data).hexdigest(),
        pixel_hash=pixel_hash.hexdigest(),
        width=width,
        height=height,
        thumbnail=thumbnail,
        hashes=_perceptual_hashes(thumbnail),
        synthetic=image.synthetic,
        flags=_flags(found.path, image.file_format, image.colour, image.pixels),
    )


def why_unusable(pixels: Pixels, config: DataConfig) -> str:
    """Why an image, uint8 (H, W), is no usable film; empty where it is one."""
    height, width = pixels.shape
    short, long = sorted((width, height))
    if short < config.min_side:
        return f"it has {width} x {height} pixels, under the smallest side of {config.min_side}"
    if long > config.max_aspect * short:
        return f"its {width} x {height} pixels are over the aspect ratio of {config.max_aspect:g}"
    if pixels.std() < _CONSTANT_DEVIATION:
        return "it is one even grey"
    return ""


def _flags(path: str, file_format: str, colour: float, pixels: Pixels) -> tuple[str, ...]:
    flags = []
    if colour > _COLOURED_SHARE:
        flags.append(COLOUR)
    if int(pixels.max()) - int(pixels.min()) < _LOW_CONTRAST_RANGE:
        flags.append(LOW_CONTRAST)
    if (file_format == "PNG") != path.lower().endswith(".png"):
        flags.append(OTHER_FORMAT)
    return tuple(flags)


def _perceptual_hashes(thumbnail: Pixels) -> NDArray[np.uint64]:
    images = [Image.fromarray(np.ascontiguousarray(flip)) for flip in flips(thumbnail)]
    bits = np.stack([imagehash.phash(image).hash.ravel() for image in images])  # (4, 64)
    return np.packbits(bits, axis=1).view(np.uint64).ravel()
