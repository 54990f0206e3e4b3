"""Shares of the maps that fall on the border and into the lungs.

Compare a share with the share of the area, which an even map would have.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from balancer.data.masks.read import MaskStack
from balancer.evaluation.fit_and_test import NotedImages
from balancer.explanation.records import ClassShares, RegionShare
from balancer.shortcuts.views import CENTRE_SHARE, central_region
from classifier.bootstrap import group_weights
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
class MapShares:
    """Shares of one model's maps of N images, by region.

    Attributes:
        shares: Region to float64 (N,) in [0, 1], the share of each map inside it; NaN where the map
            is empty or the image has no mask.
        areas: Region to float64 (N,), its share of the image's area; NaN as above.
        empty: bool (N,), images without a map.
        grid: Height and width of the feature maps.
    """

    shares: dict[str, Floats]
    areas: dict[str, Floats]
    empty: NDArray[np.bool_]
    grid: tuple[int, int]


def region_shares(maps: NDArray[np.float32], regions: NDArray[np.bool_]) -> Floats:
    """Return the share of each map inside its region.

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


def measure_shares(images: NotedImages, target: int, masks: MaskStack | None) -> MapShares:
    """Make the maps of a class for all images, and measure their shares.

    Args:
        images: Test images, noted in the ledger.
        target: Number of the class.
        masks: Lung masks of the images, at the side that the network sees; None: there are none.
    """
    loaded, rows = images.loaded, range(len(images.table))
    side = loaded.network.preprocessing.input_size
    border = ~central_region(side)
    shares: dict[str, list[Floats]] = {BORDER: [], LUNGS: []}
    empty, grid = [], (0, 0)
    for start in range(0, len(rows), _BATCH):
        part = slice(start, start + _BATCH)
        found = grad_cam(loaded.networks, prepared_images(loaded, images.table, rows[part]), target)
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
    return MapShares(whole, areas, np.concatenate(empty), grid)


def summarize(
    maps: MapShares,
    chosen: NDArray[np.bool_],
    groups: Sequence[str],
    *,
    n_bootstrap: int,
    seed: int,
) -> ClassShares:
    """Return mean shares of some of the images, with 95 % intervals by resampling groups.

    Args:
        maps: Shares of N maps.
        chosen: bool (N,), the images.
        groups: Group of each of the N images.
        n_bootstrap: Number of resamples.
        seed: Seed for the resampling.
    """
    regions = {}
    for region, shares in maps.shares.items():
        rows = np.flatnonzero(chosen & ~np.isnan(shares)).tolist()
        low, high = _ends(
            shares[rows], [groups[row] for row in rows], n_bootstrap=n_bootstrap, seed=seed
        )
        regions[region] = RegionShare(
            value=_mean(shares[rows]),
            low=low,
            high=high,
            reference=_mean(maps.areas[region][rows]),
            n=len(rows),
        )
    return ClassShares(n=int(chosen.sum()), n_empty=int((maps.empty & chosen).sum()), **regions)


def _ends(
    values: Floats, groups: Sequence[str], *, n_bootstrap: int, seed: int
) -> tuple[float | None, float | None]:
    if len(set(groups)) < 2:
        return None, None
    means = np.concatenate(
        [weights @ values / weights.sum(1) for weights in group_weights(groups, n_bootstrap, seed)]
    )
    low, high = np.quantile(means, [0.025, 0.975])
    return float(low), float(high)


def _mean(values: Floats) -> float | None:
    return float(values.mean()) if len(values) else None
