"""Lung masks that lie beside the images of class folders."""

import logging
from pathlib import Path, PurePosixPath

from balancer.data.scan import (
    IMAGE_SUFFIXES,
    MASKS_FOLDER,
    Scan,
    entries,
    entry_kind,
    is_storable,
    member,
)

log = logging.getLogger(__name__)


def find_masks(root: Path, scan: Scan) -> dict[str, str]:
    """Image path to mask path, for the images that have one.

    The mask of `CLASS/images/1.png` is `CLASS/masks/1.png`; that of `CLASS/1.png` is
    `CLASS/masks/1.png` or `masks/CLASS/1.png`; any image suffix will do.
    """
    known: dict[PurePosixPath, dict[str, str]] = {}
    found = {}
    for image in scan.images:
        path = PurePosixPath(image.path)
        folder = path.parent.parent if path.parent.name.lower() == "images" else path.parent
        for place in (folder / MASKS_FOLDER, PurePosixPath(MASKS_FOLDER) / folder):
            if place not in known:
                known[place] = _masks_in(root, place)
            mask = known[place].get(path.stem.casefold())
            if mask is not None:
                found[image.path] = mask
                break
    if found and len(found) < len(scan.images):
        log.warning(
            "%d of %d images have no lung mask beside those of the others.",
            len(scan.images) - len(found),
            len(scan.images),
        )
    return found


def _masks_in(root: Path, place: PurePosixPath) -> dict[str, str]:
    """Stem to path of the images in a folder, where there is one."""
    folder = root
    for part in place.parts:
        folder = member(folder, part)
    if not folder.is_dir():
        return {}
    names = [one.name for one in entries(folder) if entry_kind(one, root) == "file"]
    return {
        PurePosixPath(name).stem.casefold(): (folder / name).relative_to(root).as_posix()
        for name in reversed(names)
        if name.lower().endswith(IMAGE_SUFFIXES) and is_storable(name)
    }
