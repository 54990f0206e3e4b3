"""Examination of one file: its hash and size, the facts of its pixels, whether it is usable."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from balancer.data.config import DataConfig
from balancer.data.film.facts import ImageFacts, measure
from balancer.data.film.fingerprint import SIDE, thumbnail_of
from balancer.data.formats import named_otherwise
from balancer.data.io import (
    Pixels,
    Radiograph,
    UnusableImageError,
    decode_radiograph,
    read_bytes,
)
from balancer.data.memory import one_image
from balancer.data.roots import Roots
from balancer.data.row_file import StoredRow
from balancer.data.scan import FoundImage, Unusable
from balancer.data.threads import map_threaded
from balancer.errors import IntegrityError
from balancer.imaging.pixels import GREY
from balancer.manifest import ImageRecord

THUMBNAIL = SIDE
_ANY_IMAGE = DataConfig(min_side=1, max_aspect=1e9)
_CONSTANT_DEVIATION = 1.0
_FEW_LEVELS = 32
_MARKED_SHARE = 0.001

COLOURED_MARKS = "coloured marks or text"
COLOURED = "coloured, and read as grey"
LOW_CONTRAST = f"fewer than {_FEW_LEVELS} grey levels"
FEW_LEVELS = (
    f"fewer than {_FEW_LEVELS} grey levels in use between black and white: few tones in the file, "
    "or extremes that leave the rest no room"
)
DOUBTFUL_LUNGS = "lungs found with doubt (quality below 0.5)"
OTHER_FORMAT = "content is of another format than the name says"


@dataclass(frozen=True, slots=True)
class Examined:
    """A usable image.

    Attributes:
        path: Path relative to the data folder, in POSIX form.
        label: Name of its class.
        image_id: SHA-256 of the file, in hex.
        pixel_hash: SHA-256 of the decoded pixels and their shape, in hex.
        width: Width of the upright image in pixels.
        height: Height of the upright image in pixels.
        thumbnail: uint8 (64, 64), see `thumbnail_of`; of a pass over many files, a row of its file.
        synthetic: The file is marked as generated.
        flags: Peculiarities to be checked by a person; no reason to refuse the image.
        facts: Measurements of the pixels.
    """

    path: str
    label: str
    image_id: str
    pixel_hash: str
    width: int
    height: int
    thumbnail: Pixels | StoredRow = field(repr=False)
    synthetic: bool
    flags: tuple[str, ...]
    facts: ImageFacts = field(repr=False)


@dataclass(frozen=True, slots=True)
class FileResult:
    """Result of reading and examining one file.

    Attributes:
        digest: SHA-256 of its bytes, in hex, or why they could not be read.
        outcome: The image, or why the file is not usable.
        pixels: Decoded pixels, in the channels that were asked for; None for an unusable file.
    """

    digest: str
    outcome: Examined | Unusable
    pixels: Pixels | None = field(default=None, repr=False)


def examine_images(
    roots: Roots, images: Sequence[FoundImage], config: DataConfig, *, known: bool = False
) -> tuple[list[Examined], list[Unusable]]:
    """Decode every image once; return the usable and the unusable ones, each in the given order.

    Args:
        roots: Archives of the files.
        images: The files.
        config: Limits for usable images.
        known: The files are those of an index, which were within the limits when it was made.
    """

    def outcome_of(image: FoundImage) -> Examined | Unusable:
        return examine_file(roots, image, config, known=known).outcome

    outcomes = map_threaded(outcome_of, images, task=f"Reading {len(images)} images")
    return usable_of(outcomes), unusable_of(outcomes)


def examine_prepared(roots: Roots, records: Sequence[ImageRecord]) -> list[Examined]:
    """Decode images of an index once more, in the given order.

    Raises:
        IntegrityError: A file is not the one that was prepared.
    """
    found = [FoundImage(record.path, record.label) for record in records]
    images, damaged = examine_images(roots, found, _ANY_IMAGE, known=True)
    id_of = {record.path: record.image_id for record in records}
    changed = [file.path for file in damaged]
    changed += [image.path for image in images if image.image_id != id_of[image.path]]
    if changed:
        raise IntegrityError(
            f"{str(roots.locate(changed[0]))!r} should be the file that was prepared, but has "
            "changed; restore it, or run prepare again with --force."
        )
    return images


def usable_of(outcomes: Sequence[Examined | Unusable]) -> list[Examined]:
    """Return the usable images."""
    return [outcome for outcome in outcomes if isinstance(outcome, Examined)]


def thumbnails_of(images: Sequence[Examined]) -> Pixels:
    """Read the thumbnails of images, uint8 (N, 64, 64)."""
    return np.stack([np.asarray(image.thumbnail) for image in images])


def unusable_of(outcomes: Sequence[Examined | Unusable]) -> list[Unusable]:
    """Return the unusable files."""
    return [outcome for outcome in outcomes if isinstance(outcome, Unusable)]


def examine_file(
    roots: Roots,
    found: FoundImage,
    config: DataConfig,
    *,
    known: bool = False,
    channels: int = GREY,
) -> FileResult:
    """Read and examine one file of the archives; arguments as for `examine_bytes`."""
    path = roots.locate(found.path)
    with one_image():
        try:
            data = read_bytes(path)
        except UnusableImageError as error:
            return FileResult(error.reason, Unusable(found.path, found.label, error.reason))
        return examine_bytes(data, path, found, config, known=known, channels=channels)


def examine_bytes(
    data: bytes,
    path: Path,
    found: FoundImage,
    config: DataConfig,
    *,
    known: bool = False,
    channels: int = GREY,
) -> FileResult:
    """Examine one file from its bytes; what is measured of it is of its grey levels.

    Args:
        data: Bytes of the whole file.
        path: Path to the file; only its name matters.
        found: Path in the archive, and label.
        config: Limits for usable images.
        known: The file was within the limits before.
        channels: Channels of the pixels of the result.
    """
    digest = hashlib.sha256(data).hexdigest()
    try:
        limit = None if known else config.max_megapixels
        image = decode_radiograph(data, path, max_megapixels=limit, channels=channels)
    except UnusableImageError as error:
        return FileResult(digest, Unusable(found.path, found.label, error.reason))
    reason = why_unusable(image.pixels, config)
    # A generated image, even a small or dull one, must reach the check that refuses it.
    if reason and not image.synthetic:
        return FileResult(digest, Unusable(found.path, found.label, reason))
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
        flags=(*image.flags, *_flags(found.path, image)),
        facts=measure(image.pixels, image.colour),
    )
    return FileResult(digest, examined, image.as_read)


def why_unusable(pixels: Pixels, config: DataConfig) -> str:
    """Return why an image, uint8 (H, W), is not usable; empty if it is."""
    height, width = pixels.shape
    short, long = sorted((width, height))
    if short < config.smallest_side:
        return (
            f"it has {width} x {height} pixels, under the smallest side of {config.smallest_side} "
            "(data.min_side)"
        )
    if long > config.max_aspect * short:
        return (
            f"its {width} x {height} pixels are over the aspect ratio of {config.max_aspect:g} "
            "(data.max_aspect)"
        )
    if cv2.meanStdDev(pixels)[1].item() < _CONSTANT_DEVIATION:
        return "it is one even grey"
    return ""


def _flags(path: str, image: Radiograph) -> tuple[str, ...]:
    flags, pixels = [], image.pixels
    dropped = image.colours is None
    if dropped and image.is_coloured:
        flags.append(COLOURED)
    elif dropped and image.colour > _MARKED_SHARE:
        flags.append(COLOURED_MARKS)
    if int(pixels.max()) - int(pixels.min()) < _FEW_LEVELS:
        flags.append(LOW_CONTRAST)
    elif levels_in_use(pixels) < _FEW_LEVELS:
        flags.append(FEW_LEVELS)
    if named_otherwise(path, image.file_format):
        flags.append(OTHER_FORMAT)
    return tuple(flags)


def levels_in_use(pixels: Pixels) -> int:
    """Return the number of grey levels that hold all but 1 % of an image, uint8 (H, W).

    A few bright or dark pixels do not count, nor do the tones between two that a resize or JPEG
    adds at edges.
    """
    # Not `bincount`, which makes eight bytes of each pixel.
    counts = np.sort(Image.fromarray(pixels).histogram())[::-1]
    return int(np.searchsorted(np.cumsum(counts), 0.99 * pixels.size) + 1)
