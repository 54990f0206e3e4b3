"""Shares of the maps that fall on the border and into the lungs.

Compare a share with the share of the area, which an even map would have.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from balancer.data.masks.read import MaskStack
from balancer.drawing.inks import figure_name
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


_INKS = ("#2e3440", "#b5305a", "#0072b2", "#1b6e3c", "#7a4fa3")
_REFERENCE = "#e69f00"
_DPI = 110
_FEW = 3
"""Least number of values for which quartiles are drawn."""


def save_map_shares(
    maps: Mapping[str, MapShares],
    labels: NDArray[np.int64],
    classes: Sequence[str],
    *,
    title: str,
    path: Path,
) -> None:
    """Draw one panel per region, and in it one line of images per class and model.

    Args:
        maps: Shares of the maps of N images, by model.
        labels: int64 (N,), true classes.
        classes: Their names.
        title: Title of the figure.
        path: Path to the PNG.
    """
    first = next(iter(maps.values()))
    lines = [(label, name) for label in range(len(classes)) for name in maps]
    figure = Figure(
        figsize=(4.9 * len(first.shares) + 1.6, 0.5 * len(lines) + 1.9),
        dpi=_DPI,
        layout="constrained",
    )
    figure.suptitle(title, size=10)
    panels = figure.subplots(1, len(first.shares), squeeze=False, sharey=True)[0]
    for axes, region in zip(panels, first.shares, strict=True):
        for height, (label, name) in enumerate(reversed(lines)):
            of = maps[name]
            rows = (labels == label) & ~np.isnan(of.shares[region])
            ink = _INKS[list(maps).index(name) % len(_INKS)]
            _draw(axes, of.shares[region][rows], of.areas[region][rows], height, ink)
        axes.set(xlim=(-0.02, 1.02), ylim=(-0.6, len(lines) - 0.4))
        axes.set_xlabel(f"share of the map: {region}")
        axes.grid(axis="x", color="#e5e9f0", linewidth=0.8)
        axes.set_axisbelow(True)
    panels[0].set_yticks(
        range(len(lines)), [_tick(maps[n], labels == c, classes[c], n) for c, n in reversed(lines)]
    )
    panels[0].tick_params(axis="y", labelsize=8)
    handles = [
        Line2D([], [], color="black", linewidth=5),
        Line2D([], [], color="black", linewidth=1.2),
        Line2D([], [], color=_REFERENCE, linestyle="none", marker="|", markersize=13, mew=2.5),
        Line2D([], [], color="white", linestyle="none", marker="D", mec="black", markersize=5),
    ]
    words = ["half of the images", "90 %", "share of the area: what an even map gives", "mean"]
    figure.legend(handles, words, loc="outside lower center", ncols=4, frameon=False, fontsize=8)
    figure.savefig(path)


def _draw(
    axes: Axes, shares: NDArray[np.float64], areas: NDArray[np.float64], height: int, ink: str
) -> None:
    if not len(shares):
        axes.text(0.5, height, "no map", ha="center", va="center", size=8, color="grey")
        return
    spread = np.random.default_rng(height).uniform(-0.22, 0.22, len(shares))
    axes.scatter(shares, height + spread, s=7, color=ink, alpha=0.35, linewidths=0)
    if len(shares) >= _FEW:
        low, first, third, high = np.quantile(shares, [0.05, 0.25, 0.75, 0.95])
        axes.plot([low, high], [height] * 2, color=ink, linewidth=1.2)
        axes.plot([first, third], [height] * 2, color=ink, linewidth=5, solid_capstyle="butt")
    axes.plot(areas.mean(), height, "|", color=_REFERENCE, markersize=24, markeredgewidth=2.5)
    axes.plot(shares.mean(), height, "D", color="white", markersize=5, markeredgecolor=ink)


def _tick(maps: MapShares, rows: NDArray[np.bool_], label: str, name: str) -> str:
    empty = int((maps.empty & rows).sum())
    note = f", {empty} without a map" if empty else ""
    grid = f"{maps.grid[0]} x {maps.grid[1]}"
    return f"{figure_name(label)}, {figure_name(name)}\nn {int(rows.sum())}{note}; grid {grid}"
