"""Radiographs in DICOM files, for the extra `[dicom]`; the one module that imports pydicom.

No text of a tag leaves this module: neither in errors, whose reasons are written here, nor in logs,
nor in what is returned, except the view, and that only in the words of `_VIEWS`.
"""

import hashlib
import io
import logging
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from balancer.data import memory
from balancer.data.grey_levels import Values, spread, window
from balancer.data.metadata import patient_text
from balancer.data.threads import map_threaded
from balancer.errors import EnvironmentFault

if TYPE_CHECKING:
    from pydicom import Dataset

# Of the process, as catching warnings is not safe in threads.
warnings.filterwarnings("ignore", module=r"pydicom")

MAGIC_PLACE, MAGIC = 128, b"DICM"
"""After the preamble, in every file that follows part 10 of the standard."""
_JPEG_12 = "1.2.840.10008.1.2.4.51"
_GREY_BYTES, _COLOUR_BYTES = 40, 24
"""Bytes that a pixel takes at most while it is decoded and windowed, as float64, or is a colour."""
_ITEM_START = b"\xfe\xff\x00\xe0"
"""Start of compressed pixels."""
_ELEMENT_BYTES, _LAST_FIRST_ELEMENT, _LONGEST_FIRST_VALUE = 8, 0x20, 128
_FIRST_VRS = (b"UL", b"OB", b"UI", b"CS", b"DA", b"TM", b"SH", b"LO", b"US", b"SQ")
NO_PREAMBLE = "DICOM without the preamble of its standard"
BURNED_IN = "its DICOM tags say that text is burned into the pixels"
MAYBE_BURNED_IN = "its DICOM tags do not say whether text is burned into the pixels"

_VIEWS = ("PA", "AP", "LL", "RL", "LAO", "RAO", "LPO", "RPO", "LATERAL")
_HEADER_TAGS = ["PatientID", "ViewPosition"]


@dataclass(frozen=True, slots=True)
class DicomHeader:
    """Tags of a file that are kept.

    Attributes:
        patient: A hash of the patient's id, the same in all files of that patient; empty where
            there is no id.
        view: PA, AP, LL, ...; empty where the file has no such view.
    """

    patient: str = ""
    view: str = ""


@dataclass(frozen=True, slots=True)
class DicomImage:
    """A decoded file.

    Attributes:
        pixels: uint8 (H, W) grey, or (H, W, 3) RGB.
        flags: Oddities of the file, for the audit.
        profile: ICC profile of the colours; empty where there is none.
    """

    pixels: NDArray[np.uint8]
    flags: tuple[str, ...]
    profile: bytes = b""


def is_dicom(data: bytes) -> bool:
    """Return whether the content of a file is DICOM, with the preamble of part 10 or without."""
    return data[MAGIC_PLACE : MAGIC_PLACE + len(MAGIC)] == MAGIC or _begins_with_tag(data)


def _begins_with_tag(data: bytes) -> bool:
    """Return whether data begin with an element of group 2 or 8, as DICOM without preamble does."""
    for order in ("little", "big"):
        group, element = (int.from_bytes(data[at : at + 2], order) for at in (0, 2))
        if len(data) < _ELEMENT_BYTES or group not in (2, 8) or element > _LAST_FIRST_ELEMENT:
            continue
        explicit = data[4:6] in _FIRST_VRS
        if explicit or 0 < int.from_bytes(data[4:8], order) <= _LONGEST_FIRST_VALUE:
            return True
    return False


def require_dicom() -> Any:
    """Import pydicom, quietly: its messages quote tags.

    Raises:
        EnvironmentFault: The extra is not installed.
    """
    try:
        import pydicom
    except ImportError:
        raise EnvironmentFault(
            "DICOM files need the extra [dicom], which is not installed: "
            "pip install 'balancer[dicom]'."
        ) from None
    pydicom.config.settings.reading_validation_mode = pydicom.config.IGNORE
    logging.getLogger("pydicom").setLevel(logging.CRITICAL + 1)
    return pydicom


def decode_dicom(data: bytes, max_megapixels: float | None) -> DicomImage:
    """Decode the image of a DICOM file.

    Rescale (or the modality LUT) comes first, then the first window or VOI LUT. Where there is
    none, 8-bit samples stay as they are, and deeper ones are spread between their percentiles 0.1
    and 99.9, padding aside, because devices fill different parts of 16 bits and a dead pixel or a
    marker must not decide the scale. MONOCHROME1, where large values are black, is inverted last,
    and only then. Padding is black.

    Args:
        data: The whole file.
        max_megapixels: Larger images are refused before they are decoded; None: none is.

    Raises:
        ValueError: It holds no single radiograph that can be decoded; the message quotes no tag.
        EnvironmentFault: The extra is not installed.
    """
    pydicom = require_dicom()
    with memory.one_image():
        dataset = _quietly(
            lambda: pydicom.dcmread(io.BytesIO(data), force=True), "its tags cannot be read"
        )
        return _decoded(data, dataset, max_megapixels)


