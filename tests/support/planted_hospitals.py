"""Two hospitals of drawn chests: at home one class comes from a scanner of its own."""

from collections.abc import Callable, Mapping
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from samples.phantom import draw_phantom

Pixels = NDArray[np.uint8]
SIZE = 64


def marked(film: Pixels) -> Pixels:
    """A white square in the upper corner, as a letter of lead."""
    changed = film.copy()
    changed[2:16, 2:16] = 255
    return changed


def blurred(film: Pixels) -> Pixels:
    """A film out of focus, the lungs too."""
    return np.asarray(cv2.GaussianBlur(film, (0, 0), 1.2), np.uint8)


def framed(film: Pixels) -> Pixels:
    """An even black frame around the film."""
    return np.pad(film, 9)


def as_it_is(film: Pixels) -> Pixels:
    """A film of the scanner that all films elsewhere are from."""
    return film


def write_hospital(
    root: Path, covid: Callable[[Pixels], Pixels], *, each: int, first_seed: int
) -> Path:
    """Write `each` films of COVID, from a scanner of their own, and of Normal."""
    for number, (label, scanner) in enumerate((("COVID", covid), ("Normal", as_it_is))):
        (root / label).mkdir(parents=True)
        for place in range(each):
            seed = first_seed + number * each + place
            film = draw_phantom(seed, covid=label == "COVID", size=SIZE)
            Image.fromarray(scanner(film)).save(root / label / f"{place:03}.png")
    return root


Scanner = Callable[[Pixels], Pixels]


def write_sources(
    root: Path, sources: Mapping[str, Mapping[str, Scanner]], *, each: int, first_seed: int = 0
) -> Path:
    """Write `each` films of every class of every source, and `metadata.csv` with the sources."""
    rows = ["path,source"]
    cells = [(source, label, scan) for source, of in sources.items() for label, scan in of.items()]
    for number, (source, label, scanner) in enumerate(cells):
        (root / label).mkdir(parents=True, exist_ok=True)
        for place in range(each):
            film = draw_phantom(
                first_seed + number * each + place, covid=label == "COVID", size=SIZE
            )
            name = f"{label}/{source}-{place:03}.png"
            Image.fromarray(scanner(film)).save(root / name)
            rows.append(f"{name},{source}")
    (root / "metadata.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    return root
