"""The one door to pixels: every radiograph, real or synthetic, is read and resized here."""

import io
import stat
import struct
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, PngImagePlugin, TiffImagePlugin

from balancer.data import formats, memory
from balancer.data.colours import srgb_of, srgb_of_dicom
from balancer.data.decoders import needed_bytes, open_image
from balancer.data.dicom import decode_dicom
from balancer.data.grey_levels import eight_bits_of, grey_of
from balancer.data.npz import npz_file, read_row
from balancer.errors import NOT_OF_THE_FILE, BalancerError, DataError
from balancer.imaging.pixels import COLOUR, GREY, for_opencv, with_channels
from balancer.imaging.pixels import Pixels as Pixels  # the type of what is read here

# One line per file with a damaged EXIF block would bury what the audit has to say.
warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.TiffImagePlugin")

PIXEL_RECIPE = "grey8;depth-in-use;stretch;pillow-bicubic-antialias"
"""Recipe of the pixels; part of every cache key: change it when this file changes pixels. Where
images are read in colour, the recipe of their preprocessing names the channels too."""

MAX_MEGAPIXELS = 64.0
_MAX_BYTES = 512 * 2**20
_SYNTHETIC_KEY, _SYNTHETIC_VALUE = "Synthetic", "true"
_COLOURED_SHARE, _TINTED = 0.05, 6.0
"""Share of coloured pixels, and difference of the channels that a quarter of the pixels reach:
above one of them the image itself is coloured, not a mark on it."""
_COLOUR_STEP = 40
"""Difference of two channels, in grey levels, at or above which a pixel counts as coloured."""

# Huffman codes without a search for repeats: films are noisy, so this is faster and smaller both.
_PNG_OPTIONS = (
    *(cv2.IMWRITE_PNG_COMPRESSION, 1),
    *(cv2.IMWRITE_PNG_STRATEGY, cv2.IMWRITE_PNG_STRATEGY_HUFFMAN_ONLY),
)
_PNG_HEADER = 8 + 25
"""Bytes of a PNG's signature and its IHDR chunk, which is always the first."""

_PHOTOMETRIC_TAG = 0x0106

_ORIENTATION_TAG = 0x0112
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


class UnusableImageError(DataError):
    """One file that is no usable radiograph.

    Attributes:
        reason: Fault of the content, without the name of the file.
    """

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(
            f"{str(path)!r} should be a readable radiograph ({formats.READ}), but {reason}; "
            "mend or remove it, or pass --skip-bad."
        )
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Radiograph:
    """A decoded file.

    Attributes:
        pixels: uint8 (H, W), upright, grey.
        file_format: `PNG`, `JPEG`, `DICOM` ..., by content; `PPM` for a row of an `.npz` file.
        colour: Share of the pixels that are coloured, in [0, 1]; a film has none.
        synthetic: Whether the file is marked as generated.
        chroma: Difference of the largest and the smallest channel that a quarter of the pixels
            reach, in grey levels.
        flags: Oddities of the file, for the audit.
        colours: uint8 (H, W, 3), upright, sRGB; None where grey was asked for.
    """

    pixels: Pixels
    file_format: str
    colour: float
    synthetic: bool
    chroma: float = 0.0
    flags: tuple[str, ...] = ()
    colours: Pixels | None = None

    @property
    def as_read(self) -> Pixels:
        """Pixels in the channels that were asked for."""
        return self.pixels if self.colours is None else self.colours

    @property
    def is_coloured(self) -> bool:
        """True if the image itself is in colour, not only a mark on it."""
        return self.colour > _COLOURED_SHARE or self.chroma > _TINTED


def read_radiograph(path: Path, *, max_megapixels: float = MAX_MEGAPIXELS) -> Pixels:
    """Read one radiograph as 8-bit grey.

    Args:
        path: A file in one of the formats of `formats.READ`, recognised by its content, or a row
            of a MedMNIST file, such as `x.npz/train/00017`.
        max_megapixels: Larger images are refused from the header, before they take memory.

    Returns:
        uint8 (H, W), upright. Colour becomes ITU-R 601 luma, transparency becomes black. Of 16-bit
        samples, those of 8, 10, 12 or 14 bits, as far as 99.9 % of the pixels show, are scaled
        from that depth, others from 16 bits; floats and negative samples are spread between their
        percentiles. For DICOM see `decode_dicom`.

    Raises:
        UnusableImageError: The content is no complete image, or is too large.
        EnvironmentFault: DICOM, without the extra.
    """
    return decode_radiograph(read_bytes(path), path, max_megapixels=max_megapixels).pixels