def read_headers(paths: Sequence[Path]) -> list[DicomHeader]:
    """Read the patients and views of files, in their order, without their pixels.

    A file that cannot be read has an empty header; decoding it raises the error.

    Raises:
        EnvironmentFault: The extra is not installed.
    """
    pydicom = require_dicom()

    def read(path: Path) -> DicomHeader:
        try:
            dataset = _quietly(
                lambda: pydicom.dcmread(
                    path, stop_before_pixels=True, specific_tags=_HEADER_TAGS, force=True
                ),
                "its tags cannot be read",
            )
        except ValueError:
            return DicomHeader()
        view = str(dataset.get("ViewPosition") or "").strip().upper()
        return DicomHeader(_hashed(dataset.get("PatientID")), view if view in _VIEWS else "")

    return map_threaded(read, paths, task=f"Reading the tags of {len(paths)} files")


def _decoded(data: bytes, dataset: "Dataset", max_megapixels: float | None) -> DicomImage:
    _refuse_other_images(dataset, max_megapixels)
    each = _GREY_BYTES if int(dataset.get("SamplesPerPixel") or 1) == 1 else _COLOUR_BYTES
    needed = int(dataset.Columns) * int(dataset.Rows) * each + 2 * len(data)
    memory.require(needed, refuse=max_megapixels is not None)
    _note_syntax(dataset)
    _require_decoder(dataset)
    array = _quietly(lambda: dataset.pixel_array, _why_not_decoded(dataset))
    if _has_palette(dataset):
        pixels = _quietly(lambda: _of_palette(array, dataset), "its palette cannot be applied")
    elif array.ndim == 3:
        pixels = _eight_bits(array)
    else:
        pixels = _quietly(lambda: _grey(array, dataset), "its window cannot be applied")
    whole = data[MAGIC_PLACE : MAGIC_PLACE + len(MAGIC)] == MAGIC
    flags = _flags(dataset) if whole else (*_flags(dataset), NO_PREAMBLE)
    return DicomImage(pixels, flags, bytes(dataset.get("ICCProfile") or b""))


def _grey(array: NDArray[Any], dataset: "Dataset") -> NDArray[np.uint8]:
    from pydicom.pixels.processing import apply_modality_lut

    values = np.asarray(apply_modality_lut(array, dataset), np.float64)
    padding = _padding(array, dataset)
    if dataset.get("VOILUTSequence"):
        share = _looked_up(values, dataset)
    elif dataset.get("WindowCenter") not in (None, "") and dataset.get("WindowWidth"):
        function = str(dataset.get("VOILUTFunction") or "LINEAR").strip().upper()
        share = window(values, _first(dataset.WindowCenter), _first(dataset.WindowWidth), function)
    elif array.dtype == np.uint8 and np.array_equal(values, array):
        share = np.clip(values / (2 ** min(int(dataset.get("BitsStored") or 8), 8) - 1), 0, 1)
    else:
        share = spread(values, values[~padding] if padding.any() else values)
    if dataset.PhotometricInterpretation == "MONOCHROME1":
        share = 1 - share
    share[padding] = 0
    return np.round(share * 255).astype(np.uint8)


def _looked_up(values: Values, dataset: "Dataset") -> Values:
    """Apply the first VOI LUT, PS3.3 C.11.2.1.1: the end values hold beyond its ends."""
    item = dataset.VOILUTSequence[0]
    count, first, bits = (int(number) for number in item.LUTDescriptor)
    count = count or 2**16
    if first >= 2**15 and values.min() < 0:
        first -= 2**16  # a negative number, written where only positive ones fit
    table = item.LUTData
    if isinstance(table, bytes):
        wide = len(table) >= 2 * count
        order = "<" if dataset.original_encoding[1] is not False else ">"
        table = np.frombuffer(table, f"{order}u2" if wide else np.uint8)
    share: Values = np.asarray(table, np.float64)[:count] / (2**bits - 1)
    places = np.clip(np.round(values) - first, 0, len(share) - 1).astype(np.intp)
    return np.clip(share[places], 0, 1)


def _padding(array: NDArray[Any], dataset: "Dataset") -> NDArray[np.bool_]:
    """Return where an image is padding, PS3.3 C.7.5.1.1.2: a value, or a range of values."""
    padding = dataset.get("PixelPaddingValue")
    if padding is None:
        return np.zeros(array.shape, np.bool_)
    limit = dataset.get("PixelPaddingRangeLimit")
    ends = sorted((int(padding), int(padding if limit is None else limit)))
    return np.asarray((array >= ends[0]) & (array <= ends[1]), np.bool_)


