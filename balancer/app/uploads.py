"""Images that a user uploads: read by the one reader, or refused with the reason."""

import hashlib
from dataclasses import dataclass, field
from pathlib import Path

from balancer.data.config import DataConfig
from balancer.data.film.examine import why_unusable
from balancer.data.io import Pixels, UnusableImageError, decode_radiograph, read_bytes
from balancer.errors import DataError
from balancer.imaging.pixels import COLOUR, GREY

_MOST_COLOUR = 0.05
"""Largest share of coloured pixels of a radiograph; markers and text stay below 0.01."""
_MARKS = 0.001
_DICOM = b"DICM"


class RefusedFilmError(DataError):
    """An image that is not classified; the message is the whole reason."""


@dataclass(frozen=True, slots=True)
class Film:
    """An uploaded image that may be classified.

    Attributes:
        name: Name of the file.
        image_id: SHA-256 of the file's bytes, in hex, as in `index.csv`.
        pixels: uint8 (H, W), upright.
        synthetic: True if the file is marked as generated.
        marked: True if it has coloured marks, where grey images are wanted.
        colours: uint8 (H, W, 3), upright, sRGB.
    """

    name: str
    image_id: str
    pixels: Pixels = field(repr=False)
    synthetic: bool
    marked: bool
    colours: Pixels = field(repr=False)

    def in_channels(self, channels: int) -> Pixels:
        """Return the pixels as an index of 1 or 3 channels reads them."""
        return self.colours if channels == COLOUR else self.pixels


def read_film(path: Path, limits: DataConfig, channels: int = GREY) -> Film:
    """Read a file that a user chose.

    Generated images are read too, so that they can be classified; `synthetic` says what they are.

    Args:
        path: Path to the file, of any kind.
        limits: Sizes that an image may have.
        channels: 1 refuses colour pictures, which no classifier at hand has learnt from.

    Raises:
        RefusedFilmError: It is no readable PNG or JPEG, a colour picture, empty, or of a size or
            shape outside the limits.
    """
    try:
        data = read_bytes(path)
        image = decode_radiograph(data, path, max_megapixels=limits.max_megapixels, channels=COLOUR)
    except UnusableImageError as error:
        reason = (
            "it is a DICOM file, which has to be exported as PNG"
            if _is_dicom(path)
            else error.reason
        )
        raise _refused(reason) from None
    share = image.colour if channels == GREY else 0.0
    reason = _why_no_film(image.pixels, share, limits)
    if reason:
        raise _refused(reason)
    return Film(
        name=path.name,
        image_id=hashlib.sha256(data).hexdigest(),
        pixels=image.pixels,
        synthetic=image.synthetic,
        marked=share > _MARKS,
        colours=image.as_read,
    )


def _why_no_film(pixels: Pixels, colour: float, limits: DataConfig) -> str:
    if colour > _MOST_COLOUR:
        return f"it is a colour picture ({colour:.0%} of it is coloured)"
    return why_unusable(pixels, limits)


def _refused(reason: str) -> RefusedFilmError:
    return RefusedFilmError(
        f"The page needs an image like the training images, as PNG or JPEG, but {reason}; choose "
        "another file."
    )


def _is_dicom(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(132)[128:] == _DICOM
    except OSError:
        return False