def read_bytes(path: Path) -> bytes:
    """Read a whole file, but refuse one too large for a radiograph (over 512 MiB).

    A row of a MedMNIST file, such as `x.npz/train/00017`, is the bytes of a PGM or PPM file.

    Raises:
        UnusableImageError: The file is missing, no regular file, unreadable or too large.
        OSError: The machine is at fault, such as with too many open files.
    """
    try:
        if npz_file(path) is not None:
            return read_row(path)
        found = path.stat()
        size = found.st_size
        if not stat.S_ISREG(found.st_mode):  # opening a pipe would wait forever
            raise UnusableImageError(path, "it is no regular file")
        if size > _MAX_BYTES:
            raise UnusableImageError(path, f"it is larger than {_MAX_BYTES >> 20} MiB")
        with memory.one_image():
            memory.require(size, refuse=False)
            return path.read_bytes()
    except OSError as error:
        if error.errno in NOT_OF_THE_FILE:
            raise
        raise UnusableImageError(path, f"it cannot be read ({error.strerror})") from None
    except ValueError as error:
        raise UnusableImageError(path, str(error)) from None


def is_coloured(path: Path) -> bool:
    """Return whether an image is in colour, not only a mark on it.

    Raises:
        UnusableImageError: See `read_bytes`; or the content is no complete image.
        EnvironmentFault: DICOM, without the extra.
    """
    data = read_bytes(path)
    if formats.format_of(data[: formats.HEAD_BYTES]) != formats.DICOM:
        try:
            if _is_grey(open_image(data, path, None)):
                return False  # known by its header, without decoding
        except Exception as error:  # as in `decode_radiograph`, which tells them apart
            raise UnusableImageError(path, str(error)[:200]) from None
    return decode_radiograph(data, path).is_coloured


def file_size(path: Path) -> int:
    """Return the bytes of a file, or of a row of a MedMNIST file.

    Raises:
        OSError: There is none.
        ValueError: It is a row of something else.
    """
    return path.stat().st_size if npz_file(path) is None else len(read_row(path))


def decode_radiograph(
    data: bytes,
    path: Path,
    *,
    max_megapixels: float | None = MAX_MEGAPIXELS,
    channels: int = GREY,
) -> Radiograph:
    """Decode the bytes of a file; see `read_radiograph` for the pixels.

    Args:
        data: The whole file.
        path: Path to it, for errors only.
        max_megapixels: None trusts the header, for files that passed the audit before. The memory
            of the decoders is bounded all the same: such an image waits until it is alone.
        channels: 3 for colours beside the grey levels, see `srgb_of`; a grey file has three equal
            channels then.

    Raises:
        UnusableImageError: The content is no complete image, or is too large.
        EnvironmentFault: DICOM, without the extra.
    """
    try:
        with memory.one_image():
            return _decoded(data, path, max_megapixels, channels)
    except BalancerError:
        raise
    except MemoryError:
        raise UnusableImageError(path, "it does not fit into memory") from None
    except (
        Exception
    ) as error:  # decoders raise anything on hostile bytes; to the user it is one fault
        reason = _jpeg_fault(data) or " ".join(str(error).split()) or type(error).__name__
        raise UnusableImageError(path, reason[:200]) from None


def resize_square(image: Pixels, size: int) -> Pixels:
    """Resize to a square with antialiasing.

    The image is stretched, not cropped or padded, as the papers of this field do: no part
    of the lungs is lost, and no padding reveals the shape that a source has.

    Args:
        image: uint8 (H, W) or (H, W, 3).
        size: Side of the result in pixels.

    Returns:
        uint8 (size, size) or (size, size, 3).
    """
    resized = Image.fromarray(image).resize((size, size), Image.Resampling.BICUBIC)
    return np.asarray(resized)


def png_bytes(image: Pixels, text: Mapping[str, str]) -> bytes:
    """Encode a PNG with text chunks and no other metadata.

    Encoding must keep up with a generator, so it does not search for repeats.

    Args:
        image: uint8 (H, W), grey, or (H, W, 3), sRGB.
        text: Keywords (1 to 79 Latin-1 characters) to values.
    """
    done, encoded = cv2.imencode(".png", for_opencv(image), _PNG_OPTIONS)
    if not done:
        raise ValueError(f"A PNG needs an image of 8 bits, not {image.dtype} {image.shape}.")
    content = encoded.tobytes()
    buffer = io.BytesIO()
    buffer.write(content[:_PNG_HEADER])
    for key, value in text.items():
        PngImagePlugin.putchunk(
            buffer, b"tEXt", key.encode("latin-1") + b"\0" + value.encode("latin-1")
        )
    buffer.write(content[_PNG_HEADER:])
    return buffer.getvalue()