def _first(value: Any) -> float:
    return float(value[0] if hasattr(value, "__len__") and not isinstance(value, str) else value)


def _refuse_other_images(dataset: "Dataset", max_megapixels: float | None) -> None:
    if "PixelData" not in dataset:
        raise ValueError("it is a DICOM file without an image")
    # Files are hostile until proven otherwise: numbers may be text.
    width, height, frames = _quietly(
        lambda: (
            int(dataset.Columns),
            int(dataset.Rows),
            int(dataset.get("NumberOfFrames") or 1),
        ),
        "its size cannot be read",
    )
    if frames != 1:
        raise ValueError(f"it is a DICOM file of {frames} frames, not of one radiograph")
    if max_megapixels is not None and width * height > max_megapixels * 1e6:
        raise ValueError(
            f"it has {width} x {height} pixels, over the limit of {max_megapixels:g} megapixels "
            "(data.max_megapixels)"
        )


def _note_syntax(dataset: "Dataset") -> None:
    """Fill in the transfer syntax of a file without the header that names it.

    Raises:
        ValueError: The pixels are compressed, so that it cannot be known.
    """
    from pydicom.dataset import FileMetaDataset
    from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

    if getattr(dataset, "file_meta", None) is None:
        dataset.file_meta = FileMetaDataset()
    if "TransferSyntaxUID" in dataset.file_meta:
        return
    if bytes(dataset.PixelData[:4]) == _ITEM_START:
        raise ValueError(
            "it is a DICOM file without the header that names its compression: write it again as "
            "a file of part 10 of the standard, for example by `dcmconv`"
        )
    implicit, little = dataset.original_encoding
    plain = ImplicitVRLittleEndian if implicit else ExplicitVRLittleEndian
    dataset.file_meta.TransferSyntaxUID = plain if little is not False else ExplicitVRBigEndian


def _why_not_decoded(dataset: "Dataset") -> str:
    """Return the reason to give if the pixels cannot be decoded."""
    if dataset.file_meta.TransferSyntaxUID == _JPEG_12 and int(dataset.get("BitsStored") or 0) > 8:
        return (
            "it is a JPEG of 12 bits, which has no decoder here: write it uncompressed, for "
            "example by `gdcmconv --raw` or `dcmdjpeg`"
        )
    return "its pixels cannot be decoded"


def _require_decoder(dataset: "Dataset") -> None:
    from pydicom.pixels.decoders.base import get_decoder
    from pydicom.uid import UID

    syntax = UID(str(getattr(dataset.file_meta, "TransferSyntaxUID", "")))
    if syntax.name == str(syntax):  # of no dictionary, so it would be quoted
        raise ValueError("it is a DICOM file of an unknown transfer syntax")
    try:
        available = get_decoder(syntax).is_available
    except NotImplementedError:
        available = False
    if not available:
        raise ValueError(
            f"its DICOM compression ({syntax.name}) has no decoder here: write it uncompressed, "
            "for example by `gdcmconv --raw`"
        )


def _has_palette(dataset: "Dataset") -> bool:
    return str(dataset.get("PhotometricInterpretation", "")).startswith("PALETTE")


def _of_palette(array: NDArray[Any], dataset: "Dataset") -> NDArray[np.uint8]:
    """Look up the colours of a palette of 8 or 16 bits, PS3.3 C.7.6.3.1.5."""
    from pydicom.pixels.processing import apply_color_lut

    colours = apply_color_lut(array, dataset)[..., :3]
    if colours.dtype == np.uint8:
        return np.asarray(colours, np.uint8)
    return np.round(colours / np.iinfo(np.uint16).max * np.iinfo(np.uint8).max).astype(np.uint8)


def _eight_bits(array: NDArray[Any]) -> NDArray[np.uint8]:
    if array.dtype != np.uint8 or array.shape[2] != 3:
        raise ValueError("it is a DICOM file of colours that are not 8 bits each")
    return np.asarray(array, np.uint8)


def _flags(dataset: "Dataset") -> tuple[str, ...]:
    said = str(dataset.get("BurnedInAnnotation") or "").strip().upper()
    return {"NO": (), "YES": (BURNED_IN,)}.get(said, (MAYBE_BURNED_IN,))


def _hashed(patient: object) -> str:
    text = patient_text(str(patient or ""))
    text = "" if text == "0" else text
    return hashlib.sha256(f"balancer patient:{text}".encode()).hexdigest()[:16] if text else ""


def _quietly(read: Callable[[], Any], reason: str) -> Any:
    """Call pydicom; its errors and warnings quote tags, so only their kind is passed on."""
    try:
        return read()
    except MemoryError:
        raise
    except Exception as error:  # any, on hostile bytes
        raise ValueError(f"{reason} ({type(error).__name__})") from None
