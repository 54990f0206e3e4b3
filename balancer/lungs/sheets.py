"""Draw lung masks: outlines over images, and each view of the lungs beside its image."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import cv2
import numpy as np

from balancer.imaging.lungs.views import LungView, lung_view
from balancer.imaging.pixels import Mask, Pixels, fit_mask

_SIDE, _LINE = 224, 18
_COLUMNS = 6
_FOUND, _DRAWN = (0, 210, 255), (120, 200, 60)
"""Blue, green, red of the outlines: yellow for masks that were found, green for annotated ones."""
_WHITE, _INK = (255, 255, 255), (40, 40, 40)


@dataclass(frozen=True, slots=True)
class SheetImage:
    """An image on a sheet.

    Attributes:
        film: uint8 (H, W).
        found: bool (H, W), the mask that was found.
        drawn: bool (H, W), the annotated mask; None: there is none.
        caption: ASCII text.
    """

    film: Pixels
    found: Mask
    drawn: Mask | None
    caption: str


def save_outlines(shown: Sequence[SheetImage], path: Path) -> None:
    """Draw the outlines over the images, in rows of six; at least one image."""
    cells = [_with_caption(_outlined(one), one.caption) for one in shown]
    _save(_rows(cells, _COLUMNS), path)


def save_views(shown: Sequence[SheetImage], path: Path) -> None:
    """Draw each image, its outline and the views of its lungs in a row; at least one image."""
    cells = []
    for one in shown:
        views = {view: lung_view(one.film, one.found, view) for view in get_args(LungView)}
        cells += [
            _with_caption(_coloured(one.film), "film"),
            _with_caption(_outlined(one), one.caption),
            *(_with_caption(_coloured(pixels), str(view)) for view, pixels in views.items()),
        ]
    _save(_rows(cells, 2 + len(get_args(LungView))), path)


def _coloured(film: Pixels) -> Pixels:
    """Stretch to a square, as images of the index are, in blue, green and red."""
    square = cv2.resize(film, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.cvtColor(square, cv2.COLOR_GRAY2BGR), np.uint8)


def _outlined(one: SheetImage) -> Pixels:
    picture = _coloured(one.film)
    for mask, colour in ((one.drawn, _DRAWN), (one.found, _FOUND)):
        if mask is not None:
            square = fit_mask(mask, (_SIDE, _SIDE)).astype(np.uint8)
            outlines, _ = cv2.findContours(square, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
            cv2.drawContours(picture, outlines, -1, colour, 1)
    return picture


def _with_caption(picture: Pixels, caption: str) -> Pixels:
    cell: Pixels = np.full((_SIDE + _LINE, _SIDE + 4, 3), _WHITE, np.uint8)
    cell[_LINE:, 2:-2] = picture
    place, font = (3, _LINE - 6), cv2.FONT_HERSHEY_SIMPLEX
    cv2.putText(cell, caption, place, font, 0.36, _INK, 1, cv2.LINE_AA)
    return cell


def _rows(cells: Sequence[Pixels], columns: int) -> Pixels:
    columns = min(columns, len(cells))
    empty: Pixels = np.full_like(cells[0], 255)
    filled = [*cells, *[empty] * (-len(cells) % columns)]
    rows = [
        np.concatenate(filled[start : start + columns], axis=1)
        for start in range(0, len(filled), columns)
    ]
    return np.concatenate(rows, axis=0)


def _save(picture: Pixels, path: Path) -> None:
    _, encoded = cv2.imencode(".png", picture)
    path.write_bytes(encoded.tobytes())
