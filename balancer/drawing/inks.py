"""Ink and marker of each kind of arm; they differ without colour too."""

from collections.abc import Iterable, Mapping

from balancer.drawing.plots import plain_text
from balancer.drawing.wording import printable, shortened

KINDS = {
    "reference": ("#2e3440", "o", "reference"),
    "cheap": ("#0072b2", "s", "cheap remedy"),
    "gan": ("#b5305a", "D", "generator"),
    "control": ("#a87900", "^", "control"),
}
"""Ink, marker and name of each kind of arm; the inks differ in lightness as well as in hue."""
_LINES = ("-", "--", "-.", ":")


def ink(kind: str) -> str:
    """Return the colour of a kind of arms."""
    return KINDS[kind][0]


def marker(kind: str) -> str:
    """Return the marker of a kind of arms."""
    return KINDS[kind][1]


def line_styles(kinds: Mapping[str, str]) -> dict[str, str]:
    """Return the line style of each arm, given its kind; arms of one kind differ in it."""
    seen: dict[str, int] = {}
    styles = {}
    for name, kind in kinds.items():
        number = seen.get(kind, 0)
        seen[kind] = number + 1
        styles[name] = _LINES[number % len(_LINES)]
    return styles


def in_legend(kinds: Iterable[str]) -> list[str]:
    """Return the kinds that occur, in the order of the legend."""
    occurring = set(kinds)
    return [kind for kind in KINDS if kind in occurring]


def figure_name(name: str, length: int = 34) -> str:
    """Return a name from the data as text in a picture."""
    return plain_text(shortened(printable(name), length))
