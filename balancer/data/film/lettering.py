"""How much of a film is covered by lines of text: dates, names of days, captions.

A letter is a small patch of thin strokes that stands out from what lies around it; a line of text
is three or more of them, equally tall, close to each other and level. A lone R or L is none.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from balancer.data.io import Pixels

_LONG_SIDE = 320
_STANDS_OUT = 60
_STROKE = 7
_SMALLEST, _TALLEST = 4, 28
_LEAST_LETTERS = 3
_LEAST_SIDE = 96
"""Smaller images cannot be read, by nobody."""
_LEFT, _TOP, _WIDTH, _HEIGHT = range(4)
_Boxes = NDArray[np.int32]


def text_share(pixels: Pixels) -> float:
    """Share of a film, uint8 (H, W), inside the boxes of its lines of text, in [0, 1]."""
    height, width = pixels.shape
    if min(height, width) < _LEAST_SIDE:
        return 0.0
    scale = _LONG_SIDE / max(height, width)
    if scale < 1:
        side = (max(1, round(width * scale)), max(1, round(height * scale)))
        pixels = np.asarray(cv2.resize(pixels, side, interpolation=cv2.INTER_AREA), np.uint8)
    kernel = np.ones((_STROKE, _STROKE), np.uint8)
    covered = 0
    for kind in (cv2.MORPH_TOPHAT, cv2.MORPH_BLACKHAT):
        stands_out = (cv2.morphologyEx(pixels, kind, kernel) > _STANDS_OUT).view(np.uint8)
        covered += sum(_area(line) for line in _lines(_letters(stands_out)))
    return covered / pixels.size


def _letters(marks: NDArray[np.uint8]) -> _Boxes:
    """Boxes (M, 4) of what could be letters, from left to right."""
    # Contours cost a tenth of labelled components.
    outlines, _ = cv2.findContours(marks, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    boxes = [tuple(cv2.boundingRect(outline)) for outline in outlines]
    letters = sorted(box for box in boxes if _is_letter(marks, box))
    return np.array(letters, np.int32).reshape(-1, 4)


def _is_letter(marks: NDArray[np.uint8], box: tuple[int, ...]) -> bool:
    left, top, wide, tall = box
    if not _SMALLEST <= tall <= _TALLEST or wide > 1.5 * tall:
        return False
    drawn = cv2.countNonZero(marks[top : top + tall, left : left + wide])
    return bool(drawn >= 0.2 * tall * wide)


def _lines(letters: _Boxes) -> list[_Boxes]:
    lines: list[list[NDArray[np.int32]]] = []
    for letter in letters:
        home = next((line for line in lines if _follows(line[-1], letter)), None)
        if home is None:
            lines.append([letter])
        else:
            home.append(letter)
    return [np.stack(line) for line in lines if len(line) >= _LEAST_LETTERS]


def _follows(before: NDArray[np.int32], letter: NDArray[np.int32]) -> bool:
    tall = min(before[_HEIGHT], letter[_HEIGHT])
    gap = letter[_LEFT] - before[_LEFT] - before[_WIDTH]
    foot = abs(letter[_TOP] + letter[_HEIGHT] - before[_TOP] - before[_HEIGHT])
    return bool(
        max(before[_HEIGHT], letter[_HEIGHT]) <= 1.4 * tall
        and -0.3 * tall <= gap <= 0.9 * tall
        and foot <= 0.25 * tall
    )


def _area(line: _Boxes) -> int:
    left, top = line[:, _LEFT].min(), line[:, _TOP].min()
    right = (line[:, _LEFT] + line[:, _WIDTH]).max()
    bottom = (line[:, _TOP] + line[:, _HEIGHT]).max()
    return int((right - left) * (bottom - top))
