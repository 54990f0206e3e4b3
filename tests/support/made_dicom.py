"""DICOM files of drawn images, with chosen tags."""

import io
import warnings
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

COMPUTED_RADIOGRAPHY = "1.2.840.10008.5.1.4.1.1.1"


def dataset(pixels: NDArray[np.uint8] | NDArray[np.uint16], **tags: object) -> Dataset:
    """Make an image, uint8 or uint16 (H, W) or uint8 (H, W, 3), with tags by their keywords."""
    made = Dataset()
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made.file_meta.MediaStorageSOPClassUID = made.SOPClassUID = COMPUTED_RADIOGRAPHY
    made.file_meta.MediaStorageSOPInstanceUID = made.SOPInstanceUID = generate_uid(
        entropy_srcs=[pixels.tobytes().hex()[:64], repr(sorted(tags))]
    )
    made.Modality = "CR"
    made.Rows, made.Columns = pixels.shape[:2]
    made.SamplesPerPixel = 1 if pixels.ndim == 2 else 3
    made.PhotometricInterpretation = "MONOCHROME2" if pixels.ndim == 2 else "RGB"
    if pixels.ndim == 3:
        made.PlanarConfiguration = 0
    made.BitsAllocated = made.BitsStored = 8 * pixels.dtype.itemsize
    made.HighBit = made.BitsStored - 1
    made.PixelRepresentation = 0
    made.BurnedInAnnotation = "NO"
    made.PixelData = pixels.tobytes()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydicom warns of the values of some tests
        for name, value in tags.items():
            if value is None:
                del made[name]
            else:
                setattr(made, name, value)
    return made


def content(made: Dataset) -> bytes:
    """Return the bytes of a file."""
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def write(path: Path, pixels: NDArray[np.uint8] | NDArray[np.uint16], **tags: object) -> Path:
    """Write an image to a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content(dataset(pixels, **tags)))
    return path
