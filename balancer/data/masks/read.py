"""Annotated lung masks of the images of an index: their files, and their pixels at one size."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from balancer.data.index import Index
from balancer.data.io import read_radiograph
from balancer.data.masks.decode import read_mask
from balancer.data.masks.find import masks_in_folder, no_masks
from balancer.data.memory import one_image
from balancer.data.roots import Roots
from balancer.data.threads import map_threaded
from balancer.imaging.pixels import Mask, fit_mask
from balancer.manifest import ImageRecord


@dataclass(frozen=True, slots=True)
class MaskStack:
    """Lung masks of one size, in the order of the records they were asked for.

    Attributes:
        lungs: bool (N, S, S), true in the lungs; all false where there is no mask.
        present: bool (N,), images with a mask.
        n_missing: Number of images without a file.
        n_empty: Number of images whose mask is all black or all white, and is not used.
    """

    lungs: NDArray[np.bool_]
    present: NDArray[np.bool_]
    n_missing: int
    n_empty: int


def mask_files(index: Index, folder: Path | None) -> dict[str, Path]:
    """Return image id to file, for the images of an index with an annotated lung mask.

    Args:
        index: The images and, without a folder, the masks of their archives.
        folder: Folder of masks, as for `load_masks`; None: those of the archives.

    Raises:
        DataError: No image has a mask in the folder.
        IntegrityError: `details.csv` was changed.
    """
    if folder is not None:
        return masks_in_folder(folder, index.roots, index.records)
    return {one.image_id: index.roots.locate(one.mask) for one in index.details() if one.mask}


def masks_of_index(
    index: Index, folder: Path | None, records: Sequence[ImageRecord], size: int
) -> MaskStack | None:
    """Read annotated masks as they appear in the images of an index.

    Args:
        index: The index; its preprocessing moves masks as it moves images.
        folder: Folder of masks, as for `load_masks`; None: the masks of the archives.
        records: The images.
        size: Side in pixels.

    Returns:
        None where there is no folder and the archives have masks of none of these images.

    Raises:
        DataError: See `load_masks`.
        IntegrityError: `details.csv` was changed, or see `LungMasks.read`.
    """
    if folder is not None:
        return load_masks(folder, index.roots, records, size, index)
    files = mask_files(index, None)
    if not any(record.image_id in files for record in records):
        return None
    return _stack(files, records, size, index)


def load_masks(
    folder: Path,
    roots: Roots,
    records: Sequence[ImageRecord],
    size: int,
    index: Index | None = None,
) -> MaskStack:
    """Find and read the masks of images in a folder of masks.

    A mask has the relative path of its image with any image suffix, or is in `masks/` where the
    image is in `images/`, as in the COVID-19 Radiography Database, whose own folder can be given.
    It is white in the lungs and can have another resolution than the image.

    Args:
        folder: Folder of masks.
        roots: Archives of the images.
        records: The images.
        size: Side in pixels; masks are stretched to it as images are, by nearest neighbour.
        index: Its preprocessing moves masks as it moves images; None: masks are not moved.

    Raises:
        DataError: No image has a mask there, or a mask cannot be read.
    """
    masks = _stack(masks_in_folder(folder, roots, records), records, size, index)
    if not masks.present.any():
        raise no_masks(folder, records)
    return masks


def _stack(
    files: Mapping[str, Path], records: Sequence[ImageRecord], size: int, index: Index | None
) -> MaskStack:
    lungs = np.zeros((len(records), size, size), np.bool_)

    def fill(row: int) -> None:
        file = files.get(records[row].image_id)
        if file is not None:
            with one_image():
                mask = _moved(read_mask(file), records[row], index)
                lungs[row] = fit_mask(mask, (size, size))

    map_threaded(fill, range(len(records)), task=f"Reading masks at {size} px")
    inside = lungs.reshape(len(records), -1).mean(axis=1)
    present = (inside > 0) & (inside < 1)
    lungs[~present] = False
    missing = sum(record.image_id not in files for record in records)
    return MaskStack(lungs, present, missing, len(records) - missing - int(present.sum()))


def _moved(mask: Mask, record: ImageRecord, index: Index | None) -> Mask:
    """Apply the geometry of the preprocessing of the index to a mask."""
    if index is None or not index.preprocessor.moves:
        return mask
    film = read_radiograph(index.roots.locate(record.path))
    lungs = None if index.masks is None else index.masks.read(record.image_id)
    return index.preprocessor.region(film, lungs, mask)
