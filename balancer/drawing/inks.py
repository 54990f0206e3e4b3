"""How arms look: one ink and one marker for each kind, told apart without colour too."""

from collections.abc import Mapping, Sequence
from typing import Any

from balancer.drawing.plots import plain_text
from balancer.drawing.wording import printable, shortened

KINDS = {
    "reference": ("#2e3440", "o", "reference"),
    "cheap": ("#0072b2", "s", "cheap remedy"),
    "gan": ("#b5305a", "D", "GAN"),
    "control": ("#a87900", "^", "control"),
}
"""Ink, marker and name of each kind of arm; the inks differ in lightness as well as in hue."""
_LINES = ("-", "--", "-.", ":")


def ink(arm: Mapping[str, Any]) -> str:
    """Colour of an arm's kind."""
    return KINDS[arm["kind"]][0]


def marker(arm: Mapping[str, Any]) -> str:
    """Marker of an arm's kind."""
    return KINDS[arm["kind"]][1]


def line_styles(arms: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """Line styles: several arms of one kind share its ink and differ in these."""
    seen: dict[str, int] = {}
    styles = {}
    for name, arm in arms.items():
        place = seen.get(arm["kind"], 0)
        seen[arm["kind"]] = place + 1
        styles[name] = _LINES[place % len(_LINES)]
    return styles


def kinds_of(arms: Sequence[Mapping[str, Any]]) -> list[str]:
    """The kinds that occur, in the order of the legend."""
    return [kind for kind in KINDS if any(arm["kind"] == kind for arm in arms)]


def figure_name(name: str, length: int = 34) -> str:
    """A name from the data as text in a picture."""
    return plain_text(shortened(printable(name), length))