def _decoded(data: bytes, path: Path, max_megapixels: float | None, channels: int) -> Radiograph:
    if formats.format_of(data[: formats.HEAD_BYTES]) == formats.DICOM:
        return _dicom(data, max_megapixels, channels)
    image = open_image(data, path, max_megapixels)
    needed = needed_bytes(image, data, channels)
    memory.require(needed, refuse=max_megapixels is not None)
    image.load()
    upright = _upright(image)
    colour, chroma = _colour(image)
    pixels, flags = (
        (grey_of(upright), ()) if not _is_deep(image) else eight_bits_of(np.asarray(upright))
    )
    pixels = _reversed(pixels) if _white_is_zero(image) else pixels
    colours = None
    if channels == COLOUR and _is_grey(image):
        colours = with_channels(pixels, COLOUR)
    elif channels == COLOUR:
        srgb, more = srgb_of(image, data)
        colours, flags = np.asarray(_upright(Image.fromarray(srgb), of=image)), (*flags, *more)
    return Radiograph(
        pixels=pixels,
        file_format=image.format or "",
        colour=colour,
        synthetic=_says_synthetic(image),
        chroma=chroma,
        flags=flags,
        colours=colours,
    )


def _dicom(data: bytes, max_megapixels: float | None, channels: int) -> Radiograph:
    decoded = decode_dicom(data, max_megapixels)
    image, flags = Image.fromarray(decoded.pixels), decoded.flags
    colour, chroma = _colour(image)
    pixels, colours = grey_of(image), None
    if channels == COLOUR and _is_grey(image):
        colours = with_channels(pixels, COLOUR)
    elif channels == COLOUR:
        colours, more = srgb_of_dicom(decoded.pixels, decoded.profile)
        flags = (*flags, *more)
    return Radiograph(pixels, "DICOM", colour, False, chroma, flags, colours)


def _jpeg_fault(data: bytes) -> str:
    return formats.jpeg_coding(data) if data.startswith(b"\xff\xd8\xff") else ""


def _upright(image: Image.Image, *, of: Image.Image | None = None) -> Image.Image:
    """Turn an image as its file, or that of another, says."""
    try:
        orientation = (image if of is None else of).getexif().get(_ORIENTATION_TAG)
    except (OSError, SyntaxError, ValueError, LookupError, TypeError, struct.error):
        return image  # a broken EXIF block says nothing; viewers show such files as they are
    method = _UPRIGHT.get(orientation) if isinstance(orientation, int) else None
    return image if method is None else image.transpose(method)


def _is_grey(image: Image.Image) -> bool:
    return image.mode in ("L", "LA", "1") or _is_deep(image)


def _is_deep(image: Image.Image) -> bool:
    return image.mode.startswith(("I", "F"))


def _white_is_zero(image: Image.Image) -> bool:
    """Return whether large samples are black; Pillow itself reverses TIFF files of 8 bits only."""
    if not isinstance(image, TiffImagePlugin.TiffImageFile) or not _is_deep(image):
        return False
    return image.tag_v2.get(_PHOTOMETRIC_TAG) == 0


def _reversed(pixels: Pixels) -> Pixels:
    return np.asarray(255 - pixels, np.uint8)


def _colour(image: Image.Image) -> tuple[float, float]:
    """Return the share of coloured pixels, and how much a quarter of them all is coloured."""
    if _is_grey(image):
        return 0.0, 0.0
    # 256 x 256 samples are enough for an arrow or a line of text, and cheap on large scans.
    small = image.resize((256, 256), Image.Resampling.NEAREST)
    if small.has_transparency_data:
        small = small.convert("RGBA")
    channels = np.asarray(small.convert("RGB")).astype(np.int16)  # (256, 256, 3)
    difference = np.ptp(channels, axis=2)
    return float(np.mean(difference > _COLOUR_STEP)), float(np.percentile(difference, 75))


def _says_synthetic(image: Image.Image) -> bool:
    if not isinstance(image, PngImagePlugin.PngImageFile):
        return False
    return image.text.get(_SYNTHETIC_KEY, "") == _SYNTHETIC_VALUE
