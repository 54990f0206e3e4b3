"""The decoders of Pillow for the formats that are read, and no others."""

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
_DECODERS: Mapping[str, type[ImageFile.ImageFile]] = {
    formats.PNG: PngImagePlugin.PngImageFile,
    formats.JPEG: JpegImagePlugin.JpegImageFile,
    formats.TIFF: TiffImagePlugin.TiffImageFile,
    formats.WEBP: WebPImagePlugin.WebPImageFile,
    formats.BMP: BmpImagePlugin.BmpImageFile,
    formats.GIF: GifImagePlugin.GifImageFile,
}


def open_image(data: bytes, path: Path) -> ImageFile.ImageFile:
    """Parse the header of an image, without its pixels.

    Their classes are called directly because `Image.open` warns about size on its own, by a
    process-wide limit, before ours applies.
    """
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
