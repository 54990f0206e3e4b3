"""The comparison of the two classifiers, as rows that every output shares."""

from collections.abc import Mapping
from typing import Any

from rich.table import Table

from balancer.drawing.numbers import METRICS, interval

_COLUMNS_FOR_ONE_LINE = 100


def comparison_rows(
    real: Mapping[str, Any], synthetic: Mapping[str, Any], differences: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """One row per metric: both arms with their intervals, and the paired difference.

    Args:
        real: `metrics.test` of the arm without synthetic images.
        synthetic: The same of the arm with them.
        differences: Per metric `value`, `low`, `high` of the second minus the first.
    """
    return [
        {
            "metric": title,
            "real": real[key],
            "real+synthetic": synthetic[key],
            "difference": differences[key],
        }
        for key, title in METRICS.items()
    ]


def comparison_table(rows: list[dict[str, Any]], title: str, *, columns: int) -> Table:
    """The rows for a terminal of so many columns; a narrow one gets intervals on their own line."""
    table = Table(title=title)
    gap = "\n(" if columns < _COLUMNS_FOR_ONE_LINE else " ("
    for heading in ("metric", "real", "real + synthetic", "difference"):
        table.add_column(heading, justify="left" if heading == "metric" else "right")
    for row in rows:
        table.add_row(
            row["metric"],
            interval(row["real"]).replace(" (", gap),
            interval(row["real+synthetic"]).replace(" (", gap),
            interval(row["difference"], sign=True).replace(" (", gap),
        )
    return table
