"""Plot of the shares of the maps on the border and in the lungs."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from balancer.drawing.inks import figure_name
from balancer.explanation.map_shares import MapShares

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
