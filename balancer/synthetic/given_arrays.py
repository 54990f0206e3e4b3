"""Images and labels as scikit-learn's users hold them, read and given back in the same form."""

import math
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.preprocessing import label_binarize
from sklearn.utils.multiclass import type_of_target

from balancer.data.channels import decide_channels
from balancer.data.collection import collection_of
from balancer.data.config import DataConfig
from balancer.errors import DataError
from balancer.files import is_paths
from balancer.imaging.pixels import Pixels


class ArraysError(DataError, ValueError):
    """Arrays or a strategy that do not fit; a ValueError too, as scikit-learn's protocol asks."""


@dataclass(frozen=True)
class GivenArrays:
    """Images and labels, and the form in which they were given.

    Attributes:
        images: uint8 (N, S, S), or (N, S, S, 3) in colour.
        labels: Class of each image, (N,).
        X: Images as they were given; those read from files are `images`.
        y: Labels as they were given.
    """

    images: Pixels
    labels: NDArray[Any]
    X: Any
    y: Any

    def followed_by(self, images: Pixels, labels: NDArray[Any]) -> tuple[Any, Any]:
        """Return what was given, followed by further images and labels, in the given form.

        Args:
            images: uint8 (n, S, S), or (n, S, S, 3) in colour.
            labels: Class of each, (n,).
        """
        given = np.asarray(self.X)
        scale = 255 if given.dtype.kind == "f" else 1
        further = (images / scale).astype(given.dtype).reshape(len(images), *given.shape[1:])
        return (
            _in_form_of(self.X, np.concatenate([given, further])),
            _labels_in_form_of(self.y, np.concatenate([self.labels, labels])),
        )


def read_arrays(X: Any, y: Any, *, size: int) -> GivenArrays:  # noqa: N803
    """Read images and labels.

    Args:
        X: Images (N, S, S), or (N, S, S, 3) in colour, or rows of their pixels (N, S * S); whole
            numbers from 0 to 255, or floats from 0 to 1; an array, a list or a DataFrame. Or N
            paths of image files.
        y: Class of each image: (N,) or (N, 1), or (N, K) with a single 1 in each row.
        size: Side at which files are read, in pixels.

    Raises:
        ArraysError: They are of another kind, or of a single class.
        DataError: A file is no usable image.
    """
    labels = _read_labels(y)
    if is_paths(X) and len(X):
        X = _read_files([Path(one) for one in X], size)  # noqa: N806
    images = _read_images(_as_array(X))
    if len(images) != len(labels):
        raise ArraysError(
            f"Every image needs one label, but there are {len(images)} images and "
            f"{len(labels)} labels; give as many of both."
        )
    return GivenArrays(images, labels, X, y)


def images_to_make(strategy: Any, labels: NDArray[Any]) -> dict[Any, int]:
    """Return the number of images to make of each class that a strategy names.

    The words are those of imbalanced-learn's over-samplers (Lemaitre 2017, arXiv 1609.06570).

    Args:
        strategy: See `GANSampler`.
        labels: Class of each image, (N,).

    Raises:
        ArraysError: The strategy does not fit these classes.
    """
    names, counts = np.unique(labels, return_counts=True)
    present = dict(zip(names.tolist(), counts.tolist(), strict=True))
    if callable(strategy):
        strategy = strategy(labels)
    wanted = _wanted(strategy, present)
    wrong = [name for name, n in wanted.items() if name not in present or n < present[name]]
    if wrong:
        raise ArraysError(
            f"sampling_strategy should bring classes of y to more images, but does not fit "
            f"{wrong[0]!r}, of which there are {present.get(wrong[0], 0)}; give more."
        )
    return {name: n - present[name] for name, n in wanted.items()}


