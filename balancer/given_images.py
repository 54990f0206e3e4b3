"""Images as people have them in Python, as files: paths, arrays, tensors and data sets.

Arrays are written as PNG, so that every image is decoded and resized by the same function.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from balancer.errors import ConfigurationError, DataError
from balancer.files import is_paths

if TYPE_CHECKING:
    import numpy as np

    from balancer.data.collection import Collection
    from balancer.data.config import DataConfig

_RANK, _RGB = 2, 3
_CHANNELS = (1, _RGB)


def given_files(images: Any, folder: Path) -> tuple[list[Path], list[str]]:
    """Return the files of images in their order, and the class of each.

    Args:
        images: Paths, as a list, an array or a Series; an array or tensor, uint8 (N, H, W), (N, H,
            W, 3) or (N, 1 or 3, H, W), or float in [0, 1]; a data set whose items are an image (of
            Pillow too) or an image and its class; or a dictionary of class to one of these, or to
            the path of a folder.
        folder: Folder for the files of arrays.

    Returns:
        Paths, and class names; an empty name where an image has none.

    Raises:
        ConfigurationError: Something else is given.
    """
    by_class = images if isinstance(images, Mapping) else {"": images}
    files: list[Path] = []
    labels: list[str] = []
    for number, (label, some) in enumerate(by_class.items()):
        if isinstance(images, Mapping) and isinstance(some, Path | str):
            some = _files_in(Path(some))
        if is_paths(some):
            files += map(Path, some)
            labels += [str(label)] * len(some)
            continue
        for place, (image, own) in enumerate(_pairs(some)):
            path = folder / str(number) / f"{place:06d}.png"
            _write(image, path)
            files.append(path)
            labels.append(str(label) or own)
    return files, labels


def given_collection(
    images: Any,
    labels: Sequence[Any] | None,
    groups: Sequence[Any] | None,
    data: "DataConfig",
    folder: Path,
) -> "tuple[Collection, dict[str, int]]":
    """Read images that are given with their labels.

    Args:
        images: As in `given_files`, or the path to a folder, which has the labels.
        labels: Class of each image; None: as the images have it.
        groups: Patient of each image, None or NaN where unknown; None: as the folder has it.
        data: Limits of a usable image.
        folder: Folder for the files of arrays.

    Returns:
        The images, and path to position in what was given; empty of a folder.

    Raises:
        ConfigurationError: Something else is given, or a folder with labels.
        DataError: There are more images than labels, or the reverse; a label is missing; or no
            image can be used.
    """
    from balancer.data.collection import collection_of, read_collection

    if isinstance(images, Path | str):
        for name, given in (("labels", labels), ("groups", groups)):
            if given is not None:
                raise ConfigurationError(
                    f"A folder has its own {name}, but {name} are given too; give a list of paths, "
                    "or leave them out."
                )
        return read_collection(Path(images), data), {}
    files, own = given_files(images, folder)
    words = own if labels is None else [_word(label) for label in labels]
    patients = None if groups is None else [_word(group) for group in groups]
    for name, each in (("label", words), ("group", patients)):
        if each is not None and len(each) != len(files):
            raise DataError(
                f"Every image needs a {name}, but there are {len(files)} images and {len(each)} "
                f"{name}s; give as many of both."
            )
    if labels is not None and "" in words:
        raise DataError(
            f"Every image needs a label, but {words.count('')} of {len(words)} have none, first "
            f"image {words.index('')}; fill them, or leave these images out."
        )
    side = collection_of(files, data, name="images", labels=words, patients=patients)
    number_of = {path.expanduser().resolve(): number for number, path in enumerate(files)}
    names = [*(one.path for one in side.images), *(one.path for one in side.unusable)]
    return side, {name: number_of[side.roots.locate(name)] for name in names}


def _files_in(folder: Path) -> list[Path]:
    from balancer.data.collection import image_files

    if not folder.is_dir():
        raise ConfigurationError(
            f"The images of a class should be in a folder, but {str(folder)!r} is none; name a "
            "folder, or give a list of paths."
        )
    return image_files(folder)


def _pairs(images: Any) -> Iterator[tuple[Any, str]]:
    """Yield each image with its class; empty where it has none."""
    if not hasattr(images, "__getitem__") or not hasattr(images, "__len__") or _is_table(images):
        raise ConfigurationError(
            "Images should be a path, a list of paths, an array, a data set or a dictionary of "
            f"these, but are of type {type(images).__name__}; give one of them."
        )
    images = images.tolist() if hasattr(images, "iloc") else images  # a Series, by position
    names = getattr(images, "classes", None)
    for number in range(len(images)):
        item = images[number]
        if not isinstance(item, tuple | list):
            yield item, ""
            continue
        label = _word(item[1])
        yield item[0], names[int(label)] if names is not None and label.isdigit() else label


def _is_table(images: Any) -> bool:
    return isinstance(images, str) or hasattr(images, "columns")


def _word(value: Any) -> str:
    """Return a class or a patient as a word; empty where it is missing (None, NaN, NA)."""
    import pandas as pd

    plain = value.tolist() if hasattr(value, "tolist") else value
    while isinstance(plain, list) and len(plain) == 1:
        plain = plain[0]
    if pd.api.types.is_list_like(plain):
        raise ConfigurationError(
            f"An image should have one class and one patient, but has {str(plain)!r:.60}; give a "
            "word or a number for each image."
        )
    return "" if pd.isna(plain) else str(plain)


def _write(image: Any, path: Path) -> None:
    from PIL import Image

    path.parent.mkdir(parents=True, exist_ok=True)
    if not isinstance(image, Image.Image):
        image = Image.fromarray(_as_bytes(image))
    try:
        image.save(path, compress_level=1)  # an image of Pillow with its palette and its depth
    except (OSError, ValueError) as error:
        raise ConfigurationError(
            f"An image should have pixels that a PNG can hold, but: {error}; convert it."
        ) from None


def _as_bytes(image: Any) -> "np.ndarray[Any, Any]":
    """Return an image as uint8 (H, W) or (H, W, 3)."""
    import numpy as np

    pixels = np.asarray(image.detach().cpu() if hasattr(image, "detach") else image)
    if pixels.ndim > _RANK and pixels.shape[0] in _CHANNELS and pixels.shape[-1] not in _CHANNELS:
        pixels = np.moveaxis(pixels, 0, -1)
    if pixels.ndim > _RANK and pixels.shape[-1] == 1:
        pixels = pixels[..., 0]
    has_shape = pixels.size and (pixels.ndim == _RANK or pixels.shape[_RANK:] == (_RGB,))
    if has_shape and pixels.dtype == np.uint8:
        return pixels
    if has_shape and np.issubdtype(pixels.dtype, np.floating):
        low, high = pixels.min(), pixels.max()  # NaN if one is
        if low >= 0 and high <= 1:
            return (pixels * 255).round().astype(np.uint8)
        found = f"{pixels.dtype} from {low:g} to {high:g}"
    else:
        found = str(pixels.dtype)
    raise ConfigurationError(
        "An image should be uint8, or float in [0, 1], of shape (H, W), (H, W, 3) or (1 or 3, H, "
        f"W), but is {found}, of shape {pixels.shape}; convert it."
    )
