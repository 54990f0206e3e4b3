"""The answer as a picture of the size of a slide, as PNG and as SVG."""

import textwrap
from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from balancer.drawing.plots import plain_text
from balancer.drawing.wording import printable, shortened
from balancer.report.blocks import Answer
from balancer.report.blocks import Figure as Picture

SLIDE = "answer"
"""Name of both files without suffix."""
_WIDTH, _HEIGHT, _DPI = 40 / 3, 7.5, 144
"""Inches of a 16:9 slide, and pixels per inch of the PNG."""
_INK, _SOFT, _LINE = "#1f2733", "#4a5566", "#4c566a"
_FROM_THE_LIMITS = 2


def save_slide(answer: Answer, folder: Path) -> None:
    """Draw question, word, sentence, the first chart of the answer, and its first limits.

    Args:
        answer: The answer part of the report.
        folder: Folder of its pictures; gets `answer.png` and `answer.svg`.
    """
    chart = next((block for block in answer.blocks if isinstance(block, Picture)), None)
    # Text stays text; without a date and with fixed ids, equal answers are equal files.
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": SLIDE}):
        figure = Figure(figsize=(_WIDTH, _HEIGHT), dpi=_DPI)
        page = figure.add_axes((0, 0, 1, 1))
        page.set_axis_off()
        page.set_xlim(0, 1)
        page.set_ylim(0, 1)
        top = _text(page, 0.93, answer.question, size=26, columns=62, weight="bold")
        if answer.word is not None:
            top = _text(page, top - 0.02, answer.word.upper(), size=22, columns=60, weight="bold")
        top = _text(page, top - 0.01, answer.sentence, size=15, columns=106)
        bottom = _limits(page, answer)
        if chart is not None and top - bottom > 0.15:
            _chart(figure, folder / f"{chart.name}.png", bottom, top - 0.02)
        figure.savefig(folder / f"{SLIDE}.png")
        figure.savefig(folder / f"{SLIDE}.svg", metadata={"Date": None})


def _text(
    page: Axes, top: float, text: str, *, size: float, columns: int, weight: str = "normal"
) -> float:
    """Write a text under `top`, in lines of a number of letters; return its lower end."""
    lines = textwrap.wrap(printable(text), columns) or [""]
    page.text(0.05, top, plain_text("\n".join(lines)), fontsize=size, color=_INK, va="top",
              weight=weight, linespacing=1.3)  # fmt: skip
    return top - len(lines) * size * 1.45 / (72 * _HEIGHT)


def _limits(page: Axes, answer: Answer) -> float:
    """Write the first limits at the foot; return their upper end."""
    shown = [
        line
        for limit in answer.limits[:_FROM_THE_LIMITS]
        for line in textwrap.wrap(shortened(printable(limit), 330), 165)
    ]
    height = len(shown) * 10.5 * 1.45 / (72 * _HEIGHT)
    top = 0.05 + height
    page.plot([0.05, 0.95], [top + 0.015, top + 0.015], color=_LINE, linewidth=0.8)
    page.text(0.05, top, plain_text("\n".join(shown)), fontsize=10.5, color=_SOFT, va="top",
              linespacing=1.3)  # fmt: skip
    return top + 0.03


def _chart(figure: Figure, path: Path, bottom: float, top: float) -> None:
    """Put a picture between two heights, as large as it fits."""
    pixels = mpl.image.imread(path)
    tall, wide = pixels.shape[:2]
    height = min(top - bottom, 0.9 * _WIDTH / _HEIGHT * tall / wide)
    width = height * _HEIGHT / _WIDTH * wide / tall
    axes = figure.add_axes(((1 - width) / 2, top - height, width, height))
    axes.set_axis_off()
    axes.imshow(pixels, interpolation="antialiased", aspect="auto")
