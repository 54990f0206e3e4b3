"""Images with labels, as every function of this package takes them."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

Image = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class ArrayTable:
    """Grey images with class numbers, in one or several arrays in memory or in memory maps.

    Item i is `(image, label)`: a copy of the image, uint8 (S, S) in [0, 255], and an integer.

    Example:
        >>> import numpy as np
        >>> from classifier import ArrayTable
        >>> table = ArrayTable.of(np.zeros((4, 32, 32), np.uint8), labels=[0, 0, 0, 1])
        >>> image, label = table[3]
        >>> image.shape, label, len(ArrayTable.join(table, table))
        ((32, 32), 1, 8)

    Attributes:
        labels: Class numbers, int64 (N,).
        sources: Arrays that hold the images, uint8 (M, S, S) each.
        places: Source and row of each image, int64 (N, 2).

    Raises:
        ValueError: Shapes or dtypes differ from these, or a label is negative.
    """

    labels: NDArray[np.int64]
    sources: Sequence[Image]
    places: NDArray[np.int64]

    def __post_init__(self) -> None:
        for source in self.sources:
            if source.dtype != np.uint8 or source.ndim != 3:
                raise ValueError(
                    "images should be uint8 (N, S, S) but are "
                    f"{source.dtype} {source.shape}; convert them to 8-bit grey."
                )
        if self.labels.dtype != np.int64 or self.labels.shape != (len(self.places),):
            raise ValueError(
                f"labels should be int64 ({len(self.places)},) but are "
                f"{self.labels.dtype} {self.labels.shape}; give one class number per image."
            )
        if self.labels.size and self.labels.min() < 0:
            raise ValueError(
                f"labels should be 0 or more but {self.labels.min()} occurs; number the classes "
                "from 0."
            )

    @staticmethod
    def of(images: Image, labels: ArrayLike) -> "ArrayTable":
        """Return a table of the images of one array.

        Args:
            images: uint8 (N, S, S) in [0, 255].
            labels: Class numbers, N whole numbers.

        Raises:
            ValueError: Shapes or dtypes differ from these.
        """
        images, numbers = np.asanyarray(images), np.asarray(labels)
        if numbers.dtype.kind not in "iu" and numbers.size:
            raise ValueError(
                f"labels should be whole numbers but are {numbers.dtype}; number the classes "
                "from 0."
            )
        rows = np.arange(images.shape[0] if images.ndim else 0)
        places = np.stack([np.zeros_like(rows), rows], axis=1)
        return ArrayTable(numbers.astype(np.int64), (images,), places)

    @staticmethod
    def join(*tables: "ArrayTable") -> "ArrayTable":
        """Return one table with the rows of several, in order; no pixel is copied."""
        places: list[NDArray[np.int64]] = []
        sources: list[Image] = []
        for table in tables:
            places.append(table.places + np.array([len(sources), 0]))
            sources.extend(table.sources)
        labels = np.concatenate([table.labels for table in tables])
        return ArrayTable(labels, sources, np.concatenate(places))

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, number: int, /) -> tuple[Image, int]:
        source, row = self.places[number]
        # A copy: a memory map may be read-only, and torch needs an array that it can write to.
        return np.array(self.sources[source][row]), int(self.labels[number])


def check_table(table: ArrayTable, n_classes: int, name: str) -> None:
    """Refuse a table that cannot be trained on or evaluated.

    Args:
        table: Images with labels.
        n_classes: Number of class names.
        name: Name of the table in the error.

    Raises:
        ValueError: It is no table, is empty, or has a label without a class name.
    """
    if not isinstance(table, ArrayTable):
        raise ValueError(
            f"The {name} table should be an ArrayTable but is a {type(table).__name__}; "
            "make one with ArrayTable.of(images, labels)."
        )
    if len(table) == 0:
        raise ValueError(f"The {name} table should hold images but is empty; add images.")
    wrong = np.setdiff1d(table.labels, np.arange(n_classes))
    if len(wrong):
        raise ValueError(
            f"Labels of the {name} table should be 0 to {n_classes - 1} but {int(wrong[0])} "
            "occurs; name every class."
        )


def resize(image: Image, side: int) -> Image:
    """Resize a grey image to the input side of the network, in training and test alike.

    Cubic interpolation enlarges, area averages reduce (cubic would alias).

    Args:
        image: uint8 (H, W).
        side: Side in pixels.

    Returns:
        uint8 (side, side); the same array where nothing has to change.
    """
    if image.shape == (side, side):
        return image
    enlarges = side >= max(image.shape)
    interpolation = cv2.INTER_CUBIC if enlarges else cv2.INTER_AREA
    return np.asarray(cv2.resize(image, (side, side), interpolation=interpolation), np.uint8)


def equalise(image: Image) -> Image:
    """Equalise contrast by CLAHE (Zuiderveld 1994) in 8 x 8 tiles, histograms clipped at 2.0.

    Args:
        image: uint8 (H, W).

    Returns:
        uint8 (H, W); depends on this image alone.
    """
    return np.asarray(cv2.createCLAHE(clipLimit=2.0, tileGridSize=(8, 8)).apply(image), np.uint8)


def prepare(image: Image, side: int, contrast: str) -> Image:
    """Resize a grey image and equalise its contrast as the recipe says, before any transform.

    Args:
        image: uint8 (H, W).
        side: Side in pixels.
        contrast: `none` or `clahe`.

    Returns:
        uint8 (side, side).
    """
    resized = resize(image, side)
    return equalise(resized) if contrast == "clahe" else resized
