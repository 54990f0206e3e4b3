"""Formats of image files, recognised by their content; names are hints only."""

import os
import stat
from pathlib import Path

from balancer.data.dicom import is_dicom
from balancer.errors import NOT_OF_THE_FILE

PNG, JPEG, TIFF, WEBP, BMP, GIF, DICOM = "PNG", "JPEG", "TIFF", "WebP", "BMP", "GIF", "DICOM"
READ = f"{PNG}, {JPEG}, {TIFF}, {WEBP}, {BMP}, {GIF} or {DICOM}"
"""Formats that are read, in words."""
DICOM_SUFFIXES = (".dcm", ".dicom")
HEAD_BYTES = 512
"""Number of bytes at the start of a file that decide its format."""

_BY_SUFFIX = {
    ".png": PNG,
    ".jpg": JPEG,
    ".jpeg": JPEG,
    ".jfif": JPEG,
    ".jpe": JPEG,
    ".jif": JPEG,
    ".tif": TIFF,
    ".tiff": TIFF,
    ".webp": WEBP,
    ".bmp": BMP,
    ".dib": BMP,
    ".gif": GIF,
}
IMAGE_SUFFIXES = tuple(_BY_SUFFIX)
"""Suffixes of images; a file with one is an image even if its content says otherwise."""
_STARTS = {
    b"\x89PNG\r\n\x1a\n": PNG,
    b"\xff\xd8\xff": JPEG,
    b"II*\0": TIFF,
    b"MM\0*": TIFF,
    b"II+\0\x08\0\0\0": TIFF,
    b"MM\0+\0\x08\0\0": TIFF,
    b"GIF87a": GIF,
    b"GIF89a": GIF,
}
_BMP_HEADERS = (12, 40, 52, 56, 64, 108, 124)
_OTHER_IMAGES = {
    b"\0\0\0\x0cjP  ": "JPEG 2000",
    b"\xff\x4f\xff\x51": "JPEG 2000",
    b"\xff\x0a": "JPEG XL",
    b"\0\0\0\x0cJXL ": "JPEG XL",
    b"8BPS": "Photoshop",
    b"%!PS": "PostScript",
    b"\xc5\xd0\xd3\xc6": "PostScript",
    b"\x5c\x01\0\0": "NIfTI",
    b"\0\0\x01\x5c": "NIfTI",
    b"NRRD": "NRRD",
    b"\x76\x2f\x31\x01": "OpenEXR",
}
_NO_IMAGES = {
    b"version https://git-lfs": "a Git LFS pointer instead of the file (run `git lfs pull`)",
    b"%PDF": "a PDF document",
    b"PK\x03\x04": "a zip archive",
    b"\x1f\x8b": "a gzip archive",
    b"Rar!": "a RAR archive",
    b"7z\xbc\xaf": "a 7z archive",
    b"\x93NUMPY": "a NumPy array",
    b"\x89HDF": "an HDF5 file",
    b"\xd0\xcf\x11\xe0": "an Office document",
}
_HEIC_BRANDS = {b"avif": "AVIF", b"avis": "AVIF", b"heic": "HEIC", b"heix": "HEIC", b"mif1": "HEIC"}
_OTHER_SUFFIXES = (
    *(".eps", ".svg", ".jp2", ".j2k", ".jxl", ".nii", ".nrrd", ".mha", ".heic", ".avif", ".psd"),
)
_SOF = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}
_LOSSLESS_SOF = {0xC3, 0xC7, 0xCB, 0xCF}
_LONGEST_LINK = 300


def format_of(head: bytes) -> str:
    """Return the format of an image from the start of its file; empty if it is none that is read.

    >>> format_of(b"GIF89a"), format_of(b"no image")
    ('GIF', '')
    """
    if is_dicom(head):  # first, because its preamble can begin as a TIFF file does
        return DICOM
    for start, name in _STARTS.items():
        if head.startswith(start):
            return name
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return WEBP
    if head[:2] == b"BM" and int.from_bytes(head[14:18], "little") in _BMP_HEADERS:
        return BMP
    return ""


def other_image(head: bytes) -> str:
    """Return the format of an image that is not read; empty for anything else."""
    for start, name in _OTHER_IMAGES.items():
        if head.startswith(start):
            return name
    if head[4:8] == b"ftyp":
        return _HEIC_BRANDS.get(head[8:12], "")
    return "SVG" if b"<svg" in head.lower() else ""


