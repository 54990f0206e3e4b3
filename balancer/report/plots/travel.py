"""Scores elsewhere over scores at home: what travels lies on the diagonal."""

from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from balancer.ablation.runs import REAL
from balancer.ablation.travel_records import Elsewhere, Travel, ViewScores
from balancer.drawing.inks import figure_name

_DPI = 150
_GREY, _PALE, _LINE = "#5b6472", "#e3e8f0", "#1f2733"
_INKS = ("#0072b2", "#b5305a", "#1a6b3c", "#a87900", "#69388c", "#00798c", "#8c4a00", "#4c566a")
_MARKS = "sDv^P<>X"


def save_travel(found: Travel, path: Path) -> None:
    """Draw each view with its score at home and elsewhere, a panel for each place.

    Args:
        found: What travels; at least one place was tested.
        path: Path to the PNG to write.
    """
    places = list(found.places)
    figure = Figure(figsize=(4.2 * len(places) + 2.6, 4.4), dpi=_DPI, layout="constrained")
    panels = figure.subplots(1, len(places), squeeze=False)[0]
    low = min(_lowest(found), 0.5)
    for axes, place in zip(panels, places, strict=True):
        _draw_place(axes, found, place, low)
    panels[0].set_ylabel(f"{found.primary_title} elsewhere", fontsize=9)
    panels[-1].legend(loc="center left", bbox_to_anchor=(1.02, 0.5), fontsize=8, frameon=False)
    figure.savefig(path)


def _draw_place(axes: Axes, found: Travel, place: str, low: float) -> None:
    span = [low, 1.0]
    axes.fill_between(
        span, [low - found.largest_fall, 1 - found.largest_fall], span, color=_PALE, zorder=0
    )
    axes.plot(span, span, color=_GREY, linewidth=1, zorder=1)
    others = [name for name in found.views if name != REAL]
    for name, view in found.views.items():
        there = view.elsewhere.get(place)
        if there is None or there.score.value is None or view.home.value is None:
            continue
        number = 0 if name == REAL else others.index(name)
        colour = _LINE if name == REAL else _INKS[number % len(_INKS)]
        mark = "o" if name == REAL else _MARKS[number % len(_MARKS)]
        label = "whole film" if name == REAL else figure_name(name.removeprefix("view "), 30)
        _draw_view(axes, view, there, colour, mark, label)
    axes.set_xlim(low - 0.02, 1.01)
    axes.set_ylim(low - 0.02, 1.01)
    axes.set_aspect("equal")
    axes.set_title(figure_name(place, 30), fontsize=9, color=_LINE)
    axes.set_xlabel(f"{found.primary_title} at home", fontsize=9)
    axes.tick_params(labelsize=8)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def _draw_view(
    axes: Axes, view: ViewScores, there: Elsewhere, colour: str, mark: str, label: str
) -> None:
    home, score = view.home, there.score
    if home.value is None or score.value is None:
        return
    if home.low is not None and home.high is not None:
        axes.plot([home.low, home.high], [score.value] * 2, color=colour, linewidth=1, alpha=0.7)
    if score.low is not None and score.high is not None:
        axes.plot([home.value] * 2, [score.low, score.high], color=colour, linewidth=1, alpha=0.7)
    axes.plot(home.value, score.value, mark, color=colour, markersize=7, label=label, zorder=4)


def _lowest(found: Travel) -> float:
    ends = [
        end
        for view in found.views.values()
        for score in (view.home, *(there.score for there in view.elsewhere.values()))
        for end in (score.low, score.value)
        if end is not None
    ]
    return min(ends, default=0.5)
