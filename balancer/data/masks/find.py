"""Find the lung mask of an image by its name: in its archive, or in a folder of masks."""

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

from balancer.data.class_places import MASKS_FOLDER
from balancer.data.entries import entries, entry_kind, is_storable, member
from balancer.data.formats import IMAGE_SUFFIXES
from balancer.data.roots import Roots
from balancer.data.scan import Scan
from balancer.errors import DataError
from balancer.manifest import ImageRecord

log = logging.getLogger(__name__)

_IMAGES_FOLDER = "images"


class MaskFinder:
    """The lung masks below one folder, by the names of their images.

    In an archive, the mask of `CLASS/images/1.png` is `CLASS/masks/1.png`, and that of
    `CLASS/1.png` is `CLASS/masks/1.png` or `masks/CLASS/1.png`.

    A folder of masks mirrors the relative paths of the images: the mask of `CLASS/1.jpg` is
    `CLASS/1.png`, or `CLASS/1.jpg.png` as `balancer lungs apply` writes it where two images would
    share a mask; that of `CLASS/images/1.png` can also be `CLASS/masks/1.png`.

    A mask has any suffix of an image; where there are several, that of the image comes first.
    A name in another case counts where none is exact. Each folder is listed once.

    Args:
        root: Folder that the relative paths start from; it may be absent.
        of_archive: Whether `root` is an archive, whose images are no masks and whose links must
            not leave it.
    """

    def __init__(self, root: Path, *, of_archive: bool) -> None:
        self._root, self._of_archive = root, of_archive
        self._listed: dict[PurePosixPath, dict[str, list[str]]] = {}

    def find(self, image: str, image_file: Path | None = None) -> str | None:
        """Return the relative path of the mask of an image; None where there is none.

        Args:
            image: Relative path of the image.
            image_file: The image itself, which is no mask of its own.
        """
        suffixes = [*dict.fromkeys((PurePosixPath(image).suffix.lower(), *IMAGE_SUFFIXES))]
        for folder, stem in self._places(PurePosixPath(image)):
            ranks = {}
            for name in self._masks_in(folder).get(stem.casefold(), ()):
                path = PurePosixPath(name)
                suffix = path.suffix.lower()
                if suffix in suffixes and not self._is_image(name, image_file):
                    ranks[name] = (path.stem != stem, suffixes.index(suffix), name)
            if ranks:
                return min(ranks, key=ranks.__getitem__)
        return None

    def _places(self, image: PurePosixPath) -> Iterator[tuple[PurePosixPath, str]]:
        """Folder and stem of each name that a mask can have, the best first."""
        in_images = image.parent.name.lower() == _IMAGES_FOLDER
        folder = image.parent.parent if in_images else image.parent
        if self._of_archive:
            yield folder / MASKS_FOLDER, image.stem
            yield PurePosixPath(MASKS_FOLDER) / folder, image.stem
            return
        yield image.parent, image.name
        if in_images:
            yield folder / MASKS_FOLDER, image.stem
        yield image.parent, image.stem

    def _masks_in(self, folder: PurePosixPath) -> dict[str, list[str]]:
        """Stem in lower case to the relative paths of the files of that name."""
        if folder not in self._listed:
            listed: dict[str, list[str]] = {}
            self._listed[folder] = listed
            directory = self._root
            for part in folder.parts:
                directory = member(directory, part)
            for entry in entries(directory) if directory.is_dir() else ():
                is_file = (
                    entry_kind(entry, self._root) == "file" if self._of_archive else entry.is_file()
                )
                if is_file and is_storable(entry.name):
                    path = (directory / entry.name).relative_to(self._root)
                    listed.setdefault(path.stem.casefold(), []).append(path.as_posix())
        return self._listed[folder]

    def _is_image(self, name: str, image_file: Path | None) -> bool:
        if image_file is None or not image_file.exists():
            return False
        return (self._root / name).samefile(image_file)


def masks_of_archive(root: Path, scan: Scan) -> dict[str, str]:
    """Return path of an image to path of its mask, for the images of an archive that have one."""
    finder = MaskFinder(root, of_archive=True)
    masks = {image.path: finder.find(image.path) for image in scan.images}
    found = {image: mask for image, mask in masks.items() if mask is not None}
    if found and len(found) < len(scan.images):
        log.warning(
            "%d of %d images have no lung mask beside those of the others.",
            len(scan.images) - len(found),
            len(scan.images),
        )
    return found


def masks_in_folder(folder: Path, roots: Roots, records: Sequence[ImageRecord]) -> dict[str, Path]:
    """Return image id to file, for the images that have a mask in a folder of masks.

    Args:
        folder: Folder of masks; see `MaskFinder` for the names.
        roots: Archives of the images.
        records: The images.

    Raises:
        DataError: No image has a mask there.
    """
    finder = MaskFinder(folder, of_archive=False)
    found = {}
    for record in records:
        name = finder.find(record.path, roots.locate(record.path))
        if name is not None:
            found[record.image_id] = folder / name
    if not found:
        raise no_masks(folder, records)
    return found


def no_masks(folder: Path, records: Sequence[ImageRecord]) -> DataError:
    """Return the error for a folder that has a mask of none of the images."""
    path = PurePosixPath(records[0].path if records else "Class/1")
    return DataError(
        f"{str(folder)!r} should hold lung masks under the relative paths of the images, such as "
        f"{path.with_suffix('.png').as_posix()!r}, but has one for none of {len(records)}; give "
        "the folder above the class folders of the masks."
    )
