"""The lung masks that an index was prepared with: their files, and a check that none changed."""

import csv
import hashlib
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from balancer.data.io import UnusableImageError, read_bytes
from balancer.data.masks.decode import decode_mask, is_plausible, mask_hash
from balancer.data.masks.find import MaskFinder
from balancer.data.roots import Roots
from balancer.data.threads import map_threaded
from balancer.errors import ConfigurationError, DataError, IntegrityError
from balancer.imaging.config import PreprocessingConfig
from balancer.imaging.pixels import Mask
from balancer.manifest import ImageRecord
from balancer.workspace import Workspace

MASKS_NAME = "masks.csv"
ARCHIVE, CLASSICAL, UNET = "archive", "classical", "unet"
LUNGS_TABLE = "lungs.csv"
"""`balancer lungs apply` writes it beside its folder of masks."""
_COLUMNS = ("image_id", "method", "mask", "sha256")


@dataclass(frozen=True, slots=True)
class MaskFile:
    """Source of the lung mask of one image.

    Attributes:
        method: `archive` or `unet`; `classical` where there is no file, and the lungs are found
            when the image is read.
        mask: Relative path of the file, in the archive or in the folder of the U-Net's masks.
        sha256: SHA-256 of the bytes of the file.
    """

    method: str
    mask: str = ""
    sha256: str = ""


@dataclass(frozen=True, slots=True)
class LungMasks:
    """The lung masks that the preprocessing of an index uses.

    Attributes:
        files: Image id to mask.
        roots: Archives of the images and of their masks.
        unet_folder: Folder of the U-Net's masks; None: there is none.
    """

    files: Mapping[str, MaskFile]
    roots: Roots
    unet_folder: Path | None = None
    fingerprint: str = field(init=False)
    """SHA-256 of methods and bytes; it does not depend on paths."""

    def __post_init__(self) -> None:
        lines = [f"{key}\0{file.method}\0{file.sha256}" for key, file in self.files.items()]
        digest = hashlib.sha256("\n".join(sorted(lines)).encode()).hexdigest()
        object.__setattr__(self, "fingerprint", digest)

    def read(self, image_id: str) -> Mask | None:
        """Return the mask of an image, bool (h, w); None where it has no file.

        The mask is empty where that of the file covers too little or too much of the film.

        Raises:
            IntegrityError: The file is not the one that was prepared.
            DataError: The file is unchanged, and is no readable image.
        """
        mask = self._read(image_id)
        return mask if mask is None or is_plausible(mask) else np.zeros_like(mask)

    def implausible(self, image_ids: Sequence[str]) -> list[str]:
        """Return the images whose mask has a file that `read` returns as empty."""
        held = [image_id for image_id in image_ids if self.files[image_id].method != CLASSICAL]
        masks = map_threaded(self.read, held, task=f"Checking {len(held)} lung masks")
        return [one for one, mask in zip(held, masks, strict=True) if not np.any(mask)]

    def counts(self) -> dict[str, int]:
        """Return method to number of images, sorted by method."""
        methods = [file.method for file in self.files.values()]
        return {method: methods.count(method) for method in sorted(set(methods))}

    def _read(self, image_id: str) -> Mask | None:
        file = self.files[image_id]
        if file.method == CLASSICAL:
            return None
        path = self.locate(file)
        try:
            data = read_bytes(path)
        except UnusableImageError as error:
            found = error.reason
        else:
            if hashlib.sha256(data).hexdigest() == file.sha256:
                return decode_mask(data, path)
            found = "its bytes have changed"
        raise IntegrityError(
            f"{str(path)!r} should be the lung mask that was prepared, but {found}; restore it, or "
            "run prepare again with --force."
        )

    def locate(self, file: MaskFile) -> Path:
        """Return the path to the file of a mask.

        Raises:
            IntegrityError: It is one of the U-Net's, and there is no folder of them.
        """
        if file.method == ARCHIVE:
            return self.roots.locate(file.mask)
        if self.unet_folder is None:
            raise IntegrityError(
                f"The mask {file.mask!r} should be in lungs/masks/ of the workspace, but there is "
                "no such folder; run `balancer lungs apply`."
            )
        return self.unet_folder / file.mask


