"""The lung masks that an index was prepared with: which file, and that it is still the same."""

import csv
import hashlib
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from balancer.data.io import UnusableImageError, decode_radiograph, read_bytes
from balancer.data.roots import Roots
from balancer.data.threads import map_threaded
from balancer.errors import ConfigurationError, DataError, IntegrityError
from balancer.imaging.config import PreprocessingConfig
from balancer.manifest import ImageRecord

MASKS_NAME = "masks.csv"
ARCHIVE, CLASSICAL, UNET = "archive", "classical", "unet"
_COLUMNS = ("image_id", "method", "mask", "sha256")
_UNET_MASKS = Path("lungs", "masks")
_TABLE_OF_LUNGS = "lungs.csv"
_OF_FILM = 0.01, 0.9
"""Less of a film, or more, is no field of lungs: a stray pixel, or a mask that was never drawn."""
_LEVELS_UP = 5
"""From the index of a fold of an ablation to the workspace that has the masks of the U-Net."""

Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class MaskFile:
    """Where the lungs of one image come from.

    Attributes:
        method: `archive`, `unet`, or `classical` for no file: they are found when it is read.
        mask: Relative path: of the archive's, as those of images; of the U-Net's, in its folder.
        sha256: Of the file's bytes.
    """

    method: str
    mask: str = ""
    sha256: str = ""


@dataclass(frozen=True, slots=True)
class LungMasks:
    """The masks of an index.

    Attributes:
        files: Image id to its mask.
        roots: Where the archive's lie.
        unet_folder: Where those of the U-Net lie; None: nowhere.
    """

    files: Mapping[str, MaskFile]
    roots: Roots
    unet_folder: Path | None = None
    fingerprint: str = field(init=False)
    """SHA-256 of methods and bytes, not of places."""

    def __post_init__(self) -> None:
        lines = [f"{key}\0{file.method}\0{file.sha256}" for key, file in self.files.items()]
        digest = hashlib.sha256("\n".join(sorted(lines)).encode()).hexdigest()
        object.__setattr__(self, "fingerprint", digest)

    def read(self, image_id: str) -> Mask | None:
        """The mask of an image, bool (h, w); None: it has no file.

        It is empty where the file's covers too little or too much of the film to be lungs.

        Raises:
            IntegrityError: The file is not the one that was prepared.
            DataError: It is, and is no readable image.
        """
        mask = self._read(image_id)
        return mask if mask is None or is_plausible(mask) else np.zeros_like(mask)

    def implausible(self, image_ids: Sequence[str]) -> list[str]:
        """Those of some images whose mask has a file that `read` gives as empty."""
        held = [image_id for image_id in image_ids if self.files[image_id].method != CLASSICAL]
        masks = map_threaded(self.read, held, task=f"Checking {len(held)} lung masks")
        return [one for one, mask in zip(held, masks, strict=True) if not np.any(mask)]

    def _read(self, image_id: str) -> Mask | None:
        file = self.files[image_id]
        if file.method == CLASSICAL:
            return None
        path = self._locate(file)
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

    def counts(self) -> dict[str, int]:
        """Images by method, sorted."""
        methods = [file.method for file in self.files.values()]
        return {method: methods.count(method) for method in sorted(set(methods))}

    def _locate(self, file: MaskFile) -> Path:
        if file.method == ARCHIVE:
            return self.roots.locate(file.mask)
        if self.unet_folder is None:
            raise IntegrityError(
                f"The mask {file.mask!r} should lie in {_UNET_MASKS} of the workspace, but there "
                "is none; run `balancer lungs apply`."
            )
        return self.unet_folder / file.mask


def decode_mask(data: bytes, path: Path) -> Mask:
    """Lungs of the bytes of a mask file, bool (h, w): brighter than half of its brightest pixel.

    Raises:
        DataError: It is no readable image.
    """
    try:
        grey = decode_radiograph(data, path, max_megapixels=None).pixels
    except UnusableImageError as error:
        raise _unreadable(path, error) from None
    # Half of its own maximum: masks are written as 0 and 1 or 0 and 255, and JPEG blurs both.
    return np.asarray(grey > grey.max() / 2, np.bool_)


def is_plausible(mask: Mask) -> bool:
    """Whether a mask, bool (h, w), covers as much of a film as lungs can."""
    least, most = _OF_FILM
    return bool(least <= mask.mean() <= most)


