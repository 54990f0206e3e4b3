"""Images as people have them in Python, as files: paths, arrays, tensors and data sets.

Arrays are written as PNG, so that every image is decoded and resized by the same function.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from balancer.errors import ConfigurationError, DataError

if TYPE_CHECKING:
    import numpy as np

    from balancer.data.collection import Collection
    from balancer.data.config import DataConfig

_RANK = 2
_CHANNELS = (1, 3)


def given_files(images: Any, folder: Path) -> tuple[list[Path], list[str]]:
    """Return the files of images in their order, and the class of each.

    Args:
        images: A list of paths; an array or tensor, uint8 (N, H, W), (N, H, W, 3) or (N, 1 or 3, H,
            W), or float in [0, 1]; a data set whose items are an image or an image and its class;
            or a dictionary of class to one of these.
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
        groups: Patient of each image; None: as the folder has it.
        data: Limits of a usable image.
        folder: Folder for the files of arrays.

    Returns:
        The images, and path to position in what was given; empty of a folder.

    Raises:
        ConfigurationError: Something else is given, or a folder with labels.
        DataError: There are more images than labels, or the reverse; or none can be used.
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
    words = own if labels is None else [str(label) for label in labels]
    patients = None if groups is None else [str(group) for group in groups]
    for name, each in (("label", words), ("group", patients)):
        if each is not None and len(each) != len(files):
            raise DataError(
                f"Every image needs a {name}, but there are {len(files)} images and {len(each)} "
                f"{name}s; give as many of both."
            )
    side = collection_of(files, data, name="images", labels=words, patients=patients)
    number_of = {path.expanduser().resolve(): number for number, path in enumerate(files)}
    names = [*(one.path for one in side.images), *(one.path for one in side.unusable)]
    return side, {name: number_of[side.roots.locate(name)] for name in names}


def is_paths(images: Any) -> bool:
    """Return whether images are given as a list of paths."""
    return isinstance(images, Sequence) and all(isinstance(one, Path | str) for one in images)


def _pairs(images: Any) -> Iterator[tuple[Any, str]]:
    """Yield each image with its class; empty where it has none."""
    if not hasattr(images, "__getitem__") or not hasattr(images, "__len__"):
        raise ConfigurationError(
            "Images should be a path, a list of paths, an array, a data set or a dictionary of "
            f"these, but are of type {type(images).__name__}; give one of them."
        )
    names = getattr(images, "classes", None)
    for number in range(len(images)):
        item = images[number]
        if not isinstance(item, tuple | list):
            yield item, ""
            continue
        label = item[1]
        yield item[0], str(label if names is None else names[int(label)])


def _write(image: Any, path: Path) -> None:
    from PIL import Image

    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(_as_bytes(image)).save(path, compress_level=1)


def _as_bytes(image: Any) -> "np.ndarray[Any, Any]":
    """Return an image as uint8 (H, W) or (H, W, 3)."""
    import numpy as np

    pixels = np.asarray(image)
    if pixels.ndim > _RANK and pixels.shape[0] in _CHANNELS and pixels.shape[-1] not in _CHANNELS:
        pixels = np.moveaxis(pixels, 0, -1)
    if pixels.ndim > _RANK and pixels.shape[-1] == 1:
        pixels = pixels[..., 0]
    is_share = np.issubdtype(pixels.dtype, np.floating)
    if is_share and np.isfinite(pixels).all() and pixels.min() >= 0 and pixels.max() <= 1:
        return (pixels * 255).round().astype(np.uint8)
    if pixels.dtype != np.uint8 or pixels.ndim not in (_RANK, _RANK + 1):
        raise ConfigurationError(
            "An image should be uint8, or float in [0, 1], of shape (H, W), (H, W, 3) or (1 or 3, "
            f"H, W), but is {pixels.dtype} {pixels.shape}; convert it."
        )
    return pixels