def _wanted(strategy: Any, present: Mapping[Any, int]) -> dict[Any, int]:
    smallest = min(present, key=lambda name: present[name])
    largest = max(present, key=lambda name: present[name])
    of_words = {
        "minority": [smallest],
        "not minority": [name for name in present if name != smallest],
        "not majority": [name for name in present if name != largest],
        "all": list(present),
    }
    if isinstance(strategy, Mapping):
        return dict(strategy)
    if isinstance(strategy, str):
        word = "not majority" if strategy == "auto" else strategy
        if word in of_words:
            return dict.fromkeys(of_words[word], present[largest])
    elif isinstance(strategy, int | float) and len(present) == 2 and 0 < strategy <= 1:
        return {smallest: int(present[largest] * strategy)}
    raise ArraysError(
        f"sampling_strategy should be one of auto, {', '.join(of_words)}, a mapping of class to "
        "number, a function of y that returns one, or with two classes a share above 0 and up to "
        f"1, but is {strategy!r:.80}; give one of them."
    )


def _read_labels(y: Any) -> NDArray[Any]:
    labels = np.asarray(y)
    try:
        kind = type_of_target(labels)
    except ValueError as error:
        kind = str(error)
    if kind == "multilabel-indicator" and (np.sum(labels, axis=1) == 1).all():
        labels = np.argmax(labels, axis=1)
    elif kind not in ("binary", "multiclass") or labels.size != len(labels):
        raise ArraysError(
            f"y should hold one class for each image, but is of the kind {kind}; give the names "
            "or numbers of the classes."
        )
    if len(np.unique(labels)) < 2:
        raise ArraysError(
            "y should have two classes or more, but has a single class; add images of another one."
        )
    return labels.ravel()


def _as_array(given: Any) -> NDArray[Any]:
    try:
        return np.asarray(given)
    except ValueError as error:  # NumPy makes no array of rows of several lengths
        raise ArraysError(
            "X should hold images of one size, but theirs differ; bring them to one, or give paths."
        ) from error


def _read_images(given: NDArray[Any]) -> Pixels:
    """Return images as uint8 (N, S, S) or (N, S, S, 3)."""
    array = given
    if array.ndim == 2:
        for channels in ((), (3,)):
            side = math.isqrt(array.shape[1] // math.prod(channels))
            if math.prod((side, side, *channels)) == array.shape[1]:
                array = array.reshape(len(array), side, side, *channels)
                break
    is_float, is_whole = array.dtype.kind == "f", array.dtype.kind in "iu"
    is_square = array.ndim in (3, 4) and array.shape[1] == array.shape[2]
    is_image = array.size > 0 and is_square and array.shape[3:] in ((), (3,))
    if not (is_float or is_whole) or not is_image:
        raise ArraysError(
            "X should hold images (N, S, S) or (N, S, S, 3), rows of their pixels (N, S * S) or "
            f"paths, but is {given.dtype} {given.shape}; convert it."
        )
    top = 1 if is_float else 255
    if not (array.min() >= 0 and array.max() <= top):
        raise ArraysError(
            f"Pixels should be whole numbers from 0 to 255 or floats from 0 to 1, but those of X "
            f"are {given.dtype} from {array.min():.4g} to {array.max():.4g}; scale them."
        )
    return np.rint(array * 255.0).astype(np.uint8) if is_float else array.astype(np.uint8)


def _read_files(paths: list[Path], size: int) -> Pixels:
    """Read image files as every other image is read, in their order."""
    with tempfile.TemporaryDirectory() as folder:
        side = collection_of(paths, DataConfig(), name="X")
        row_of = {path: row for row, path in enumerate(side.files())}
        channels = decide_channels(DataConfig(), side.roots, side.as_scan().images)
        pixels = side.pixels(size, Path(folder), channels=channels)
        return np.array(pixels[[row_of[path.expanduser().resolve()] for path in paths]])


def _in_form_of(given: Any, array: NDArray[Any]) -> Any:
    if isinstance(given, pd.DataFrame):
        return pd.DataFrame(array, columns=given.columns).astype(given.dtypes)
    if isinstance(given, pd.Series):
        return pd.Series(array, name=given.name, dtype=given.dtype)
    if isinstance(given, list):
        return list(array) if isinstance(given[0], np.ndarray) else array.tolist()
    return array


def _labels_in_form_of(given: Any, labels: NDArray[Any]) -> Any:
    """Return labels as a table of columns where they were one."""
    shape = np.shape(given)
    if len(shape) == 2 and shape[1] > 1:
        labels = label_binarize(labels, classes=np.arange(shape[1]))
    return _in_form_of(given, labels)