def why_not_read(head: bytes) -> str:
    """Say what the content of a file is that is in no format that is read."""
    if not head:
        return "it is empty"
    if name := other_image(head):
        return f"it is {name}, which is not read: convert it to PNG"
    for start, name in _NO_IMAGES.items():
        if head.startswith(start):
            return f"it is {name}"
    text = head.lstrip().lower()
    if text.startswith((b"<!doctype html", b"<html")) or b"<html" in text:
        return "it is an HTML page instead of an image: download it again"
    if _is_link_text(head):
        return (
            "it is a text that names another file, as Windows and zip tools write for a symbolic "
            "link: copy the files themselves, for example by `cp -rL`"
        )
    kind = "text" if _is_text(head) else "no image that is known"
    return f"its content is {kind}, not {READ}"


def jpeg_coding(data: bytes) -> str:
    """Return why common decoders do not read a JPEG of this coding; empty if they do.

    Args:
        data: The whole file, or a JPEG stream inside another.
    """
    place = 2
    while place + 9 < len(data) and data[place] == 0xFF:
        marker = data[place + 1]
        if marker == 0xFF:  # a fill byte
            place += 1
            continue
        if marker in _SOF:
            bits = data[place + 4]
            if bits > 8 and marker not in _LOSSLESS_SOF:
                return (
                    f"it is a JPEG of {bits} bits, which common decoders do not read: write it "
                    "as PNG or TIFF of 16 bits, for example by `dcmdjpeg` (DICOM) or `gdcmconv "
                    "--raw`, or with ImageMagick built for 16 bits"
                )
            if marker in _LOSSLESS_SOF:
                return "it is a lossless JPEG, which common decoders do not read: write it as PNG"
            return ""
        place += 2 + int.from_bytes(data[place + 2 : place + 4], "big")
    return ""


def named_otherwise(path: str, file_format: str) -> bool:
    """Return whether the suffix of a path is that of another format than the content has."""
    expected = _BY_SUFFIX.get(Path(path).suffix.lower())
    return expected is not None and file_format.upper() != expected.upper()


def named_like_image(entry: os.DirEntry[str]) -> bool:
    """Return whether a file has the name of an image, DICOM aside."""
    return entry.name.lower().endswith(IMAGE_SUFFIXES)


def is_image(entry: os.DirEntry[str]) -> bool:
    """Return whether a file is an image by its name or, with another name, by its content."""
    if entry.name.lower().endswith((*IMAGE_SUFFIXES, *DICOM_SUFFIXES)):
        return True
    return bool(format_of(head_of(entry)))


def is_dicom_entry(entry: os.DirEntry[str]) -> bool:
    """Return whether a file is DICOM by its content or, if that is no other image, by its name."""
    found = format_of(head_of(entry))
    return found == DICOM or (not found and entry.name.lower().endswith(DICOM_SUFFIXES))


def unread_kind(entry: os.DirEntry[str]) -> str:
    """Return the format of a file that is an image by name or content, but not one that is read."""
    found = other_image(head_of(entry))
    suffix = Path(entry.name).suffix.lower()
    return found or (suffix if suffix in _OTHER_SUFFIXES else "")


def head_of(entry: os.DirEntry[str]) -> bytes:
    """Return the first bytes of a file; none for a pipe, a link in a circle, or on an error.

    Raises:
        OSError: The machine is at fault, such as with too many open files.
    """
    try:
        if not stat.S_ISREG(entry.stat().st_mode):
            return b""
        with open(entry.path, "rb") as file:  # noqa: PTH123  # entries have no open()
            return file.read(HEAD_BYTES)
    except OSError as error:
        if error.errno in NOT_OF_THE_FILE:
            raise
        return b""


def _is_link_text(head: bytes) -> bool:
    line = head.strip()
    one_line = len(line) < _LONGEST_LINK and b"\n" not in line and _is_text(line)
    return (
        one_line
        and b"/" in line
        and line.lower().endswith(
            tuple(suffix.encode() for suffix in (*IMAGE_SUFFIXES, *DICOM_SUFFIXES))
        )
    )


def _is_text(head: bytes) -> bool:
    return all(byte >= 32 or byte in b"\t\r\n" for byte in head)