def choose_masks(
    paths: Sequence[str],
    config: PreprocessingConfig,
    roots: Roots,
    archive: Mapping[str, str],
    workspace: Path,
) -> dict[str, MaskFile]:
    """Choose the source of every image's lungs and read the bytes of mask files.

    Args:
        paths: Of the images.
        config: `lungs` and `masks`.
        roots: Where the archive's files lie.
        archive: Path of an image to that of the archive's mask; images without one are not named.
        workspace: Its `lungs/masks/` are read if `masks` is `unet`.

    Returns:
        Path of an image to its mask; empty where no view of the lungs is wanted.

    Raises:
        ConfigurationError: `masks` is `unet`, and those in the workspace are not by one.
        DataError: A mask file cannot be read.
    """
    if config.lungs == "none":
        return {}
    folder = workspace / _UNET_MASKS
    if config.masks == UNET:
        _refuse_other_methods(folder.parent / _TABLE_OF_LUNGS)
    chosen = {}
    for path in paths:
        names: Sequence[str] = ()
        method = CLASSICAL
        if config.masks in ("auto", "archive"):
            method, names = ARCHIVE, [archive[path]] if path in archive else ()
        elif config.masks == "unet":
            short = PurePosixPath(path).with_suffix(".png").as_posix()
            method, names = UNET, [f"{path}.png", short]
        chosen[path] = MaskFile(CLASSICAL)
        for name in names:
            place = roots.locate(name) if method == ARCHIVE else folder / name
            if place.is_file():
                chosen[path] = MaskFile(method, name, _digest(place))
                break
    return chosen


def _refuse_other_methods(table: Path) -> None:
    """`lungs apply` writes masks without a U-Net too, and says so in its table."""
    if not table.is_file():
        return  # masks that were put there by hand
    with table.open(encoding="utf-8", errors="replace", newline="") as file:
        methods = [row.get("method") for row in csv.DictReader(file)]
    others = sorted({str(method) for method in methods if method != UNET})
    if others:
        number = sum(method != UNET for method in methods)
        raise ConfigurationError(
            f"preprocessing.masks=unet wants masks by a U-Net, but by {table} {number} of "
            f"{len(methods)} are {', '.join(others)}; train one with `balancer lungs train` and "
            "run `balancer lungs apply` again."
        )


def _digest(path: Path) -> str:
    try:
        return hashlib.sha256(read_bytes(path)).hexdigest()
    except UnusableImageError as error:
        raise _unreadable(path, error) from None


def _unreadable(path: Path, error: UnusableImageError) -> DataError:
    return DataError(
        f"The lung mask {str(path)!r} cannot be read, since {error.reason}; mend or delete it."
    )


def masks_by_path(
    chosen: Mapping[str, MaskFile], config: PreprocessingConfig, roots: Roots, workspace: Path
) -> LungMasks | None:
    """The masks of all files of a scan, which have no image id yet: path in place of it.

    Returns:
        None where no view of the lungs is wanted.
    """
    if config.lungs == "none":
        return None
    return LungMasks(chosen, roots, workspace / _UNET_MASKS)


def masks_of(
    records: Sequence[ImageRecord],
    chosen: Mapping[str, MaskFile],
    config: PreprocessingConfig,
    roots: Roots,
    workspace: Path,
) -> LungMasks | None:
    """The masks of the images of an index.

    Args:
        records: The images.
        chosen: Of `choose_masks`, for at least these.
        config: As for `choose_masks`.
        roots: As for `choose_masks`.
        workspace: As for `choose_masks`.

    Returns:
        None where no view of the lungs is wanted.

    Raises:
        DataError: An image lacks the mask that it should have.
    """
    if config.lungs == "none":
        return None
    files = {record.image_id: chosen[record.path] for record in records}
    lacking = [r.path for r in records if files[r.image_id].method == CLASSICAL]
    if lacking and config.masks in (ARCHIVE, UNET):
        folder = workspace / _UNET_MASKS
        wanted = "a lung mask in its archive" if config.masks == ARCHIVE else f"one in {folder}"
        remedy = "add them" if config.masks == ARCHIVE else "run `balancer lungs apply`"
        raise DataError(
            f"preprocessing.masks={config.masks} wants {wanted} for every image, but "
            f"{len(lacking)} of {len(records)} have none, first {lacking[0]!r}; {remedy}, or set "
            "preprocessing.masks=auto."
        )
    return LungMasks(files, roots, workspace / _UNET_MASKS)


def masks_bytes(masks: LungMasks, records: Sequence[ImageRecord]) -> bytes:
    """The table `masks.csv`, rows in the order of the records."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_COLUMNS)
    for record in records:
        file = masks.files[record.image_id]
        writer.writerow([record.image_id, file.method, file.mask, file.sha256])
    return text.getvalue().encode()


def read_masks(index_dir: Path, roots: Roots) -> LungMasks:
    """Read the table that `masks_bytes` made.

    Raises:
        IntegrityError: It is missing or was changed.
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
    above = [parent / _UNET_MASKS for parent in index_dir.resolve().parents[:_LEVELS_UP]]
    return LungMasks(files, roots, next((place for place in above if place.is_dir()), None))
