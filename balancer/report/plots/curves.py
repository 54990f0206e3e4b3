"""Pictures of an ablation's curves: ROC, precision-recall, reliability, confusion."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from balancer.ablation.arm_records import ArmResult
from balancer.drawing.inks import figure_name, ink, line_styles
from balancer.report.curves import Bin, CurveBand, ObservedShare

Arms = Mapping[str, ArmResult]
_DPI = 150
_GREY = "#5b6472"


def save_roc_bands(bands: Mapping[str, CurveBand], arms: Arms, path: Path) -> None:
    """Draw the mean ROC curve of each arm with its band.

    Args:
        bands: Arm to the result of `balancer.report.curves.roc_band`.
        arms: Results of the same arms, for their kind.
        path: Path to the PNG to write.
    """
    axes, figure = _square("False positive rate (1 - specificity)", "Sensitivity")
    axes.plot([0, 1], [0, 1], ":", color=_GREY, linewidth=1)
    _curves(axes, bands, arms)
    axes.legend(loc="lower right", frameon=False, fontsize=8.5)
    figure.savefig(path)


def save_precision_recall_bands(
    bands: Mapping[str, CurveBand], arms: Arms, prevalence: float, path: Path
) -> None:
    """Draw the mean precision at each recall; arguments as for `save_roc_bands`.

    Args:
        bands: Arm to its band.
        arms: Results of the same arms.
        prevalence: Share of the positive class in the test splits: that of guessing.
        path: Path to the PNG to write.
    """
    axes, figure = _square("Recall (sensitivity)", "Precision")
    axes.axhline(prevalence, linestyle=":", color=_GREY, linewidth=1)
    axes.text(0.99, prevalence + 0.015, f"prevalence {prevalence:.3f}", color=_GREY, fontsize=8,
              ha="right")  # fmt: skip
    _curves(axes, bands, arms)
    axes.legend(loc="lower left", frameon=False, fontsize=8.5)
    figure.savefig(path)


def save_reliability(
    bins: Mapping[str, tuple[Sequence[Bin] | None, Sequence[Bin] | None]], arms: Arms, path: Path
) -> None:
    """Draw observed against predicted shares, one panel per arm.

    Args:
        bins: Arm to its raw and its recalibrated bins; None where there are none.
        arms: Results of the same arms.
        path: Path to the PNG to write.
    """
    figure, panels = _panels(len(bins), side=2.7)
    for number, (axes, name) in enumerate(zip(panels, bins, strict=False)):
        axes.plot([0, 1], [0, 1], ":", color=_GREY, linewidth=1)
        for found, colour, label, style in zip(
            bins[name], (_GREY, ink(arms[name].kind)), ("raw", "recalibrated"), ("o", "s"),
            strict=True,
        ):  # fmt: skip
            if not found:
                continue
            across = [bin_.predicted for bin_ in found]
            up = [bin_.observed.value for bin_ in found]
            ends = [
                [max(b.observed.value - b.observed.low, 0) for b in found],
                [max(b.observed.high - b.observed.value, 0) for b in found],
            ]
            axes.errorbar(
                across, up, ends, fmt=style, linestyle="-" if label != "raw" else "--",
                color=colour, markersize=4, linewidth=1.2, elinewidth=0.8, label=label,
                markerfacecolor="white" if label == "raw" else colour,
            )  # fmt: skip
        axes.set(xlim=(-0.03, 1.03), ylim=(-0.03, 1.03))
        axes.set_aspect("equal")
        axes.set_title(figure_name(name, 28), fontsize=9.5, color=ink(arms[name].kind))
        axes.tick_params(labelsize=8)
        if number == 0:
            axes.legend(frameon=False, fontsize=8, loc="upper left")
    figure.supxlabel("Predicted probability of the positive class", fontsize=9)
    figure.supylabel("Observed share", fontsize=9)
    figure.savefig(path)


def save_confusions(
    tables: Mapping[str, Sequence[Sequence[ObservedShare | None]]],
    arms: Arms,
    labels: Sequence[str],
    path: Path,
) -> None:
    """Draw the confusion of each arm as shares of the true class, with intervals.

    Args:
        tables: Arm to (C, C), the result of `balancer.report.curves.confusion`.
        arms: Results of the same arms.
        labels: Names of the C classes.
        path: Path to the PNG to write.
    """
    names = [figure_name(label, 14) for label in labels]
    slanted = max(map(len, names)) > 8
    figure, panels = _panels(len(tables), side=1.4 + 0.75 * len(labels))
    columns = _columns(len(tables))
    ticks = range(len(labels))
    for number, (axes, arm) in enumerate(zip(panels, tables, strict=False)):
        shares = [[0 if cell is None else cell.value for cell in row] for row in tables[arm]]
        axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
        for row, cells in enumerate(tables[arm]):
            for column, share in enumerate(cells):
                text = "no image" if share is None else (
                    f"{share.value:.3f}\n{share.low:.3f} to {share.high:.3f}"
                )  # fmt: skip
                light = share is not None and share.value > 0.5
                axes.text(column, row, text, ha="center", va="center", fontsize=7.5,
                          color="white" if light else "black")  # fmt: skip
        axes.set_xticks(ticks, names, fontsize=8, rotation=25 if slanted else 0,
                        ha="right" if slanted else "center")  # fmt: skip
        axes.set_yticks(ticks, names if number % columns == 0 else [""] * len(names), fontsize=8)
        axes.set_title(figure_name(arm, 28), fontsize=9.5, color=ink(arms[arm].kind))
    figure.supxlabel("Predicted class", fontsize=9)
    figure.supylabel("True class", fontsize=9)
    figure.savefig(path)


def _square(xlabel: str, ylabel: str) -> tuple[Axes, Figure]:
    figure = Figure(figsize=(4.8, 4.8), dpi=_DPI, layout="constrained")
    axes = figure.add_subplot(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01))
    axes.set_xlabel(xlabel, fontsize=9)
    axes.set_ylabel(ylabel, fontsize=9)
    axes.tick_params(labelsize=8)
    axes.set_aspect("equal")
    return axes, figure


def _curves(axes: Axes, bands: Mapping[str, CurveBand], arms: Arms) -> None:
    styles = line_styles({name: arms[name].kind for name in bands})
    for name, band in bands.items():
        colour = ink(arms[name].kind)
        axes.fill_between(band.x, band.low, band.high, color=colour, alpha=0.12, linewidth=0)
        axes.plot(band.x, band.mean, styles[name], color=colour, linewidth=1.6,
                  label=figure_name(name))  # fmt: skip


def _panels(number: int, side: float) -> tuple[Figure, list[Axes]]:
    columns = _columns(number)
    rows = -(-number // columns)
    figure = Figure(
        figsize=(side * columns + 0.5, (side + 0.25) * rows + 0.4), dpi=_DPI, layout="constrained"
    )
    grid = list(figure.subplots(rows, columns, squeeze=False).ravel())
    for axes in grid[number:]:
        axes.set_visible(False)
    return figure, grid


def _columns(number: int) -> int:
    return 2 if number in (2, 4) else min(3, number)
