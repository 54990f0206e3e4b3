"""Numbers, names and undefined values in words, the same in every output."""

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from balancer.drawing.numbers import METRICS, HasInterval, HasReason, interval

TITLES = METRICS | {
    "sensitivity_at_specificity": "sensitivity at fixed specificity",
    "brier": "Brier score",
    "net_benefit": "net benefit",
    "log_loss": "log loss after recalibration",
    "brier_raw": "Brier score, raw",
    "brier_recalibrated": "Brier score after recalibration",
    "brier_corrected": "Brier score, prior-corrected",
    "slope": "calibration slope",
    "intercept": "calibration intercept",
}
"""Names of metrics for readers."""
WORDS = {
    "helps": "better than the reference beyond chance",
    "hurts": "worse than the reference beyond chance",
    "equivalent": "the difference lies within the margin, either way",
    "inconclusive": "too few cases or runs to tell",
    "confounded": "something else gives the class away, so no claim is made",
    "unverified": "the generator may have seen test images, so no claim is made",
    "exploratory": "asked after test images were read, so no claim is made",
    "reference": "what the others are compared with",
}
"""The verdicts and what they mean."""
NOT_KNOWN = "not known"
_LONGEST = 200
# Words such as 1/2 or and/or hold no path, so only what starts a word counts.
_ABSOLUTE = re.compile(r"(?<![^\s='\"(`])(?:[A-Za-z]:[\\/]|/)[^\s/\\]\S*")


def printable(text: str, *, keep: str = "") -> str:
    """A text without what a terminal would obey: such characters are written as their codes.

    A name from the data may hold them: ESC begins commands that colour, move or retitle a terminal.

    Args:
        text: A name from the data, or a text with such names in it.
        keep: Characters that stay as they are, such as line ends.
    """
    if text.isprintable():
        return text
    return "".join(
        # Spaces other than the ASCII one, as in numbers with units, are obeyed by nothing.
        char
        if char.isprintable() or char in keep or unicodedata.category(char) == "Zs"
        else repr(char)[1:-1]
        for char in text
    )


def scalar(found: HasInterval | None, *, sign: bool = False) -> str:
    """Format a value with its interval, or `undefined`."""
    return "not measured" if found is None else interval(found, sign=sign)


def probability(p: float | None) -> str:
    """A p value; tiny ones would only pretend to be known."""
    if p is None:
        return "undefined"
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def number(value: float | int | None, form: str = ".3f") -> str:
    """A number, or `undefined`."""
    return "undefined" if value is None else format(value, form)


def reasons(found: Iterable[tuple[str, HasReason | None]]) -> str:
    """Explain undefined values: one sentence per reason, with the names; empty if all are defined.

    Args:
        found: Names and values.
    """
    places: dict[str, list[str]] = {}
    for name, value in found:
        if value is not None and value.value is None:
            names = places.setdefault(value.reason or "no reason was recorded", [])
            if name not in names:
                names.append(name)
    return " ".join(
        f"Undefined for {listing(names)}: {reason}." for reason, names in places.items()
    )


def listing(names: Sequence[str], limit: int = 6) -> str:
    """`a, b and c`; a long list is cut and counted."""
    shown = list(names[:limit])
    if len(names) > limit:
        return f"{', '.join(shown)} and {len(names) - limit} more"
    return " and ".join([", ".join(shown[:-1]), shown[-1]] if len(shown) > 1 else shown)


def cell(value: Any) -> str:
    """Any JSON value as the text of a table cell."""
    if value is None:
        return NOT_KNOWN
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.3f}"
    if isinstance(value, Mapping):
        return "; ".join(f"{key}: {cell(inner)}" for key, inner in value.items()) or "none"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ", ".join(cell(inner) for inner in value) or "none"
    return str(value)


def without_machine_paths(value: Any) -> Any:
    """Cut folders of this machine to their last name in a JSON value.

    A report is passed on; the location of the data is private, and the hashes identify the files.
    """
    if isinstance(value, Mapping):
        return {key: without_machine_paths(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [without_machine_paths(inner) for inner in value]
    if not isinstance(value, str):
        return value
    return _ABSOLUTE.sub(
        lambda match: ".../" + re.split(r"[\\/]", match[0].rstrip("\\/"))[-1],
        value,
    )


def shortened(text: str, length: int = _LONGEST) -> str:
    """The beginning of a text that would not fit."""
    return text if len(text) <= length else text[: length - 1] + "…"
