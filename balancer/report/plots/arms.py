"""Pictures of all arms side by side: forest, runs, class balance, calibration."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from balancer.ablation.arm_records import ArmResult
from balancer.drawing.inks import KINDS, figure_name, in_legend, ink, marker
from balancer.drawing.numbers import HasInterval

Arms = Mapping[str, ArmResult]
_DPI = 150
_ROW = 0.36
_INK, _GREY, _PALE = "#1f2733", "#5b6472", "#e3e8f0"
_UNDEFINED = "undefined"


@dataclass(frozen=True, slots=True)
class Panel:
    """One column of a forest plot.

    Attributes:
        title: Title of its axis.
        differences: Arm to its difference.
        labels: Arm to the text on its right.
    """

    title: str
    differences: Mapping[str, HasInterval]
    labels: Mapping[str, str]


def save_forest(
    arms: Arms, panels: Sequence[Panel], *, margin: float, path: Path, narrow: bool = False
) -> None:
    """Draw differences with their 95 % intervals.

    Args:
        arms: Results of the arms.
        panels: Panels side by side, on one scale.
        margin: Half the width of the shaded strip.
        path: Path to the PNG to write.
        narrow: Panels one above the other, for phones.
    """
    heights = [_ROW * len(panel.differences) + 1.1 for panel in panels]
    if narrow:
        figure = Figure(figsize=(4.7, sum(heights) + 0.4), dpi=_DPI, layout="constrained")
        grid = figure.subplots(len(panels), 1, squeeze=False, height_ratios=heights)[:, 0]
    else:
        size = (5.2 * len(panels) + 0.8, max(heights) + 0.4)
        figure = Figure(figsize=size, dpi=_DPI, layout=ConstrainedLayoutEngine(wspace=0.06))
        grid = figure.subplots(1, len(panels), squeeze=False)[0]
    span = _span(panels, margin)
    for axes, panel in zip(grid, panels, strict=True):
        _forest_panel(axes, arms, panel, margin)
        axes.set_xlim(*span)
    _kind_legend(figure, arms)
    figure.savefig(path)


def _forest_panel(axes: Axes, arms: Arms, panel: Panel, margin: float) -> None:
    names = list(panel.differences)[::-1]
    axes.axvspan(-margin, margin, color=_PALE, zorder=0)
    axes.axvline(0, color=_GREY, linewidth=1, zorder=1)
    for row, name in enumerate(names):
        kind, found = arms[name].kind, panel.differences[name]
        if found.value is None:
            axes.text(0, row, _UNDEFINED, ha="center", va="center", fontsize=8, color=_GREY)
        else:
            if found.low is not None and found.high is not None:
                axes.plot([found.low, found.high], [row, row], color=ink(kind), linewidth=2)
            axes.plot(found.value, row, marker(kind), color=ink(kind), markersize=6.5)
        axes.text(1.02, row, panel.labels[name], va="center", fontsize=8.5, color=_INK,
                  transform=axes.get_yaxis_transform())  # fmt: skip
    axes.set_yticks(range(len(names)), [figure_name(name) for name in names], fontsize=9)
    axes.set_ylim(-0.6, len(names) - 0.4)
    axes.set_xlabel(figure_name(panel.title, 60), fontsize=9)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=5))
    axes.tick_params(axis="x", labelsize=8)
    axes.tick_params(axis="y", length=0)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)


def _span(panels: Sequence[Panel], margin: float) -> tuple[float, float]:
    """Return the limits of all panels: on one scale, equal lengths are equal differences."""
    ends = [-1.6 * margin, 1.6 * margin]
    for panel in panels:
        for found in panel.differences.values():
            ends += [end for end in (found.low, found.value, found.high) if end is not None]
    low, high = min(ends), max(ends)
    room = 0.05 * (high - low)
    return low - room, high + room


def _kind_legend(figure: Figure, arms: Arms) -> None:
    handles = [
        Line2D([], [], color=KINDS[kind][0], marker=KINDS[kind][1], linestyle="none",
               label=KINDS[kind][2])
        for kind in in_legend(arm.kind for arm in arms.values())
    ]  # fmt: skip
    figure.legend(
        handles=handles, loc="outside upper center", ncols=len(handles), frameon=False, fontsize=8.5
    )


def save_variance(arms: Arms, *, primary: str, title: str, path: Path) -> None:
    """Draw every run of every arm as a dot; runs of one split and seed are joined.

    Args:
        arms: Results of the arms.
        primary: Key of the metric; runs without it are left out.
        title: Name of the metric.
        path: Path to the PNG to write.
    """
    figure = Figure(figsize=(7.4, _ROW * len(arms) + 1.5), dpi=_DPI, layout="constrained")
    axes = figure.add_subplot()
    paired: dict[tuple[str, int], list[tuple[float, int]]] = {}
    rows = list(arms)[::-1]
    for row, name in enumerate(rows):
        kind, values = arms[name].kind, []
        for run in arms[name].per_run:
            value = run.value(primary)
            if value is not None:
                paired.setdefault((run.fold, run.seed), []).append((value, row))
                values.append(value)
        axes.plot(values, [row] * len(values), marker(kind), color=ink(kind), alpha=0.75,
                  markersize=5, zorder=3)  # fmt: skip
        if values:
            mean = float(np.mean(values))
            axes.plot([mean, mean], [row - 0.3, row + 0.3], color=ink(kind), linewidth=2, zorder=4)
        else:
            axes.text(0.5, row, _UNDEFINED, transform=axes.get_yaxis_transform(), va="center",
                      ha="center", fontsize=8, color=_GREY)  # fmt: skip
    for points in paired.values():
        across, up = zip(*points, strict=True)
        axes.plot(across, up, color="#aab2bf", linewidth=0.7, zorder=1)
    axes.set_yticks(range(len(rows)), [figure_name(name) for name in rows], fontsize=9)
    axes.set_ylim(-0.6, len(rows) - 0.4)
    axes.set_xlabel(f"{title} of each run (bar: mean)", fontsize=9)
    axes.tick_params(axis="x", labelsize=8)
    _kind_legend(figure, arms)
    figure.savefig(path)


def save_balance(
    before: Mapping[str, float], after: Mapping[str, Mapping[str, float]], path: Path
) -> None:
    """Draw the training images of each class, real and added, for each arm.

    Args:
        before: Class to number of real training images.
        after: Arm to class to number of training images; it can be smaller than before.
        path: Path to the PNG to write.
    """
    classes, names = list(before), list(after)[::-1]
    columns = min(3, len(classes))
    rows = -(-len(classes) // columns)
    figure = Figure(
        figsize=(2.2 + 2.6 * columns, rows * (0.3 * len(names) + 1.1) + 0.3), dpi=_DPI,
        layout="constrained",
    )  # fmt: skip
    grid = figure.subplots(rows, columns, squeeze=False, sharey=True).ravel()
    for axes, label in zip(grid, classes, strict=False):
        for row, name in enumerate(names):
            total = after[name].get(label, 0)
            kept = min(total, before[label])
            axes.barh(row, kept, color="#7b8794", height=0.66)
            axes.barh(row, total - kept, left=kept, color="#b5305a", hatch="////",
                      edgecolor="white", linewidth=0, height=0.66)  # fmt: skip
            axes.text(total, row, f" {total:g}", va="center", fontsize=8)
        axes.axvline(before[label], color=_GREY, linestyle=":", linewidth=1)
        axes.set_title(figure_name(label, 24), fontsize=10)
        axes.set_yticks(range(len(names)), [figure_name(name) for name in names], fontsize=9)
        axes.margins(x=0.2)
        axes.tick_params(axis="x", labelsize=8)
        for side in ("top", "right"):
            axes.spines[side].set_visible(False)
    for axes in grid[len(classes) :]:
        axes.set_visible(False)
    figure.supxlabel("Training images (grey: real; hatched: added; dotted: before)", fontsize=9)
    figure.savefig(path)


def save_calibration(arms: Arms, path: Path) -> None:
    """Draw the Brier score and the calibration error of each arm, raw and recalibrated.

    Args:
        arms: Results of the arms.
        path: Path to the PNG to write.
    """
    figure = Figure(figsize=(7.6, _ROW * len(arms) + 1.5), dpi=_DPI, layout="constrained")
    panels = figure.subplots(1, 2, sharey=True)
    rows = list(arms)[::-1]
    for axes, key, title in zip(panels, ("brier", "ece"), ("Brier score", "ECE"), strict=True):
        for row, name in enumerate(rows):
            kind, calibration = arms[name].kind, arms[name].calibration
            # Early versions have a correction of the prior in its place.
            after = (calibration.recalibrated or calibration.corrected)[key].value
            raw = calibration.raw[key].value
            if raw is not None and after is not None:
                axes.plot([raw, after], [row, row], color="#aab2bf", linewidth=1.5, zorder=1)
            for value, face in ((raw, "white"), (after, ink(kind))):
                if value is not None:
                    axes.plot(value, row, marker(kind), markerfacecolor=face,
                              markeredgecolor=ink(kind), markersize=6.5)  # fmt: skip
        axes.set_xlabel(f"{title} (lower is better)", fontsize=9)
        axes.tick_params(axis="x", labelsize=8)
        axes.set_ylim(-0.6, len(rows) - 0.4)
    panels[0].set_yticks(range(len(rows)), [figure_name(name) for name in rows], fontsize=9)
    figure.suptitle("Hollow: raw. Filled: recalibrated.", fontsize=9)
    figure.savefig(path)
