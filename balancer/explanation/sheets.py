"""Drawings of the sheets: maps over images by model, and the strongest channels of a layer."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib import colormaps
from matplotlib.cm import ScalarMappable
from matplotlib.figure import Figure
from numpy.typing import NDArray

from balancer.drawing.inks import figure_name
from balancer.imaging.pixels import COLOUR, with_channels
from classifier.explain import Activations

RIGHT_INK, WRONG_INK, NOTE_INK = "#1b6e3c", "#b5305a", "#2e3440"
_COLOURS = "turbo"
_STRONGEST = 0.6
"""Opacity of the overlay where a map is 1; where it is 0 the image is unchanged."""
_FADING = 0.7
"""The opacity is the map to this power, times the opacity above."""
_DPI = 110
_CELL = 2.1
"""Side of a picture in inches."""
_CHANNEL_COLUMNS = 8

Greys = NDArray[np.uint8]
Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Cell:
    """One model's map of one image.

    Attributes:
        film: uint8 (S, S) or (S, S, 3), the image as the network sees it.
        map: float32 (S, S) in [0, 1]; all zero draws the plain image.
        text: The model's answer in two or three lines.
        ink: Colour of the text.
        note: Text across the image; "" for none.
    """

    film: Greys
    map: Floats
    text: str
    ink: str
    note: str


@dataclass(frozen=True, slots=True)
class Row:
    """One image, uint8 (H, H) or (H, H, 3), with a cell per model."""

    caption: str
    film: Greys
    cells: Sequence[Cell]


def overlay(film: Greys, values: Floats) -> Greys:
    """Colour an image by a map.

    Args:
        film: uint8 (S, S) or (S, S, 3), the image.
        values: float32 (S, S) in [0, 1], the map; where it is 0 the image is unchanged.

    Returns:
        uint8 (S, S, 3).
    """
    plain = with_channels(film, COLOUR) / 255.0
    opacity = _STRONGEST * values[..., None] ** _FADING
    colour = colormaps[_COLOURS](values)[..., :3]
    mixed = plain * (1 - opacity) + colour * opacity
    return np.asarray(np.round(255 * mixed), np.uint8)


def save_cam_sheet(
    rows: Sequence[Row],
    models: Sequence[str],
    *,
    target: str,
    about: str,
    path: Path,
    image: str = "image",
) -> None:
    """Draw one row per image: the image, then the map of each model over it.

    Args:
        rows: At least one.
        models: Titles of the columns of maps.
        target: Class whose evidence the maps show.
        about: Line below the title.
        path: Path to the PNG.
        image: Title of the column of images.
    """
    columns = 1 + len(models)
    figure = Figure(
        figsize=(1.5 + _CELL * columns, 1.2 + (_CELL + 0.5) * len(rows)),
        dpi=_DPI,
        layout="constrained",
    )
    figure.suptitle(f"Grad-CAM: evidence for {figure_name(target)}\n{about}", size=10)
    grid = figure.subplots(len(rows), columns, squeeze=False)
    for axes in grid.flat:
        axes.set(xticks=[], yticks=[])
        axes.spines[:].set_visible(False)
    for row, line in zip(rows, grid, strict=True):
        line[0].imshow(row.film, cmap="gray", vmin=0, vmax=255)
        line[0].set_ylabel(row.caption, rotation=0, ha="right", va="center", size=8)
        for cell, axes in zip(row.cells, line[1:], strict=True):
            axes.imshow(overlay(cell.film, cell.map), interpolation="bilinear")
            axes.set_xlabel(cell.text, size=8, color=cell.ink)
            if cell.note:
                box = {"facecolor": "white", "alpha": 0.85, "edgecolor": "none", "pad": 2}
                where = {"ha": "center", "va": "center", "transform": axes.transAxes}
                axes.text(0.5, 0.5, cell.note, size=8, color=NOTE_INK, bbox=box, **where)
    for title, axes in zip([image, *models], grid[0], strict=True):
        axes.set_title(title, size=9)
    bar = figure.colorbar(
        ScalarMappable(cmap=_COLOURS),
        ax=grid,
        location="bottom",
        fraction=0.07 / len(rows),
        pad=0.02 / len(rows),
        aspect=50,
    )
    bar.set_label("share of the map's own maximum; colours of two maps do not compare", size=8)
    bar.ax.tick_params(labelsize=8)
    figure.savefig(path)


def save_activation_sheet(
    found: Sequence[tuple[str, Greys, Activations]], *, caption: str, path: Path
) -> None:
    """Draw the image as each model sees it, beside its strongest channels, each scaled alone.

    Args:
        found: Name of each model, its view of the image, and its channels.
        caption: Caption of the image.
        path: Path to the PNG.
    """
    side = 1.15
    lines = [-(-len(part.channels) // _CHANNEL_COLUMNS) for _, _, part in found]
    figure = Figure(
        figsize=(
            side * (_CHANNEL_COLUMNS + 2.3),
            0.7 + sum(side * n * 1.16 + 0.5 for n in lines),
        ),
        dpi=_DPI,
        layout="constrained",
    )
    figure.suptitle(
        f"Strongest channels for {caption}\nnumber of the channel: mean size of its activations",
        size=10,
    )
    parts = figure.subfigures(len(found), 1, squeeze=False, height_ratios=[n + 0.35 for n in lines])
    for (name, film, part), height, place in zip(found, lines, parts[:, 0], strict=True):
        place.suptitle(
            f"{name}: {len(part.channels)} of {part.n_channels} channels of {part.layer} "
            f"({part.maps.shape[1]} x {part.maps.shape[2]})",
            size=9,
        )
        left, right = place.subfigures(1, 2, width_ratios=[2, _CHANNEL_COLUMNS])
        axes = left.subplots()
        axes.imshow(film, cmap="gray", vmin=0, vmax=255)
        axes.set_axis_off()
        axes.set_title("the image", size=8)
        grid = right.subplots(height, _CHANNEL_COLUMNS, squeeze=False)
        for axes in grid.flat:
            axes.set_axis_off()
        for number, axes in zip(range(len(part.channels)), grid.flat, strict=False):
            axes.imshow(part.maps[number], cmap="viridis")
            axes.set_title(f"{part.channels[number]}: {part.strengths[number]:.2g}", size=7)
    figure.savefig(path)
