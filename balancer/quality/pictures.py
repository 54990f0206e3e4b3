"""Pictures of the synthetic images of a class beside real ones, as PNG."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

from balancer.drawing.plots import plain_text
from balancer.quality.aligned import Images
from balancer.quality.extractors import Extractor
from balancer.quality.features import Features, features_of
from balancer.quality.memorization import Nearest
from balancer.quality.sets import ClassImages
from balancer.quality.summary import map_name

_ROWS, _COLUMNS = 8, 8
_PAIRS = 12
_INK = {"real, training": "#4c566a", "real, validation": "#2f7f9d", "synthetic": "#bf3f5f"}


def save_pictures(
    images: ClassImages,
    nearest: Nearest,
    extractors: Mapping[str, Extractor],
    folder: Path,
    *,
    cache: Path,
) -> None:
    """Draw the accepted images of a class beside real ones.

    Writes `beside-`, `closest-` and `map-EXTRACTOR-`, with the name of the class.

    Args:
        images: The images.
        nearest: The training image closest to each accepted one.
        extractors: Name of a space to its extractor, a map each.
        folder: Folder to write to.
        cache: Folder of kept features.
    """
    label, made, training = images.label, images.accepted, images.own_training
    save_side_by_side(training, made, folder / f"beside-{label}.png")
    save_closest_pairs(
        made, training, nearest.rows, nearest.correlations, folder / f"closest-{label}.png"
    )
    for name, extractor in extractors.items():
        sets = (
            features_of(extractor, some, cache=cache)
            for some in (training, images.own_validation, made)
        )
        path = folder / f"{map_name(name)}-{label}.png"
        chose = ", which also chose the synthetic images" if name in images.chosen_by else ""
        save_feature_map(*sets, name=f"{name}{chose}", path=path)


def save_side_by_side(real: Images, synthetic: Images, path: Path) -> None:
    """Tile 8 x 8 real images on the left and 8 x 8 synthetic ones on the right.

    Args:
        real: uint8 (N, S, S), N >= 1.
        synthetic: uint8 (M, S, S), M >= 1.
        path: Path of the PNG to write.
    """
    side = real.shape[1]
    height, width = _ROWS * (side + 2) - 2, 2 * _COLUMNS * (side + 2) + 14
    sheet = np.full((height, width, *real.shape[3:]), 255, np.uint8)
    for images, left in ((real, 0), (synthetic, _COLUMNS * (side + 2) + 14)):
        for number, image in enumerate(images[: _ROWS * _COLUMNS]):
            top, across = divmod(number, _COLUMNS)
            y, x = top * (side + 2), left + across * (side + 2)
            sheet[y : y + side, x : x + side] = image
    Image.fromarray(sheet).save(path)


def save_closest_pairs(
    synthetic: Images,
    training: Images,
    rows: NDArray[np.int64],
    correlations: NDArray[np.float32],
    path: Path,
) -> None:
    """Draw the synthetic images most like a training image above those, most alike first.

    Args:
        synthetic: uint8 (N, S, S), N >= 1.
        training: uint8 (M, S, S).
        rows: int64 (N,), the training image closest to each synthetic one.
        correlations: float32 (N,), correlations with it.
        path: Path of the PNG to write.
    """
    order = np.argsort(-correlations, kind="stable")[:_PAIRS]
    figure = Figure(figsize=(1.1 * len(order) + 1, 2.7), dpi=110, layout="constrained")
    axes = figure.subplots(2, len(order), squeeze=False)
    for column, number in enumerate(order):
        for row, image in enumerate((synthetic[number], training[rows[number]])):
            axes[row, column].imshow(image, cmap="gray", vmin=0, vmax=255)
            axes[row, column].set(xticks=[], yticks=[])
        axes[0, column].set_title(f"{correlations[number]:.2f}", fontsize=9)
    axes[0, 0].set_ylabel("synthetic", fontsize=9)
    axes[1, 0].set_ylabel("training", fontsize=9)
    figure.suptitle("Closest pairs, correlation of aligned pixels", fontsize=10)
    figure.savefig(path)


def save_feature_map(
    training: Features, validation: Features, synthetic: Features, *, name: str, path: Path
) -> None:
    """Draw all sets on the two main axes of their features (PCA of all together).

    Args:
        training: Features of real training images, (N, d).
        validation: Features of real validation images, (M, d).
        synthetic: Features of synthetic images, (K, d).
        name: Name of the features, for the title.
        path: Path of the PNG to write.
    """
    sets = dict(zip(_INK, (training, validation, synthetic), strict=True))
    everything = np.concatenate(list(sets.values())).astype(np.float64)
    centre = everything.mean(axis=0)
    _, scales, axes_of = np.linalg.svd(everything - centre, full_matrices=False)
    shares = scales[:2] ** 2 / max((scales**2).sum(), 1e-12)
    figure = Figure(figsize=(6, 5), dpi=110, layout="constrained")
    axes = figure.add_subplot()
    for kind in ("synthetic", "real, training", "real, validation"):
        across, up = axes_of[:2] @ (sets[kind] - centre).T
        label = f"{kind} ({len(across)})"
        axes.scatter(across, up, s=12, alpha=0.7, color=_INK[kind], label=label, linewidths=0)
    axes.set_xlabel(f"first axis ({shares[0]:.0%} of the variance)")
    axes.set_ylabel(f"second axis ({shares[1]:.0%})")
    axes.set_title(f"Features of {plain_text(name)}", fontsize=11)
    axes.legend(frameon=False, fontsize=9)
    figure.savefig(path)
