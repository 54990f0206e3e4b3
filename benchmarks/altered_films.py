"""Films with a fault, and edited copies of films, for `audit_checks.py`.

Each function takes a film, uint8 (H, W), and draws its own parameters.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]


def negative(film: Pixels, rng: np.random.Generator) -> Pixels:
    """White on black."""
    return 255 - film


def upside_down(film: Pixels, rng: np.random.Generator) -> Pixels:
    """Top to bottom."""
    return np.ascontiguousarray(film[::-1])


def torn(film: Pixels, rng: np.random.Generator) -> Pixels:
    """From a row between 25 and 75 % of the height on, shifted by 10 to 50 % of the width."""
    height, width = film.shape
    row, shift = round(height * rng.uniform(0.25, 0.75)), round(width * rng.uniform(0.1, 0.5))
    return np.concatenate([film[:row], np.roll(film[row:], shift, axis=1)])


def lettered(film: Pixels, rng: np.random.Generator) -> Pixels:
    """Two lines of white text with a dark edge, 5 % of the height tall, near the top."""
    film, height = film.copy(), len(film)
    for line, text in enumerate(
        ("PORTABLE SUPINE", f"DAY {rng.integers(1, 30)}  09:{rng.integers(10, 60)}")
    ):
        place = (round(0.04 * height), round(height * (0.1 + 0.09 * line)))
        scale = 0.05 * height / 21  # its capitals are 21 px tall at scale 1
        for grey, thick in ((0, 3), (255, 1)):
            cv2.putText(film, text, place, cv2.FONT_HERSHEY_SIMPLEX, scale, grey, thick)
    return film


def faint(film: Pixels, rng: np.random.Generator) -> Pixels:
    """20 grey levels."""
    return (100 + film.astype(np.float32) * (19 / 255)).astype(np.uint8)


def gamma(film: Pixels, rng: np.random.Generator) -> Pixels:
    """Gamma of 0.55 to 0.75 or its inverse."""
    power = rng.uniform(0.55, 0.75) ** rng.choice([-1, 1])
    return (255 * (film / 255.0) ** power).astype(np.uint8)


def captioned(film: Pixels, rng: np.random.Generator) -> Pixels:
    """One line of text near the bottom."""
    film, height = film.copy(), len(film)
    place = (round(0.05 * height), round(0.95 * height))
    text = f"PORTABLE day {rng.integers(1, 30)}"
    cv2.putText(film, text, place, cv2.FONT_HERSHEY_SIMPLEX, height / 400, 255, 1 + height // 300)
    return film


def mirrored(film: Pixels, rng: np.random.Generator) -> Pixels:
    """Left to right."""
    return np.ascontiguousarray(film[:, ::-1])


def turned(film: Pixels, rng: np.random.Generator) -> Pixels:
    """By 3 to 8 degrees either way."""
    height, width = film.shape
    angle = rng.uniform(3, 8) * rng.choice([-1, 1])
    turn = cv2.getRotationMatrix2D((width / 2, height / 2), angle, 1)
    return np.asarray(cv2.warpAffine(film, turn, (width, height)), np.uint8)


def clahe(film: Pixels, rng: np.random.Generator) -> Pixels:
    """Clip limit 2.0, 8 x 8 tiles."""
    return np.asarray(cv2.createCLAHE(2.0, (8, 8)).apply(film), np.uint8)


def framed(film: Pixels, rng: np.random.Generator) -> Pixels:
    """Black around it, 8 to 14 % of the height on each side."""
    edge = round(rng.uniform(0.08, 0.14) * len(film))
    return np.asarray(
        cv2.copyMakeBorder(film, edge, edge, edge, edge, cv2.BORDER_CONSTANT), np.uint8
    )


def cropped(film: Pixels, rng: np.random.Generator) -> Pixels:
    """By 10 to 18 % on each side."""
    height, width = film.shape
    top, bottom, left, right = rng.uniform(0.1, 0.18, 4)
    rows = slice(round(top * height), round((1 - bottom) * height))
    return film[rows, round(left * width) : round((1 - right) * width)]
