"""Films that a user hands in: read by the one reader, or refused with the reason."""

import hashlib
from dataclasses import dataclass, field
from pathlib import Path

from balancer.data.config import DataConfig
from balancer.data.film.examine import why_unusable
from balancer.data.io import Pixels, UnusableImageError, decode_radiograph, read_bytes
from balancer.errors import DataError

_MOST_COLOUR = 0.05
"""Share of coloured pixels from which an image is a photograph or a drawing; markers and lines of
text on a film stay below a hundredth."""
_MARKS = 0.001
_DICOM = b"DICM"


class RefusedFilmError(DataError):
    """An image that no classifier is asked about; its text is the whole reason."""


@dataclass(frozen=True, slots=True)
class Film:
    """A film that may be classified.

    Attributes:
        name: Of the file.
        image_id: SHA-256 of the file's bytes, in hex, as in `index.csv`.
        pixels: uint8 (H, W), upright.
        synthetic: The file says that it was generated.
        marked: It has coloured marks.
    """

    name: str
    image_id: str
    pixels: Pixels = field(repr=False)
    synthetic: bool
    marked: bool


def read_film(path: Path, limits: DataConfig) -> Film:
    """Read a file that a user chose.

    Generated images are read too, since one may want to know what a classifier says of them; what
    they are stands in `synthetic`.

    Args:
        path: Of the file, whatever it is.
        limits: Sizes that a film may have.

    Raises:
        RefusedFilmError: It is no readable PNG or JPEG, a colour picture, empty, or of a size or
            shape that no film has.
    """
    try:
        data = read_bytes(path)
        image = decode_radiograph(data, path, max_megapixels=limits.max_megapixels)
    except UnusableImageError as error:
        reason = (
            "it is a DICOM file, which has to be exported as PNG"
            if _is_dicom(path)
            else error.reason
        )
        raise _refused(reason) from None
    reason = _why_no_film(image.pixels, image.colour, limits)
    if reason:
        raise _refused(reason)
    return Film(
        name=path.name,
        image_id=hashlib.sha256(data).hexdigest(),
        pixels=image.pixels,
        synthetic=image.synthetic,
        marked=image.colour > _MARKS,
    )


def _why_no_film(pixels: Pixels, colour: float, limits: DataConfig) -> str:
    if colour > _MOST_COLOUR:
        return f"it is a colour picture ({colour:.0%} of it is coloured)"
    return why_unusable(pixels, limits)


def _refused(reason: str) -> RefusedFilmError:
    return RefusedFilmError(
        f"A chest radiograph as PNG or JPEG was wanted, but {reason}; choose another file."
    )


def _is_dicom(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(132)[128:] == _DICOM
    except OSError:
        return False
