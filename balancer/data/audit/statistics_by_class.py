"""Separation of the classes by size, exposure, borders or text alone, without the disease."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from balancer.data.film.examine import Examined
from balancer.domains.domain import CHEST, Domain, domain_of

GIVES_AWAY = 0.80
"""Least AUROC of a statistic that gives a class away."""
_SURE = 0.70
"""The lower end of its 95 % interval must be above this."""


@dataclass(frozen=True, slots=True)
class Statistic:
    """Statistic of an image, one number.

    Attributes:
        name: Name of the column in `audit.json`.
        title: Plain words, as in "The sharpness alone ...".
        of_the_lungs: A disease of the lungs can change it, so a difference need be no shortcut.
    """

    name: str
    title: str
    of_the_lungs: bool = False


STATISTICS = (
    Statistic("width", "width in pixels"),
    Statistic("height", "height in pixels"),
    Statistic("aspect", "ratio of width to height"),
    Statistic("sharpness", "sharpness"),
    Statistic("mean", "mean grey level"),
    Statistic("deviation", "spread of the grey levels"),
    Statistic("black", "share of black pixels"),
    Statistic("white", "share of white pixels"),
    Statistic("dark_border", "width of dark borders"),
    Statistic("bright_border", "width of bright borders"),
    Statistic("rim_mean", "grey level of the rim"),
    Statistic("rim_deviation", "spread of the grey levels of the rim"),
    Statistic("text", "share of the image that is text"),
    Statistic("colour", "share of coloured pixels"),
)


def by_class(images: Sequence[Examined], domain: Domain | None = None) -> dict[str, Any]:
    """Compute median and AUROC of every statistic for every class against the others.

    Args:
        images: The images.
        domain: Their kind, which says what a disease can change; None: chest radiographs.

    Returns:
        JSON types: `table`, for each statistic its `title`, `of_the_lungs`, and by class `median`
        and `auroc`, above 0.5 if the class has the larger values; `strongest`, the statistic and
        class whose AUROC is farthest from 0.5, or None if nothing varies; and `gives_away`, all
        that reach 0.80 with a lower end of the 95 % interval above 0.70.
    """
    labels = np.array([image.label for image in images])
    classes = sorted(set(labels.tolist()))
    table: dict[str, Any] = {}
    found: list[dict[str, Any]] = []
    changed = (domain or domain_of(CHEST)).disease_changes
    for plain in STATISTICS:
        statistic = replace(plain, of_the_lungs=plain.name in changed)
        values = np.array([value_of(image, statistic.name) for image in images])
        by_label: dict[str, Any] = {}
        for label in classes:
            inside = labels == label
            area = auroc(values[inside], values[~inside])
            by_label[label] = {"median": round(float(np.median(values[inside])), 4), "auroc": area}
            if area is not None:
                n = int(inside.sum()), int((~inside).sum())
                found.append(_strength(statistic, label, area, *n))
        table[statistic.name] = {
            "title": statistic.title,
            "of_the_lungs": statistic.of_the_lungs,
            "classes": by_label,
        }
    found.sort(key=lambda one: (-one["strength"], one["statistic"], one["class"]))
    strong = [one for one in found if one["gives_class_away"]]
    varies = found and found[0]["strength"] > 0.5
    return {
        "table": table,
        "strongest": found[0] if varies else None,
        "gives_away": strong,
    }


def value_of(image: Examined, name: str) -> float:
    """Return one statistic of one image."""
    if name in ("width", "height"):
        return float(getattr(image, name))
    if name == "aspect":
        return image.width / image.height
    return float(getattr(image.facts, name))


def auroc(positive: NDArray[np.float64], negative: NDArray[np.float64]) -> float | None:
    """Probability that one of the first is larger than one of the second, ties half.

    Returns:
        None where one of them is empty.
    """
    if not len(positive) or not len(negative):
        return None
    ordered = np.sort(negative)
    below = np.searchsorted(ordered, positive, "left")
    not_above = np.searchsorted(ordered, positive, "right")
    return round(float((below + not_above).sum() / 2 / len(positive) / len(negative)), 4)


def _strength(
    statistic: Statistic, label: str, area: float, n_positive: int, n_negative: int
) -> dict[str, Any]:
    strength = max(area, 1 - area)
    # Hanley and McNeil 1982, doi:10.1148/radiology.143.1.7063747
    one, two = strength / (2 - strength), 2 * strength**2 / (1 + strength)
    variance = strength * (1 - strength)
    variance += (n_positive - 1) * (one - strength**2) + (n_negative - 1) * (two - strength**2)
    low = strength - 1.96 * float(np.sqrt(max(variance, 0.0) / n_positive / n_negative))
    return {
        "statistic": statistic.name,
        "title": statistic.title,
        "class": label,
        "auroc": area,
        "strength": round(strength, 4),
        "low": round(low, 4),
        "larger": area > 0.5,
        "of_the_lungs": statistic.of_the_lungs,
        "gives_class_away": strength >= GIVES_AWAY and low > _SURE,
    }
