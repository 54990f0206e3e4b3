"""The arms of an ablation as the terminal shows them."""

from collections.abc import Mapping
from typing import Any

from rich.table import Table
from rich.text import Text

from balancer.drawing.wording import printable, scalar

_COLUMNS_FOR_ONE_LINE = 130


def arms_table(told: Mapping[str, Any], *, columns: int) -> Table:
    """A row per arm; a narrow terminal gets intervals on their own line.

    Args:
        told: `primary_title` and `rows` of `arm`, `word`, `value`, `to_real`, `to_repeated`.
        columns: Of the terminal.
    """
    table = Table(title=Text(f"{told['primary_title']}, mean over the runs (95 % interval)"))
    titles = ("arm", told["primary_title"], "to real", "to repeated real", "verdict")
    for place, title in enumerate(titles):
        table.add_column(title, justify="right" if 0 < place < len(titles) - 1 else "left")
    gap = "\n(" if columns < _COLUMNS_FOR_ONE_LINE else " ("
    for row in told["rows"]:
        differences = (row["to_real"], row["to_repeated"])
        table.add_row(
            Text(printable(row["arm"])),
            scalar(row["value"]).replace(" (", gap),
            *("-" if d is None else scalar(d, sign=True).replace(" (", gap) for d in differences),
            row["word"],
        )
    return table
