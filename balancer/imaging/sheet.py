"""A sheet of images before and after: a row per image, a column per step of the preprocessing."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from balancer.imaging.preprocess import Step

_CELL, _DPI = 2.0, 100
"""Side of a picture in inches; pixels per inch."""
_VIEWS = ("lungs-only", "lungs-blacked-out", "crop-to-lungs")
_TITLES = {
    "film": "film",
    "border": "border removed",
    "clahe": "CLAHE",
    "equalize": "equalised",
    "window": "windowed",
    "crop": "central square",
    "pad": "padded",
}


@dataclass(frozen=True, slots=True)
class SheetRow:
    """One image.

    Attributes:
        caption: Text beside it.
        steps: The original, and the image after each step.
        square: The last step as a square.
        note: Source of its lungs; "" for none.
    """

    caption: str
    steps: Sequence[Step]
    square: Step
    note: str = ""


def save_sheet(rows: Sequence[SheetRow], *, about: str, path: Path) -> None:
    """Draw the sheet, all images in the same grey scale and in their own proportions.

    Args:
        rows: At least one row, all with the same steps.
        about: Title of the sheet.
        path: Path to the PNG.
    """
    from matplotlib.figure import Figure

    pictures = [[*row.steps, row.square] for row in rows]
    columns = len(pictures[0])
    figure = Figure(
        figsize=(1.9 + _CELL * columns, 0.7 + (_CELL + 0.3) * len(rows)),
        dpi=_DPI,
        layout="constrained",
    )
    # No text is a formula: file names can hold dollar signs.
    figure.suptitle(about, size=10, parse_math=False)
    grid = figure.subplots(len(rows), columns, squeeze=False)
    for row, line, axes_of_row in zip(rows, pictures, grid, strict=True):
        for column, (step, axes) in enumerate(zip(line, axes_of_row, strict=True)):
            axes.set(xticks=[], yticks=[])
            axes.set_facecolor("#dfe4ea")
            axes.imshow(step.pixels, cmap="gray", vmin=0, vmax=255, interpolation="antialiased")
            height, width = step.pixels.shape
            note = f"; {row.note}" if row.note and step.name in _VIEWS else ""
            axes.set_xlabel(f"{width} x {height}{note}", size=7, parse_math=False)
            if row is rows[0]:
                axes.set_title(_TITLES.get(step.name, step.name), size=9)
            if column == 0:
                axes.set_ylabel(
                    row.caption, rotation=0, ha="right", va="center", size=8, parse_math=False
                )
    figure.savefig(path)
