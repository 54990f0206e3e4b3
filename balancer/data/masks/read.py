"""Lung masks that somebody drew, matched to the images of an index."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import cv2
import numpy as np
from numpy.typing import NDArray

from balancer.data.index import Index
from balancer.data.io import UnusableImageError, read_radiograph
from balancer.data.roots import Roots
from balancer.data.scan import IMAGE_SUFFIXES
from balancer.data.threads import map_threaded
from balancer.errors import DataError
from balancer.manifest import ImageRecord

_IMAGES, _MASKS = "images", "masks"


@dataclass(frozen=True, slots=True)
class Masks:
    """Lung masks, in the order of the records they were asked for.

    Attributes:
        lungs: bool (N, S, S), true in the lungs; all false where there is no mask.
        present: bool (N,), images with a mask.
        n_missing: Images without a file.
        n_empty: Images whose mask is all black or all white, and says nothing.
    """

    lungs: NDArray[np.bool_]
    present: NDArray[np.bool_]
    n_missing: int
    n_empty: int


def masks_of_index(
    index: Index, folder: Path | None, records: Sequence[ImageRecord], size: int
) -> Masks | None:
    """Masks as they lie in the images of an index: drawn ones, or those of its archive.

    Args:
        index: The index; what its preprocessing does to places is done to masks too.
        folder: Of masks, as for `load_masks`; None: those that came with the images.
        records: Of the images.
        size: Side in pixels.

    Returns:
        None where there is no folder and the archive has none of these images.

    Raises:
        DataError: As of `load_masks`.
        IntegrityError: `details.csv` was changed, or as of `LungMasks.read`.
    """
    if folder is not None:
        return load_masks(folder, index.roots, records, size, index)
    known = {one.image_id: one.mask for one in index.details() if one.mask}
    names = [known.get(record.image_id) for record in records]
    files = [None if name is None else index.roots.locate(name) for name in names]
    if not any(file is not None for file in files):
        return None
    return _load(files, records, size, index)


def load_masks(
    folder: Path,
    roots: Roots,
    records: Sequence[ImageRecord],
    size: int,
    index: Index | None = None,
) -> Masks:
    """Find and read the masks of images.

    A mask has the relative path of its image with any image suffix, or stands in `masks/` where the
    image stands in `images/`, as in the COVID-19 Radiography Database, whose own folder may be
    given. It is white in the lungs and may be of another resolution than the image.

    Args:
        folder: Of the masks.
        roots: Where the files of the records lie.
        records: Of the images.
        size: Side in pixels; masks are stretched to it as images are, by nearest neighbour.
        index: What its preprocessing does to places is done to masks too; None: nothing.

    Raises:
        DataError: No image has a mask there, or a mask cannot be read.
    """
    files = [find_mask(folder, roots, record.path) for record in records]
    masks = _load(files, records, size, index)
    if not masks.present.any():
        wanted = PurePosixPath(records[0].path).with_suffix("") if records else "Class/1"
        raise DataError(
            f"{str(folder)!r} should hold lung masks under the relative paths of the images, such "
            f"as {str(wanted) + '.png'!r}, but has one for none of {len(records)}; give the folder "
            "above the class folders of the masks."
        )
    return masks


def _load(
    files: Sequence[Path | None], records: Sequence[ImageRecord], size: int, index: Index | None
) -> Masks:
    lungs = np.zeros((len(records), size, size), np.bool_)

    def fill(row: int) -> None:
        file = files[row]
        if file is not None:
            lungs[row] = _stretched(_placed(read_mask(file), records[row], index), size)

    map_threaded(fill, range(len(records)), task=f"Reading masks at {size} px")
    inside = lungs.reshape(len(records), -1).mean(axis=1)
    present = (inside > 0) & (inside < 1)
    lungs[~present] = False
    missing = sum(file is None for file in files)
    return Masks(lungs, present, missing, len(records) - missing - int(present.sum()))


def _placed(mask: NDArray[np.bool_], record: ImageRecord, index: Index | None) -> NDArray[np.bool_]:
    """The mask where the preprocessing of the index puts it."""
    if index is None or not index.preprocessor.moves:
        return mask
    film = read_radiograph(index.roots.locate(record.path))
    lungs = None if index.masks is None else index.masks.read(record.image_id)
    return index.preprocessor.region(film, lungs, mask)


def find_mask(folder: Path, roots: Roots, path: str) -> Path | None:
    """The file in a folder of masks that belongs to an image; see `load_masks` for the names.

    Args:
        folder: Of the masks.
        roots: Where the image lies.
        path: Of the image, as in the index.
    """
    image = roots.locate(path)
    for candidate in _candidates(folder, PurePosixPath(path)):
        # An image is no mask of itself, where the data folder is that of the masks too.
        if candidate.is_file() and not (image.exists() and candidate.samefile(image)):
            return candidate
    return None


def _candidates(folder: Path, path: PurePosixPath) -> Iterator[Path]:
    places = [path]
    if path.parent.name.lower() == _IMAGES:
        places.insert(0, path.parent.parent / _MASKS / path.name)
    for place in places:
        for suffix in dict.fromkeys((path.suffix, *IMAGE_SUFFIXES)):
            yield folder / place.with_suffix(suffix)


def read_mask(path: Path) -> NDArray[np.bool_]:
    """A mask as it is drawn: bool (h, w), true in the lungs.

    Raises:
        DataError: The file is no readable image.
    """
    try:
        grey = read_radiograph(path)
    except UnusableImageError as error:
        raise DataError(
            f"{str(path)!r} should be a readable PNG or JPEG mask, but {error.reason}; mend or "
            "remove it."
        ) from None
    # Half of its own maximum: masks are written as 0 and 1 or 0 and 255, and JPEG blurs both.
    return np.asarray(grey > grey.max() / 2, np.bool_)


def _stretched(lungs: NDArray[np.bool_], size: int) -> NDArray[np.bool_]:
    resized = cv2.resize(
        lungs.astype(np.uint8), (size, size), interpolation=cv2.INTER_NEAREST_EXACT
    )
    return np.asarray(resized, np.bool_)
