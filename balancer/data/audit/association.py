"""Association of a property of the images, such as their source, with the class."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

_GIVES_AWAY = 0.8


@dataclass(frozen=True, slots=True)
class Association:
    """Association of a property of the images with their class.

    Attributes:
        table: Value to class to number of images.
        cramers_v: Cramer's V, 0 (independent) to 1 (one determines the other); None with fewer than
            two values.
        gives_label_away: A classifier could predict the class from this property alone.
    """

    table: dict[str, dict[str, int]]
    cramers_v: float | None
    gives_label_away: bool


def associate(values: Sequence[str], labels: Sequence[str]) -> Association | None:
    """Cross-tabulate a property of the images with their class.

    Args:
        values: Source or view of each image, empty if unknown.
        labels: Class of each image.

    Returns:
        The association; None if the property is unknown for all images.
    """
    if not any(values):
        return None
    named = sorted(set(labels))
    counts = Counter(zip(values, labels, strict=True))
    table = {
        value or "(unknown)": {label: counts[value, label] for label in named}
        for value in sorted(set(values))
    }
    known = [list(row.values()) for value, row in table.items() if value != "(unknown)"]
    grid = np.array(known, dtype=np.float64)
    strength = _cramers_v(grid)
    # Needs two values and two classes; a property known in one class only means nothing.
    one_class_each = strength is not None and bool(np.all((grid > 0).sum(axis=1) == 1))
    away = one_class_each or (strength is not None and strength > _GIVES_AWAY)
    return Association(table, strength, away)


def _cramers_v(grid: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> float | None:
    grid = grid[:, grid.sum(axis=0) > 0]
    if min(grid.shape) < 2:
        return None
    total = grid.sum()
    expected = np.outer(grid.sum(axis=1), grid.sum(axis=0)) / total
    chi_squared = (np.square(grid - expected) / expected).sum()
    return float(np.sqrt(chi_squared / total / (min(grid.shape) - 1)))
