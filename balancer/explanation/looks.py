"""Where maps lie: which share of them falls on the border and into the lungs.

A share says something beside the share of the area alone: that is what a map gives which is the
same everywhere.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from balancer.data.index import RadiographTable
from balancer.data.masks.read import MaskStack
from balancer.shortcuts.views import CENTRE_SHARE, central_region
from classifier.bootstrap import group_weights
from classifier.checkpoint import LoadedClassifier
from classifier.explain import grad_cam, prepared_images

log = logging.getLogger(__name__)

Floats = NDArray[np.float64]

BORDER, LUNGS = "border", "lungs"
DEFINITIONS = {
    BORDER: f"outside the central region, a superellipse over {CENTRE_SHARE:.0%} of either side",
    LUNGS: "inside the lung masks, of images that have one",
}
_BATCH = 64


@dataclass(frozen=True, slots=True)
class Looks:
    """Where the maps of N images lie, for one model.

    Attributes:
        shares: Region to float64 (N,) in [0, 1]: the share of each map inside it; NaN where the map
            is empty or the image has no mask.
        areas: Region to float64 (N,): its share of the image's area; NaN as above.
        empty: bool (N,), images without a map.
        grid: Height and width of the feature maps.
    """

    shares: dict[str, Floats]
    areas: dict[str, Floats]
    empty: NDArray[np.bool_]
    grid: tuple[int, int]


def region_shares(maps: NDArray[np.float32], regions: NDArray[np.bool_]) -> Floats:
    """Which share of each map lies in its region.

    Args:
        maps: float32 (N, S, S), not negative.
        regions: bool (N, S, S), or (S, S) for all.

    Returns:
        float64 (N,) in [0, 1]; NaN where a map is zero everywhere.
    """
    total = maps.sum(axis=(1, 2), dtype=np.float64)
    inside = (maps * regions).sum(axis=(1, 2), dtype=np.float64)
    shares: Floats = np.divide(inside, total, out=np.full(len(maps), np.nan), where=total > 0)
    return shares


def look(
    loaded: LoadedClassifier,
    table: RadiographTable,
    rows: Sequence[int],
    target: int,
    masks: MaskStack | None,
) -> Looks:
    """Make the maps of a class for rows of a table, and see where they lie.

    Args:
        loaded: The classifier.
        table: Images at the side that it reads.
        rows: Which of them.
        target: Number of the class.
        masks: Of these rows, at the side that the network sees; None: there are none.
    """
    side = loaded.network.preprocessing.input_size
    border = ~central_region(side)
    shares: dict[str, list[Floats]] = {BORDER: [], LUNGS: []}
    empty, grid = [], (0, 0)
    for start in range(0, len(rows), _BATCH):
        part = slice(start, start + _BATCH)
        found = grad_cam(loaded.networks, prepared_images(loaded, table, rows[part]), target)
        empty.append(found.empty)
        grid = found.grid
        shares[BORDER].append(region_shares(found.maps, border))
        if masks is not None:
            inside = region_shares(found.maps, masks.lungs[part])
            shares[LUNGS].append(np.where(masks.present[part], inside, np.nan))
        log.debug("Maps of %d of %d images", min(start + _BATCH, len(rows)), len(rows))
    whole = {region: np.concatenate(values) for region, values in shares.items() if values}
    areas = {BORDER: np.full(len(rows), border.mean())}
    if masks is not None:
        areas[LUNGS] = masks.lungs.mean(axis=(1, 2))
    areas = {region: np.where(np.isnan(whole[region]), np.nan, areas[region]) for region in whole}
    return Looks(whole, areas, np.concatenate(empty), grid)


def summarise(
    looks: Looks,
    chosen: NDArray[np.bool_],
    groups: Sequence[str],
    *,
    n_bootstrap: int,
    seed: int,
) -> dict[str, Any]:
    """Mean shares of some of the images, with 95 % intervals by resampling groups.

    Returns:
        `n`, `n_empty`, and per region `value`, `low`, `high`, `reference` (the mean share of the
        area, of the same images) and `n`, the images it is of.
    """
    summary: dict[str, Any] = {
        "n": int(chosen.sum()),
        "n_empty": int((looks.empty & chosen).sum()),
    }
    for region, shares in looks.shares.items():
        rows = np.flatnonzero(chosen & ~np.isnan(shares)).tolist()
        summary[region] = _mean(
            shares[rows], [groups[row] for row in rows], n_bootstrap=n_bootstrap, seed=seed
        ) | {"reference": _plain_mean(looks.areas[region][rows]), "n": len(rows)}
    return summary


def _mean(
    values: Floats, groups: Sequence[str], *, n_bootstrap: int, seed: int
) -> dict[str, float | None]:
    if len(set(groups)) < 2:
        return {"value": _plain_mean(values), "low": None, "high": None}
    means = np.concatenate(
        [weights @ values / weights.sum(1) for weights in group_weights(groups, n_bootstrap, seed)]
    )
    low, high = np.quantile(means, [0.025, 0.975])
    return {"value": _plain_mean(values), "low": float(low), "high": float(high)}


def _plain_mean(values: Floats) -> float | None:
    return float(values.mean()) if len(values) else None
