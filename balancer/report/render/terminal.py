"""The arms of an ablation as the terminal shows them.

Small because each rendering of the report is a file.
"""

from rich.table import Table
from rich.text import Text

from balancer.drawing.wording import printable, scalar
from balancer.report.summary import AblationSummary

_COLUMNS_FOR_ONE_LINE = 130


def arms_table(summary: AblationSummary, *, columns: int) -> Table:
    """Return a row per arm; a narrow terminal gets intervals on their own line.

    Args:
        summary: The answer of an ablation.
        columns: Number of columns of the terminal.
    """
    table = Table(title=Text(f"{summary.primary_title}, mean over the runs (95 % interval)"))
    titles = ("arm", summary.primary_title, "to real", "to repeated real", "verdict")
    # Names and words stay whole as far as the terminal allows; intervals can take more lines.
    words = {
        "arm": [row.arm for row in summary.rows],
        "verdict": [row.word for row in summary.rows],
    }
    for title in titles:
        longest = max((len(word) for word in words.get(title, ())), default=0)
        table.add_column(
            title,
            justify="left" if title in words else "right",
            overflow="fold",
            no_wrap=title in words and longest < columns // 4,
        )
    gap = "\n(" if columns < _COLUMNS_FOR_ONE_LINE else " ("
    for row in summary.rows:
        differences = (row.to_real, row.to_repeated)
        table.add_row(
            Text(printable(row.arm), overflow="fold"),
            scalar(row.value).replace(" (", gap),
            *("-" if d is None else scalar(d, sign=True).replace(" (", gap) for d in differences),
            row.word,
        )
    return table
