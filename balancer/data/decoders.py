"""The decoders of Pillow for the formats that are read, and no others; what they will need."""

import io
from collections.abc import Mapping
from pathlib import Path

from PIL import (
    BmpImagePlugin,
    GifImagePlugin,
    ImageFile,
    JpegImagePlugin,
    PngImagePlugin,
    PpmImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
)

from balancer.data import formats
from balancer.data.npz import npz_file

_PNG_END = 4 + 4 + 4
"""Bytes of the length, name and checksum of the last chunk."""
_SUBFILE_TAG = 0x00FE
_MOST_PAGES = 16
_TILE_WIDTH_TAG, _TILE_LENGTH_TAG = 0x0142, 0x0143
_ROWS_PER_STRIP_TAG, _SAMPLES_TAG, _BITS_TAG = 0x0116, 0x0115, 0x0102
_VP8X, _VP8L, _VP8 = b"VP8X", b"VP8L", b"VP8 "
_STORED = {"1": 1, "L": 1, "P": 1, "I;16": 2, "I;16L": 2, "I;16B": 2, "I;16N": 2}
"""Bytes that Pillow keeps of a pixel of a mode; 4 in all others, however few its channels."""
_COPIES = 2
"""An image and its upright copy."""
_GREY, _EXAMINED = 2, 2
"""Bytes a pixel of the grey result and its way out of Pillow, and of its examination."""
_COLOURS = 24
"""Bytes a pixel of colours of 16 bits, their conversion to sRGB, and the upright result."""
_DEEP, _UNBOUNDED = 8, 32
"""Bytes a pixel of scaling 16-bit samples, and of spreading those of no depth as floats."""
_PER_FORMAT = {"JPEG": 6, "WEBP": 16, "GIF": 4, "BMP": 2}
"""Bytes a pixel of buffers of a decoder: coefficients of progressive scans, canvases of frames."""
_DECODERS: Mapping[str, type[ImageFile.ImageFile]] = {
    formats.PNG: PngImagePlugin.PngImageFile,
    formats.JPEG: JpegImagePlugin.JpegImageFile,
    formats.TIFF: TiffImagePlugin.TiffImageFile,
    formats.WEBP: WebPImagePlugin.WebPImageFile,
    formats.BMP: BmpImagePlugin.BmpImageFile,
    formats.GIF: GifImagePlugin.GifImageFile,
}


def open_image(data: bytes, path: Path, max_megapixels: float | None) -> ImageFile.ImageFile:
    """Parse the header of an image, without its pixels.

    Their classes are called directly because `Image.open` warns about size on its own, by a
    process-wide limit, before ours applies.

    Args:
        data: The whole file.
        path: Path to it.
        max_megapixels: Limit of its size; None: there is none.

    Raises:
        ValueError: It is no image that is read, or larger than the limit.
    """
    if data[:4] == b"RIFF" and max_megapixels is not None:
        refuse_large(*_webp_size(data), max_megapixels)  # Pillow takes memory at once
    image = _open(data, path)
    refuse_large(*image.size, max_megapixels)
    return image


def refuse_large(width: int, height: int, max_megapixels: float | None) -> None:
    """Refuse an image of more pixels than the limit; None: there is none.

    Raises:
        ValueError: It is larger.
    """
    if max_megapixels is not None and width * height > max_megapixels * 1e6:
        raise ValueError(
            f"it has {width} x {height} pixels, over the limit of {max_megapixels:g} megapixels "
            "(data.max_megapixels)"
        )


def needed_bytes(image: ImageFile.ImageFile, data: bytes, channels: int = 1) -> int:
    """Return the bytes that reading an image takes at most, by its header.

    Channels and depth count, not pixels alone; all of the reading counts, not the result alone.

    Args:
        image: As `open_image` returns it.
        data: The whole file.
        channels: 3 where its colours are wanted too.
    """
    kept = _STORED.get(image.mode, 4)
    deep = _UNBOUNDED if image.mode in ("I", "F") else 0
    deep += _DEEP if image.mode.startswith("I;") else 0
    deep += _COLOURS if channels > 1 else 0
    each = _COPIES * kept + _PER_FORMAT.get(image.format or "", 0) + deep + _GREY + _EXAMINED
    width, height = image.size
    return width * height * each + _block_bytes(image) + len(data)


def _block_bytes(image: ImageFile.ImageFile) -> int:
    """Return the bytes of a strip or tile, which a TIFF is unpacked by; it may exceed the image."""
    if not isinstance(image, TiffImagePlugin.TiffImageFile):
        return 0
    tags = image.tag_v2
    bits = tags.get(_BITS_TAG, 1)
    deepest = max(bits) if isinstance(bits, tuple) else int(bits)
    height = tags.get(_TILE_LENGTH_TAG) or min(
        int(tags.get(_ROWS_PER_STRIP_TAG) or image.height), image.height
    )
    width = tags.get(_TILE_WIDTH_TAG) or image.width
    return int(width) * int(height) * int(tags.get(_SAMPLES_TAG, 1)) * -(-deepest // 8)


def _webp_size(data: bytes) -> tuple[int, int]:
    """Return width and height from the first chunk of a WebP file; 0 and 0 if it has none."""
    kind, little = data[12:16], int.from_bytes
    if kind == _VP8X:
        return 1 + little(data[24:27], "little"), 1 + little(data[27:30], "little")
    if kind == _VP8L:
        sides = little(data[21:25], "little")
        return 1 + (sides & 0x3FFF), 1 + (sides >> 14 & 0x3FFF)
    if kind == _VP8:
        return little(data[26:28], "little") & 0x3FFF, little(data[28:30], "little") & 0x3FFF
    return 0, 0


def _open(data: bytes, path: Path) -> ImageFile.ImageFile:
    if not data:
        raise ValueError("it is empty")
    found = formats.format_of(data[: formats.HEAD_BYTES])
    if found == formats.PNG:
        # Pillow does not miss the end of the last chunk; its checksum may be wrong.
        end = data.rfind(b"\0\0\0\0IEND")
        if end < 0 or len(data) < end + _PNG_END:
            raise ValueError("it is truncated")
    if found in _DECODERS:
        image = _DECODERS[found](io.BytesIO(data))
        if (pages := _pages(image)) > 1:
            raise ValueError(f"it is a {found} file of {pages} pages or frames, not of one image")
        return image
    if npz_file(path) is not None:
        return PpmImagePlugin.PpmImageFile(io.BytesIO(data))
    raise ValueError(formats.why_not_read(data[: formats.HEAD_BYTES]))


def _pages(image: ImageFile.ImageFile) -> int:
    """Count pages or frames, but not the previews in a TIFF or the further frames of a PNG."""
    if isinstance(image, PngImagePlugin.PngImageFile):
        return 1
    pages = int(getattr(image, "n_frames", 1))
    if not isinstance(image, TiffImagePlugin.TiffImageFile) or not 1 < pages <= _MOST_PAGES:
        return pages
    full = 0
    for page in reversed(range(pages)):  # ends at the first
        image.seek(page)
        full += not int(image.tag_v2.get(_SUBFILE_TAG, 0)) & 1
    return full
