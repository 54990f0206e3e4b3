"""The comparison of the two classifiers as a table for the terminal.

A module of its own, because the stage that prints it must not import the page's renderers.
"""

from collections.abc import Sequence

from rich.table import Table

from balancer.drawing.numbers import interval
from balancer.evaluation.records import ComparisonRow

_COLUMNS_FOR_ONE_LINE = 100


def comparison_table(rows: Sequence[ComparisonRow], title: str, *, columns: int) -> Table:
    """Lay the rows out for a terminal; a narrow one gets intervals on their own line.

    Args:
        rows: One row per metric.
        title: Title of the table.
        columns: Width of the terminal in characters.
    """
    table = Table(title=title)
    gap = "\n(" if columns < _COLUMNS_FOR_ONE_LINE else " ("
    for heading in ("metric", "real", "real + synthetic", "difference"):
        table.add_column(heading, justify="left" if heading == "metric" else "right")
    for row in rows:
        table.add_row(
            row.metric,
            interval(row.real).replace(" (", gap),
            interval(row.with_synthetic).replace(" (", gap),
            interval(row.difference, sign=True).replace(" (", gap),
        )
    return table
