"""Picture of the decision curves.

Small because a plot of its own, as each in this room.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from balancer.ablation.arm_records import ArmResult
from balancer.drawing.inks import figure_name, ink

_DPI = 150
_GREY = "#5b6472"
_LINES = ("-", "--", "-.", ":", (0, (5, 1)), (0, (1, 1)))


def save_decisions(
    arms: Mapping[str, ArmResult], prevalence: float, threshold: float | None, path: Path
) -> None:
    """Draw the net benefit of each arm at each threshold, with its 95 % interval.

    Args:
        arms: Arms to draw, at most six.
        prevalence: Share of the positive class, for the line of acting on all images.
        threshold: The registered threshold; None: not drawn.
        path: Path to the PNG to write.
    """
    figure = Figure(figsize=(7.4, 4.2), dpi=_DPI, layout="constrained")
    axes = figure.add_subplot()
    grid = np.linspace(0, 0.95, 200)
    to_all = prevalence - (1 - prevalence) * grid / (1 - grid)
    axes.plot(grid, to_all, color=_GREY, linewidth=1, label="act on all")
    axes.axhline(0, color=_GREY, linewidth=1, linestyle=":", label="act on none")
    for line, (name, arm) in zip(_LINES, arms.items(), strict=False):
        x = [point.threshold for point in arm.decision]
        levels = [point.level for point in arm.decision]
        y = np.array([np.nan if level.value is None else level.value for level in levels])
        low, high = (
            [np.nan if end is None else end for end in ends]
            for ends in ([level.low for level in levels], [level.high for level in levels])
        )
        axes.fill_between(x, low, high, color=ink(arm.kind), alpha=0.12, linewidth=0)
        axes.plot(x, y, color=ink(arm.kind), linestyle=line, label=figure_name(name))
    if threshold is not None:
        axes.axvline(threshold, color=_GREY, linewidth=0.8, linestyle="--")
    axes.set_xlim(0, 1)
    axes.set_ylim(-0.1 * prevalence, 1.15 * prevalence)
    axes.set_xlabel("Probability at which one would act", fontsize=9)
    axes.set_ylabel("Net benefit", fontsize=9)
    axes.tick_params(labelsize=8)
    axes.legend(frameon=False, fontsize=8)
    figure.savefig(path)
