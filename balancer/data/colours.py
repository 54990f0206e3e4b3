"""From the colours of a file to sRGB: profiles, CMYK, CIELAB, palettes and 16 bits a channel."""

import io

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms, PngImagePlugin, TiffImagePlugin

from balancer.data.grey_levels import eight_bits_of
from balancer.imaging.pixels import Pixels

NO_PROFILE = "its colour profile cannot be read, so its colours are taken as sRGB"
_BITS_TAG = 0x0102
_BIT_DEPTH = 24
"""Place of the bits of a sample in a PNG."""
_SRGB = ImageCms.createProfile("sRGB")
_PROFILED = ("RGB", "CMYK", "L")
"""Modes that a profile can be of."""


def srgb_of(image: Image.Image, data: bytes) -> tuple[Pixels, tuple[str, ...]]:
    """Convert an image in colours to 8-bit sRGB.

    Samples of 16 bits are scaled by the depth that all channels together use. A colour profile
    decides what colours mean (relative to its white); without one they are taken as sRGB, and CMYK
    as its plain inverse. Transparency becomes black.

    Args:
        image: The image, loaded, not turned upright.
        data: The whole file.

    Returns:
        uint8 (H, W, 3), and flags for the audit.
    """
    deep = _deep_colours(image, data)
    flags: tuple[str, ...] = ()
    if deep is not None:
        pixels, flags = eight_bits_of(deep)
        flat = Image.fromarray(pixels)
    else:
        flat = _opaque(image)
    profile = image.info.get("icc_profile")
    if flat.mode == "LAB":
        flat = _converted(flat, ImageCms.createProfile("LAB"))
    elif profile and flat.mode in _PROFILED:
        try:
            flat = _converted(flat, ImageCms.ImageCmsProfile(io.BytesIO(profile)))
        except (ImageCms.PyCMSError, OSError):
            flags = (*flags, NO_PROFILE)
    return np.array(flat.convert("RGB")), flags


def srgb_of_dicom(pixels: Pixels, profile: bytes) -> tuple[Pixels, tuple[str, ...]]:
    """Convert the colours of a DICOM file, uint8 (H, W, 3), by its profile; see `srgb_of`."""
    image = Image.fromarray(pixels)
    if profile:
        image.info["icc_profile"] = profile
    return srgb_of(image, b"")


def _opaque(image: Image.Image) -> Image.Image:
    """Return the image in a mode without transparency or palette."""
    if image.has_transparency_data:
        black = Image.new("RGBA", image.size, (0, 0, 0, 255))
        return Image.alpha_composite(black, image.convert("RGBA")).convert("RGB")
    return image if image.mode in (*_PROFILED, "LAB") else image.convert("RGB")


def _converted(image: Image.Image, profile: ImageCms.ImageCmsProfile | object) -> Image.Image:
    transform = ImageCms.buildTransform(profile, _SRGB, image.mode, "RGB")  # type: ignore[arg-type]
    return transform.apply(image)


def _deep_colours(image: Image.Image, data: bytes) -> NDArray[np.uint16] | None:
    """Decode colours of 16 bits, of which Pillow keeps the upper half: (H, W, 3); None: of 8."""
    if isinstance(image, PngImagePlugin.PngImageFile):
        deep = image.mode in ("RGB", "RGBA") and data[_BIT_DEPTH] > 8
    elif isinstance(image, TiffImagePlugin.TiffImageFile):
        bits = image.tag_v2.get(_BITS_TAG, 8)
        deep = image.mode in ("RGB", "RGBA") and max(np.atleast_1d(bits)) > 8
    else:
        deep = False
    if not deep:
        return None
    # Not turned upright, as Pillow does not turn either.
    how = cv2.IMREAD_UNCHANGED | cv2.IMREAD_IGNORE_ORIENTATION
    samples = cv2.imdecode(np.frombuffer(data, np.uint8), how)
    if samples is None or samples.dtype != np.uint16 or samples.shape[2:] not in ((3,), (4,)):
        raise ValueError("its colours of 16 bits cannot be decoded")
    rgb = np.asarray(samples[..., 2::-1], np.uint16)
    if samples.shape[2] == 4:
        rgb = (rgb.astype(np.uint32) * samples[..., 3:] // (2**16 - 1)).astype(np.uint16)
    return np.ascontiguousarray(rgb)
