"""Images with labels, as every function of this package takes them."""

from dataclasses import dataclass
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]


class ImageTable(Protocol):
    """Grey images with class numbers, read one at a time.

    Item i is `(image, label)`: uint8 (S, S) in [0, 255] and an integer in [0, n_classes). `labels`
    repeats the class numbers, int64 (N,), so that nobody reads images to count classes.
    """

    @property
    def labels(self) -> NDArray[np.int64]: ...  # noqa: D102 - described above

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> tuple[Image, int]: ...


@dataclass(frozen=True, slots=True)
class ArrayTable:
    """An `ImageTable` in memory, or over a memory map.

    Attributes:
        images: uint8 (N, S, S) in [0, 255].
        labels: int64 (N,).

    Raises:
        ValueError: Shapes or dtypes are not these.
    """

    images: Image
    labels: NDArray[np.int64]

    def __post_init__(self) -> None:
        if self.images.dtype != np.uint8 or self.images.ndim != 3:
            raise ValueError(
                "images should be uint8 (N, S, S) but are "
                f"{self.images.dtype} {self.images.shape}; convert them to 8-bit grey."
            )
        if self.labels.dtype != np.int64 or self.labels.shape != self.images.shape[:1]:
            raise ValueError(
                f"labels should be int64 ({len(self.images)},) but are "
                f"{self.labels.dtype} {self.labels.shape}; give one class number per image."
            )

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int, /) -> tuple[Image, int]:
        return self.images[index], int(self.labels[index])


class JoinedTable:
    """The rows of one `ImageTable`, then those of another."""

    def __init__(self, first: ImageTable, second: ImageTable) -> None:
        self._first, self._second = first, second
        self.labels: NDArray[np.int64] = np.concatenate([first.labels, second.labels])

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int, /) -> tuple[Image, int]:
        n_first = len(self._first)
        return self._first[index] if index < n_first else self._second[index - n_first]


def check_table(table: ImageTable, n_classes: int, name: str) -> None:
    """Refuse a table that cannot be trained or evaluated on.

    Raises:
        ValueError: It is empty or a label is no class number; the table is called `name`.
    """
    if len(table) == 0:
        raise ValueError(f"The {name} table should hold images but is empty; add images.")
    wrong = np.setdiff1d(table.labels, np.arange(n_classes))
    if len(wrong):
        raise ValueError(
            f"Labels of the {name} table should be 0 to {n_classes - 1} but {int(wrong[0])} "
            "occurs; name every class."
        )


def resize(image: Image, side: int) -> Image:
    """Bring a grey image to the side that the network sees; training and test both come here.

    Cubic on the way up, area averages on the way down (cubic would alias).

    Args:
        image: uint8 (H, W).
        side: Wanted side in pixels.

    Returns:
        uint8 (side, side); the same array where nothing has to change.
    """
    if image.shape == (side, side):
        return image
    enlarges = side >= max(image.shape)
    interpolation = cv2.INTER_CUBIC if enlarges else cv2.INTER_AREA
    return np.asarray(cv2.resize(image, (side, side), interpolation=interpolation), np.uint8)


def equalise(image: Image) -> Image:
    """CLAHE (Zuiderveld 1994): even out contrast in 8 x 8 tiles, histograms clipped at 2.0.

    Args:
        image: uint8 (H, W).

    Returns:
        uint8 (H, W), made of the same image only.
    """
    return np.asarray(cv2.createCLAHE(clipLimit=2.0, tileGridSize=(8, 8)).apply(image), np.uint8)


def prepare(image: Image, side: int, contrast: str) -> Image:
    """Bring a grey image to what the network was trained on, before any transform.

    Args:
        image: uint8 (H, W).
        side: Wanted side in pixels.
        contrast: `none` or `clahe`.

    Returns:
        uint8 (side, side).
    """
    resized = resize(image, side)
    return equalise(resized) if contrast == "clahe" else resized
