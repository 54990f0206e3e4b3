"""Metrics by name, and their values as text: intervals, three digits, one line each."""

from collections.abc import Mapping
from typing import Any

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


def metric_lines(test: Mapping[str, Any]) -> list[str]:
    """What the terminal shows of the metrics of one test, a line each."""
    return [f"  {title:18} {interval(test[key])}" for key, title in METRICS.items()]


def interval(scalar: Mapping[str, Any], *, sign: bool = False) -> str:
    """`0.912 (0.874 to 0.941)`, or `undefined` where a metric has no value."""
    if scalar["value"] is None:
        return "undefined"
    value = three_digits(scalar["value"], sign=sign)
    if scalar["low"] is None:
        return value
    low, high = (three_digits(scalar[end], sign=sign) for end in ("low", "high"))
    return f"{value} ({low} to {high})"


def three_digits(value: float, *, sign: bool = False) -> str:
    """Three digits; what is not quite 1 is never shown as 1.000, since that claims perfection."""
    if 0.9995 <= value < 1 and not sign:
        return "0.999"
    return f"{value:{'+' if sign else ''}z.3f}"
