"""The curve of a metric over the number of real rare images, and the arms dropped to its axis."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator, StrMethodFormatter
from numpy.typing import NDArray

from balancer.ablation.frozen_records import ArmWorth, Worth
from balancer.drawing.inks import figure_name, ink, marker

Floats = NDArray[np.float64]
_DPI = 150
_GREY, _PALE, _LINE = "#5b6472", "#e3e8f0", "#1f2733"


def save_worth(worth: Worth, kinds: Mapping[str, str], path: Path) -> None:
    """Draw the curve with its 95 % band, and each arm with a number as a mark on it.

    An arm is placed at the height of the curve where it belongs; its interval lies on the axis
    below, and an end that the curve does not reach is an arrow.

    Args:
        worth: Curve and arms.
        kinds: Arm to its kind, which decides its colour.
        path: Path to the PNG to write.
    """
    arms = [name for name, arm in worth.arms.items() if arm.word != "nothing to gain"]
    figure = Figure(figsize=(7.4, 3.9 + 0.24 * len(arms)), dpi=_DPI, layout="constrained")
    upper, lower = figure.subplots(
        2, 1, sharex=True, height_ratios=[3.4, 0.5 + 0.24 * max(1, len(arms))]
    )
    n = np.array([point.n for point in worth.curve])
    fine = np.geomspace(n[0], n[-1], 200)
    fitted = np.array([point.fitted for point in worth.curve])
    low, high = (np.array([getattr(p, end) for p in worth.curve]) for end in ("low", "high"))
    ends = [_between(n, end, worth.exponent, fine) for end in (low, high)]
    upper.fill_between(fine, ends[0], ends[1], color=_PALE)
    upper.plot(fine, _between(n, fitted, worth.exponent, fine), color=_LINE, linewidth=1.6)
    upper.plot(n, [point.mean for point in worth.curve], "o", color=_LINE, markersize=4)
    upper.axvline(worth.base, color=_GREY, linestyle=":", linewidth=1)
    upper.annotate(
        f"every arm has {worth.base:.0f}", (worth.base, 0.03), xycoords=("data", "axes fraction"),
        xytext=(-4, 0), textcoords="offset points", ha="right", fontsize=8, color=_GREY,
    )  # fmt: skip
    band = [low.min(), high.max()]
    bottom = band[0] - 0.04 * (band[1] - band[0])
    for row, name in enumerate(arms[::-1]):
        arm, colour, shape = worth.arms[name], ink(kinds[name]), marker(kinds[name])
        left, right = _ends(worth, arm)
        lower.plot([left, right], [row, row], color=colour, linewidth=2, solid_capstyle="butt")
        if right == n[-1] and arm.high is None:
            lower.plot(right, row, ">", color=colour, markersize=6, clip_on=False)
        if left == n[0] and arm.low is None:
            lower.plot(left, row, "<", color=colour, markersize=6, clip_on=False)
        if arm.value is not None:
            at = worth.base + arm.value
            height = float(_between(n, fitted, worth.exponent, np.array([at]))[0])
            lower.plot(at, row, shape, color=colour, markersize=6.5)
            upper.plot(at, height, shape, color=colour, markersize=6.5, zorder=4)
            upper.plot([at, at], [bottom, height], color=colour, linewidth=0.9, zorder=1)
            lower.plot([at, at], [row, len(arms)], color=colour, linewidth=0.9, zorder=1)
    # No primary metric exceeds 1, but the band of a curve is not bounded.
    upper.set_ylim(bottom, min(1.0, band[1]) + 0.04 * (min(1.0, band[1]) - bottom))
    upper.set_ylabel(worth.primary_title, fontsize=9)
    lower.set_yticks(range(len(arms)), [figure_name(name) for name in arms[::-1]], fontsize=9)
    lower.set_ylim(-0.6, len(arms) - 0.4)
    lower.axvline(worth.base, color=_GREY, linestyle=":", linewidth=1)
    upper.set_xscale("log")
    lower.xaxis.set_major_locator(FixedLocator(n.tolist()))
    lower.xaxis.set_minor_locator(NullLocator())
    lower.xaxis.set_major_formatter(StrMethodFormatter("{x:.0f}"))
    lower.set_xlabel(f"Real training images of {figure_name(worth.label, 30)}", fontsize=9)
    for axes in (upper, lower):
        axes.tick_params(axis="both", labelsize=8)
        for side in ("top", "right"):
            axes.spines[side].set_visible(False)
    lower.tick_params(axis="y", length=0, labelsize=9)
    figure.savefig(path)


def _ends(worth: Worth, arm: ArmWorth) -> tuple[float, float]:
    """Return the ends of an interval on the axis; those of the curve where it does not reach."""
    first, last = worth.curve[0].n, worth.curve[-1].n
    if arm.word == "beyond the curve":
        return last, last
    if arm.word == "below the curve":
        return first, first
    return (
        first if arm.low is None else worth.base + arm.low,
        last if arm.high is None else worth.base + arm.high,
    )


def _between(n: Floats, fitted: Floats, exponent: float, wanted: Floats) -> Floats:
    """Return the curve at some numbers of images: it is linear in n^-c."""
    return np.asarray(np.interp(-(wanted**-exponent), -(n**-exponent), fitted), np.float64)
