"""Metrics by name, and their values as text: intervals and three digits."""

from collections.abc import Mapping
from typing import Any, Protocol

METRICS = {
    "auroc": "AUROC",
    "average_precision": "average precision",
    "balanced_accuracy": "balanced accuracy",
    "sensitivity": "sensitivity",
    "specificity": "specificity",
    "accuracy": "accuracy",
    "f1": "F1",
    "mcc": "MCC",
    "ece": "ECE",
}
"""Scalar metrics in the order of the tables; all but ECE are better when higher."""


class HasInterval(Protocol):
    """A value with its 95 % interval; each is None where it is undefined."""

    @property
    def value(self) -> float | None:
        """The value."""

    @property
    def low(self) -> float | None:
        """Lower end of the interval."""

    @property
    def high(self) -> float | None:
        """Upper end of the interval."""


class HasReason(HasInterval, Protocol):
    """A value with its interval, or the reason why it is undefined."""

    @property
    def reason(self) -> str | None:
        """Reason why it is undefined."""


def interval(scalar: HasInterval | Mapping[str, Any], *, sign: bool = False) -> str:
    """Format as `0.912 (0.874 to 0.941)`, or `undefined` where a metric has no value."""
    if isinstance(scalar, Mapping):
        value, low, high = scalar["value"], scalar["low"], scalar["high"]
    else:
        value, low, high = scalar.value, scalar.low, scalar.high
    if value is None:
        return "undefined"
    text = three_digits(value, sign=sign)
    if low is None or high is None:
        return text
    return f"{text} ({three_digits(low, sign=sign)} to {three_digits(high, sign=sign)})"


def three_digits(value: float, *, sign: bool = False) -> str:
    """Format with three digits; a value just below 1 never becomes 1.000, which claims too much."""
    if 0.9995 <= value < 1 and not sign:
        return "0.999"
    return f"{value:{'+' if sign else ''}z.3f}"
