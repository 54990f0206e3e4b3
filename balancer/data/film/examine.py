"""Look at one file: its hash, its size, what is told of it, and whether it can be used."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np

from balancer.data.config import DataConfig
from balancer.data.film.facts import ImageFacts, measure
from balancer.data.film.fingerprint import SIDE, thumbnail_of
from balancer.data.io import (
    Pixels,
    UnusableImageError,
    decode_radiograph,
    read_bytes,
)
from balancer.data.roots import Roots
from balancer.data.scan import FoundImage, Unusable
from balancer.data.threads import map_threaded

THUMBNAIL = SIDE
_CONSTANT_DEVIATION = 1.0
_LOW_CONTRAST_RANGE = 32
_COLOURED_SHARE = 0.001

COLOUR = "coloured marks or text"
LOW_CONTRAST = f"fewer than {_LOW_CONTRAST_RANGE} grey levels"
DOUBTFUL_LUNGS = "lungs found with doubt (quality below 0.5)"
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
        thumbnail: uint8 (64, 64), see `thumbnail_of`.
        synthetic: The file is marked as generated.
        flags: What a reader should look at; no reason to refuse the image.
        facts: Measured on the pixels.
    """

    path: str
    label: str
    image_id: str
    pixel_hash: str
    width: int
    height: int
    thumbnail: Pixels = field(repr=False)
    synthetic: bool
    flags: tuple[str, ...]
    facts: ImageFacts = field(repr=False)


@dataclass(frozen=True, slots=True)
class Seen:
    """What one look at a file found.

    Attributes:
        digest: SHA-256 of its bytes, in hex, or why they could not be read.
        result: The image, or why it is none.
        pixels: As decoded, uint8 (H, W); None where it is no image.
    """

    digest: str
    result: Examined | Unusable
    pixels: Pixels | None = field(default=None, repr=False)


def examine_images(
    roots: Roots, images: Sequence[FoundImage], config: DataConfig
) -> tuple[list[Examined], list[Unusable]]:
    """Decode every image once and sort the usable from the unusable; both keep the given order."""

    def result_of(image: FoundImage) -> Examined | Unusable:
        return look_at(roots, image, config).result

    results = map_threaded(result_of, images, task=f"Reading {len(images)} images")
    return usable_of(results), unusable_of(results)


def usable_of(results: Sequence[Examined | Unusable]) -> list[Examined]:
    """The images among the results."""
    return [result for result in results if isinstance(result, Examined)]


def unusable_of(results: Sequence[Examined | Unusable]) -> list[Unusable]:
    """The others."""
    return [result for result in results if isinstance(result, Unusable)]


def look_at(roots: Roots, found: FoundImage, config: DataConfig) -> Seen:
    """Read and examine one file of the archives."""
    path = roots.locate(found.path)
    try:
        data = read_bytes(path)
    except UnusableImageError as error:
        return Seen(error.reason, Unusable(found.path, found.label, error.reason))
    return look_at_bytes(data, path, found, config)


def look_at_bytes(data: bytes, path: Path, found: FoundImage, config: DataConfig) -> Seen:
    """Examine one file whose bytes were read.

    Args:
        data: The whole file.
        path: Its place, for errors only.
        found: Its name in the tables.
        config: What makes an image usable.
    """
    digest = hashlib.sha256(data).hexdigest()
    try:
        image = decode_radiograph(data, path, max_megapixels=config.max_megapixels)
    except UnusableImageError as error:
        return Seen(digest, Unusable(found.path, found.label, error.reason))
    reason = why_unusable(image.pixels, config)
    # A generated image is no data, however small or dull: it must reach the check that refuses it.
    if reason and not image.synthetic:
        return Seen(digest, Unusable(found.path, found.label, reason))
    height, width = image.pixels.shape
    pixel_hash = hashlib.sha256(f"{width}x{height}:".encode())
    pixel_hash.update(np.ascontiguousarray(image.pixels).data)
    examined = Examined(
        path=found.path,
        label=found.label,
        image_id=digest,
        pixel_hash=pixel_hash.hexdigest(),
        width=width,
        height=height,
        thumbnail=thumbnail_of(image.pixels),
        synthetic=image.synthetic,
        flags=(*image.flags, *_flags(found.path, image.file_format, image.colour, image.pixels)),
        facts=measure(image.pixels, image.colour),
    )
    return Seen(digest, examined, image.pixels)


def why_unusable(pixels: Pixels, config: DataConfig) -> str:
    """Why an image, uint8 (H, W), is no usable film; empty where it is one."""
    height, width = pixels.shape
    short, long = sorted((width, height))
    if short < config.min_side:
        return f"it has {width} x {height} pixels, under the smallest side of {config.min_side}"
    if long > config.max_aspect * short:
        return f"its {width} x {height} pixels are over the aspect ratio of {config.max_aspect:g}"
    if cv2.meanStdDev(pixels)[1].item() < _CONSTANT_DEVIATION:
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
