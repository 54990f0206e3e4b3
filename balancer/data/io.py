"""The one door to pixels: every radiograph, real or synthetic, is read and resized here."""

import io
import struct
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageFile, PngImagePlugin, PpmImagePlugin
from PIL.JpegImagePlugin import JpegImageFile

from balancer.data.dicom import decode_dicom, is_dicom
from balancer.data.npz import npz_file, read_row
from balancer.errors import BalancerError, DataError
from balancer.imaging.pixels import Pixels as Pixels  # the type of what is read here

# One line per file with a damaged EXIF block would bury what the audit has to say.
warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.TiffImagePlugin")

PIXEL_RECIPE = "grey8;stretch;pillow-bicubic-antialias"
"""Recipe of the pixels; part of every cache key: change it when this file changes pixels."""

MAX_MEGAPIXELS = 64.0
_MAX_BYTES = 512 * 2**20
_SYNTHETIC_KEY, _SYNTHETIC_VALUE = "Synthetic", "true"
_COLOUR_STEP = 40
"""Difference of two channels, in grey levels, at or above which a pixel counts as coloured."""

# Huffman codes without a search for repeats: films are noisy, so this is faster and smaller both.
_PNG_OPTIONS = (
    *(cv2.IMWRITE_PNG_COMPRESSION, 1),
    *(cv2.IMWRITE_PNG_STRATEGY, cv2.IMWRITE_PNG_STRATEGY_HUFFMAN_ONLY),
)
_PNG_HEADER = 8 + 25
"""Bytes of a PNG's signature and its IHDR chunk, which is always the first."""

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
        reason: Fault of the content, without the file's name.
    """

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(
            f"{str(path)!r} should be a readable PNG, JPEG or DICOM radiograph, but {reason}; "
            "mend or remove it, or pass --skip-bad."
        )
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Radiograph:
    """A decoded file.

    Attributes:
        pixels: uint8 (H, W), upright.
        file_format: `PNG`, `JPEG` or `DICOM`, by content; `PPM` for a row of an `.npz` file.
        colour: Share of the pixels that are coloured, in [0, 1]; a film has none.
        synthetic: Whether the file is marked as generated.
        flags: Oddities of the file, for the audit.
    """

    pixels: Pixels
    file_format: str
    colour: float
    synthetic: bool
    flags: tuple[str, ...] = ()


def read_radiograph(path: Path, *, max_megapixels: float = MAX_MEGAPIXELS) -> Pixels:
    """Read one radiograph as 8-bit grey.

    Args:
        path: A PNG, JPEG or DICOM file, recognised by its content, or a row of a MedMNIST file,
            such as `x.npz/train/00017`.
        max_megapixels: Larger images are refused from the header, before they take memory.

    Returns:
        uint8 (H, W), upright. Colour becomes ITU-R 601 luma, transparency becomes black,
        and 16-bit samples are divided by 257, regardless of the part of 0..65535 that is used. For
        DICOM see `decode_dicom`.

    Raises:
        UnusableImageError: The content is no complete image, or is too large.
        EnvironmentFault: DICOM, without the extra.
    """
    return decode_radiograph(read_bytes(path), path, max_megapixels=max_megapixels).pixels


def read_bytes(path: Path) -> bytes:
    """Read a whole file, but refuse one too large for a radiograph (over 512 MiB).

    A row of a MedMNIST file, such as `x.npz/train/00017`, is the bytes of a PGM or PPM file.

    Raises:
        UnusableImageError: The file is missing, unreadable or too large.
    """
    try:
        if npz_file(path) is not None:
            return read_row(path)
        if path.stat().st_size > _MAX_BYTES:
            raise UnusableImageError(path, f"it is larger than {_MAX_BYTES >> 20} MiB")
        return path.read_bytes()
    except OSError as error:
        raise UnusableImageError(path, f"it cannot be read ({error.strerror})") from None
    except ValueError as error:
        raise UnusableImageError(path, str(error)) from None


def file_size(path: Path) -> int:
    """Return the bytes of a file, or of a row of a MedMNIST file.

    Raises:
        OSError: There is none.
        ValueError: It is a row of something else.
    """
    return path.stat().st_size if npz_file(path) is None else len(read_row(path))


def decode_radiograph(
    data: bytes, path: Path, *, max_megapixels: float | None = MAX_MEGAPIXELS
) -> Radiograph:
    """Decode the bytes of a file; see `read_radiograph` for the pixels.

    Args:
        data: The whole file.
        path: Path to it, for errors only.
        max_megapixels: None trusts the header, for files that passed the audit before.

    Raises:
        UnusableImageError: The content is no complete image, or is too large.
        EnvironmentFault: DICOM, without the extra.
    """
    try:
        if is_dicom(data):
            return _dicom(data, max_megapixels)
        image = _open(data, path)
        width, height = image.size
        if max_megapixels is not None and width * height > max_megapixels * 1e6:
            raise ValueError(
                f"it has {width} x {height} pixels, over the limit of {max_megapixels:g} megapixels"
            )
        image.load()
        return Radiograph(
            pixels=_grey(_upright(image)),
            file_format=image.format or "",
            colour=_colour(image),
            synthetic=_says_synthetic(image),
        )
    except BalancerError:
        raise
    except MemoryError:
        raise UnusableImageError(path, "it does not fit into memory") from None
    except (
        Exception
    ) as error:  # decoders raise anything on hostile bytes; to the user it is one fault
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UnusableImageError(path, reason[:200]) from None


def resize_square(image: Pixels, size: int) -> Pixels:
    """Resize to a square with antialiasing.

    The image is stretched, not cropped or padded, as the papers of this field do: no part
    of the lungs is lost, and no padding reveals the shape that a source has.

    Args:
        image: uint8 (H, W).
        size: Side of the result in pixels.

    Returns:
        uint8 (size, size).
    """
    resized = Image.fromarray(image).resize((size, size), Image.Resampling.BICUBIC)
    return np.asarray(resized)


def png_bytes(image: Pixels, text: Mapping[str, str]) -> bytes:
    """Encode a grey PNG with text chunks and no other metadata.

    Encoding must keep up with a generator, so it does not search for repeats.

    Args:
        image: uint8 (H, W).
        text: Keywords (1 to 79 Latin-1 characters) to values.
    """
    done, encoded = cv2.imencode(".png", image, _PNG_OPTIONS)
    if not done:
        raise ValueError(f"A PNG needs uint8 (H, W), not {image.dtype} {image.shape}.")
    content = encoded.tobytes()
    buffer = io.BytesIO()
    buffer.write(content[:_PNG_HEADER])
    for key, value in text.items():
        PngImagePlugin.putchunk(
            buffer, b"tEXt", key.encode("latin-1") + b"\0" + value.encode("latin-1")
        )
    buffer.write(content[_PNG_HEADER:])
    return buffer.getvalue()


def _dicom(data: bytes, max_megapixels: float | None) -> Radiograph:
    decoded = decode_dicom(data, max_megapixels)
    image = Image.fromarray(decoded.pixels)
    return Radiograph(_grey(image), "DICOM", _colour(image), False, decoded.flags)


def _open(data: bytes, path: Path) -> ImageFile.ImageFile:
    """Parse the header with one of two decoders, never with the dozens that Pillow would try.

    Their classes are called directly because `Image.open` warns about size on its own, by a
    process-wide limit, before ours applies.
    """
    if not data:
        raise ValueError("it is empty")
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        # Pillow does not miss the end of the last chunk.
        if data.rfind(b"IEND\xae\x42\x60\x82") < 0:
            raise ValueError("it is truncated")
        return PngImagePlugin.PngImageFile(io.BytesIO(data))
    if data.startswith(b"\xff\xd8\xff"):
        # Inside a scan FF is escaped, so an end marker after the last scan header is the real one.
        if data.rfind(b"\xff\xd9") < data.rfind(b"\xff\xda"):
            raise ValueError("it is truncated")
        return JpegImageFile(io.BytesIO(data))
    if npz_file(path) is not None:
        return PpmImagePlugin.PpmImageFile(io.BytesIO(data))
    raise ValueError("its content is neither PNG nor JPEG")


def _upright(image: Image.Image) -> Image.Image:
    try:
        orientation = image.getexif().get(_ORIENTATION_TAG)
    except (OSError, SyntaxError, ValueError, LookupError, TypeError, struct.error):
        return image  # a broken EXIF block says nothing; viewers show such files as they are
    method = _UPRIGHT.get(orientation) if isinstance(orientation, int) else None
    return image if method is None else image.transpose(method)


def _grey(image: Image.Image) -> Pixels:
    if image.mode.startswith("I"):  # 16-bit samples
        wide = np.clip(np.asarray(image).astype(np.int64), 0, 65535)
        return ((wide + 128) // 257).astype(np.uint8)
    if image.has_transparency_data:
        opaque = Image.new("RGBA", image.size, (0, 0, 0, 255))
        image = Image.alpha_composite(opaque, image.convert("RGBA")).convert("RGB")
    elif image.mode in ("P", "CMYK", "YCbCr", "LAB", "HSV"):
        image = image.convert("RGB")
    return np.array(image.convert("L"))


def _colour(image: Image.Image) -> float:
    if image.mode in ("L", "LA", "1") or image.mode.startswith("I"):
        return 0.0
    # 256 x 256 samples are enough for an arrow or a line of text, and cheap on large scans.
    small = image.resize((256, 256), Image.Resampling.NEAREST)
    if small.has_transparency_data:
        small = small.convert("RGBA")
    channels = np.asarray(small.convert("RGB")).astype(np.int16)  # (256, 256, 3)
    return float(np.mean(np.ptp(channels, axis=2) > _COLOUR_STEP))


def _says_synthetic(image: Image.Image) -> bool:
    if not isinstance(image, PngImagePlugin.PngImageFile):
        return False
    return image.text.get(_SYNTHETIC_KEY, "") == _SYNTHETIC_VALUE
