"""Pictures of lung masks, as PNG: outlines over films, and what each view leaves of a film."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import cv2
import numpy as np
from numpy.typing import NDArray

from balancer.imaging.lungs.views import LungView, lung_view
from balancer.imaging.pixels import Pixels

Mask = NDArray[np.bool_]

_SIDE, _LINE = 224, 18
_COLUMNS = 6
_FOUND, _DRAWN = (0, 210, 255), (120, 200, 60)
"""Blue, green, red of the outlines: yellow for what was found, green for what somebody drew."""
_WHITE, _INK = (255, 255, 255), (40, 40, 40)


@dataclass(frozen=True, slots=True)
class Shown:
    """A film on a sheet.

    Attributes:
        film: uint8 (H, W).
        found: bool (H, W), the mask that was found.
        drawn: bool (H, W), the mask that somebody drew; None: there is none.
        caption: Of ASCII characters.
    """

    film: Pixels
    found: Mask
    drawn: Mask | None
    caption: str


def save_outlines(shown: Sequence[Shown], path: Path) -> None:
    """Draw the outlines over the films, in rows of six; at least one film."""
    cells = [_with_caption(_outlined(one), one.caption) for one in shown]
    _save(_rows(cells, _COLUMNS), path)


def save_views(shown: Sequence[Shown], path: Path) -> None:
    """Draw each film, its outline and the views of its lungs, a row for each; at least one."""
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
    """A square, stretched as the films of the index are, in blue, green and red."""
    square = cv2.resize(film, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.cvtColor(square, cv2.COLOR_GRAY2BGR), np.uint8)


def _outlined(one: Shown) -> Pixels:
    picture = _coloured(one.film)
    for mask, colour in ((one.drawn, _DRAWN), (one.found, _FOUND)):
        if mask is not None:
            square = cv2.resize(
                mask.astype(np.uint8), (_SIDE, _SIDE), interpolation=cv2.INTER_NEAREST_EXACT
            )
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
