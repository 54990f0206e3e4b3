"""Images with labels, as every function of this package takes them.

An image is uint8 (H, W) where it is grey and (H, W, 3) where it is sRGB; networks take batches
(N, C, S, S) of either. `channels_of` and `planes` are the way from one to the other.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

Image = NDArray[np.uint8]
"""uint8 (H, W), grey, or (H, W, 3), sRGB."""
GREY, COLOUR = 1, 3
"""Numbers of channels that an image can have."""


@dataclass(frozen=True, slots=True)
class ArrayTable:
    """Images with class numbers, in one or several arrays in memory or in memory maps.

    Item i is `(image, label)`: a copy of the image, uint8 (S, S) or (S, S, 3) in [0, 255], and an
    integer.

    Example:
        >>> import numpy as np
        >>> from classifier import ArrayTable
        >>> table = ArrayTable.of(np.zeros((4, 32, 32), np.uint8), labels=[0, 0, 0, 1])
        >>> image, label = table[3]
        >>> image.shape, label, len(ArrayTable.join(table, table))
        ((32, 32), 1, 8)

    Attributes:
        labels: Class numbers, int64 (N,).
        sources: Arrays that hold the images, uint8 (M, S, S), or (M, S, S, 3) all of them.
        places: Source and row of each image, int64 (N, 2).

    Raises:
        ValueError: Shapes or dtypes differ from these, or a label is negative.
    """

    labels: NDArray[np.int64]
    sources: Sequence[Image]
    places: NDArray[np.int64]

    def __post_init__(self) -> None:
        for source in self.sources:
            if source.dtype != np.uint8 or not _is_batch(source.shape):
                raise ValueError(
                    "images should be uint8 (N, S, S) or (N, S, S, 3) but are "
                    f"{source.dtype} {source.shape}; convert them to 8-bit grey or sRGB."
                )
        if len({source.ndim for source in self.sources}) > 1:
            raise ValueError(
                "images of a table should all be grey or all in colour but are of both kinds; "
                "convert them to one."
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
            images: uint8 (N, S, S) or (N, S, S, 3) in [0, 255].
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

    @property
    def channels(self) -> int:
        """Number of channels of its images, 1 or 3."""
        return channels_of(self.sources[0][0]) if len(self) else GREY

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, number: int, /) -> tuple[Image, int]:
        source, row = self.places[number]
        # A copy: a memory map may be read-only, and torch needs an array that it can write to.
        return np.array(self.sources[source][row]), int(self.labels[number])


def channels_of(image: Image) -> int:
    """Return the number of channels of an image: 1 for (H, W), 3 for (H, W, 3)."""
    return GREY if image.ndim == 2 else COLOUR


def planes(image: Image) -> Image:
    """Put the channels of an image first, as networks take it.

    Args:
        image: uint8 (H, W) or (H, W, 3).

    Returns:
        uint8 (1, H, W) or (3, H, W).
    """
    if channels_of(image) == GREY:
        return image[None]
    return np.ascontiguousarray(image.transpose(2, 0, 1))


def pictures(batch: Image) -> Image:
    """Put the channels of a batch last again, as files and pages take it.

    Args:
        batch: uint8 (N, 1, H, W) or (N, 3, H, W).

    Returns:
        uint8 (N, H, W) or (N, H, W, 3).
    """
    return batch[:, 0] if batch.shape[1] == GREY else batch.transpose(0, 2, 3, 1)


def _is_batch(shape: tuple[int, ...]) -> bool:
    return len(shape) == 3 or (len(shape) == 4 and shape[3] == COLOUR)


def check_table(
    table: ArrayTable, n_classes: int, name: str, *, channels: int | None = None
) -> None:
    """Refuse a table that cannot be trained on or evaluated.

    Args:
        table: Images with labels.
        n_classes: Number of class names.
        name: Name of the table in the error.
        channels: Number of channels that its images should have; None: 1 or 3.

    Raises:
        ValueError: It is no table, is empty, has a label without a class name, or images of other
            channels.
    """
    if not isinstance(table, ArrayTable):
        raise ValueError(
            f"The {name} table should be an ArrayTable but is a {type(table).__name__}; "
            "make one with ArrayTable.of(images, labels)."
        )
    if len(table) == 0:
        raise ValueError(f"The {name} table should hold images but is empty; add images.")
    if channels not in (None, table.channels):
        raise ValueError(
            f"Images of the {name} table should have {channels} channel(s) but have "
            f"{table.channels}; read them as those of the training."
        )
    wrong = np.setdiff1d(table.labels, np.arange(n_classes))
    if len(wrong):
        raise ValueError(
            f"Labels of the {name} table should be 0 to {n_classes - 1} but {int(wrong[0])} "
            "occurs; name every class."
        )


def resize(image: Image, side: int) -> Image:
    """Resize an image to the input side of the network, in training and test alike.

    Cubic interpolation enlarges, area averages reduce (cubic would alias).

    Args:
        image: uint8 (H, W) or (H, W, 3).
        side: Side in pixels.

    Returns:
        uint8 (side, side) or (side, side, 3); the same array where nothing has to change.
    """
    if image.shape[:2] == (side, side):
        return image
    enlarges = side >= max(image.shape[:2])
    interpolation = cv2.INTER_CUBIC if enlarges else cv2.INTER_AREA
    return np.asarray(cv2.resize(image, (side, side), interpolation=interpolation), np.uint8)


def equalise(image: Image) -> Image:
    """Equalise contrast by CLAHE (Zuiderveld 1994) in 8 x 8 tiles, histograms clipped at 2.0.

    Of a colour image, the lightness (CIELAB) is equalised and the hue stays.

    Args:
        image: uint8 (H, W) or (H, W, 3).

    Returns:
        uint8 of the same shape; depends on this image alone.
    """
    clahe = cv2.createCLAHE(clipLimit=2.0, tileGridSize=(8, 8))
    if channels_of(image) == GREY:
        return np.asarray(clahe.apply(image), np.uint8)
    lab = cv2.cvtColor(image, cv2.COLOR_RGB2LAB)
    lab[..., 0] = clahe.apply(np.ascontiguousarray(lab[..., 0]))
    return np.asarray(cv2.cvtColor(lab, cv2.COLOR_LAB2RGB), np.uint8)


def prepare(image: Image, side: int, contrast: str) -> Image:
    """Resize an image and equalise its contrast as the recipe says, before any transform.

    Args:
        image: uint8 (H, W) or (H, W, 3).
        side: Side in pixels.
        contrast: `none` or `clahe`.

    Returns:
        uint8 (side, side) or (side, side, 3).
    """
    resized = resize(image, side)
    return equalise(resized) if contrast == "clahe" else resized