def choose_masks(
    paths: Sequence[str],
    config: PreprocessingConfig,
    roots: Roots,
    archive: Mapping[str, str],
    workspace: Path,
) -> dict[str, MaskFile]:
    """Choose the source of the lungs of every image, and hash the files of masks.

    Args:
        paths: Paths of the images.
        config: `lungs` and `masks` are used.
        roots: Archives of the images and of their masks.
        archive: Path of an image to path of its mask in the archive, where it has one.
        workspace: Folder of the workspace; its `lungs/masks/` is read if `masks` is `unet`.

    Returns:
        Path of an image to its mask; empty where `lungs` is `none`.

    Raises:
        ConfigurationError: `masks` is `unet`, and another method made the masks of the workspace.
        DataError: A mask file cannot be read.
    """
    if config.lungs == "none":
        return {}
    own = Workspace(workspace)
    masks = LungMasks({}, roots, own.lung_masks_dir)
    method, names = ARCHIVE, archive
    if config.masks == CLASSICAL:
        names = {}
    elif config.masks == UNET:
        _refuse_other_methods(own.lungs_dir / LUNGS_TABLE)
        finder = MaskFinder(own.lung_masks_dir, of_archive=False)
        found = {path: finder.find(path) for path in paths}
        method, names = UNET, {path: name for path, name in found.items() if name is not None}
    chosen = {}
    for path in paths:
        chosen[path] = MaskFile(CLASSICAL)
        if (name := names.get(path)) is not None:
            file = masks.locate(MaskFile(method, name))
            if file.is_file():
                chosen[path] = MaskFile(method, name, mask_hash(file))
    return chosen


def _refuse_other_methods(table: Path) -> None:
    """Refuse masks that `balancer lungs apply` made without a U-Net, as its table shows."""
    if not table.is_file():
        return  # masks that were put there by hand
    with table.open(encoding="utf-8", errors="replace", newline="") as file:
        methods = [row.get("method") for row in csv.DictReader(file)]
    others = sorted({str(method) for method in methods if method != UNET})
    if others:
        number = sum(method != UNET for method in methods)
        raise ConfigurationError(
            f"preprocessing.masks=unet needs masks by a U-Net, but {table} lists {number} of "
            f"{len(methods)} as {', '.join(others)}; train one with `balancer lungs train` and "
            "run `balancer lungs apply` again."
        )


def masks_by_path(
    chosen: Mapping[str, MaskFile], config: PreprocessingConfig, roots: Roots, workspace: Path
) -> LungMasks | None:
    """Return the masks of all files of a scan, by path: they have no image id yet.

    Returns:
        None where `lungs` is `none`.
    """
    if config.lungs == "none":
        return None
    return LungMasks(chosen, roots, Workspace(workspace).lung_masks_dir)


def masks_of(
    records: Sequence[ImageRecord],
    chosen: Mapping[str, MaskFile],
    config: PreprocessingConfig,
    roots: Roots,
    workspace: Path,
) -> LungMasks | None:
    """Return the masks of the images of an index.

    Args:
        records: The images.
        chosen: Result of `choose_masks` for at least these.
        config: As for `choose_masks`.
        roots: As for `choose_masks`.
        workspace: As for `choose_masks`.

    Returns:
        None where `lungs` is `none`.

    Raises:
        DataError: An image has no mask of the kind that `masks` names.
    """
    if config.lungs == "none":
        return None
    files = {record.image_id: chosen[record.path] for record in records}
    lacking = [r.path for r in records if files[r.image_id].method == CLASSICAL]
    folder = Workspace(workspace).lung_masks_dir
    if lacking and config.masks in (ARCHIVE, UNET):
        wanted = "a lung mask in its archive" if config.masks == ARCHIVE else f"one in {folder}"
        remedy = "add them" if config.masks == ARCHIVE else "run `balancer lungs apply`"
        raise DataError(
            f"preprocessing.masks={config.masks} needs {wanted} for every image, but "
            f"{len(lacking)} of {len(records)} have none, first {lacking[0]!r}; {remedy}, or set "
            "preprocessing.masks=auto."
        )
    return LungMasks(files, roots, folder)


def masks_bytes(masks: LungMasks, records: Sequence[ImageRecord]) -> bytes:
    """Return the table `masks.csv`, rows in the order of the records."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_COLUMNS)
    for record in records:
        file = masks.files[record.image_id]
        writer.writerow([record.image_id, file.method, file.mask, file.sha256])
    return text.getvalue().encode()


def read_masks(index_dir: Path, roots: Roots) -> LungMasks:
    """Read the table that `masks_bytes` made.

    Args:
        index_dir: Folder of the index of a workspace, or of a fold of an ablation in one.
        roots: Archives of the images and of their masks.

    Raises:
        IntegrityError: The table is missing or was changed.
    """
    path = index_dir / MASKS_NAME
    try:
        with path.open(encoding="utf-8", newline="") as file:
            header, *rows = list(csv.reader(file))
        if tuple(header) != _COLUMNS:
            raise ValueError(f"its columns are {', '.join(header)}")
        files = {row[0]: MaskFile(*row[1:]) for row in rows}
    except (OSError, ValueError, TypeError, IndexError) as error:
        raise IntegrityError(
            f"{path} should name the lung masks of the images, but: {error}; run prepare again "
            "with --force."
        ) from None
    folder = Workspace(index_dir.resolve().parent).main.lung_masks_dir
    return LungMasks(files, roots, folder if folder.is_dir() else None)
