"""The arms of an ablation, and what travels, as the terminal shows them."""

from rich.table import Table
from rich.text import Text

from balancer.ablation.travel_records import Travel
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


def travel_table(found: Travel) -> Table:
    """Return a row per view: its score at home, and elsewhere with what is shown there."""
    table = Table(title=Text(f"{found.primary_title} at home and elsewhere (95 % interval)"))
    table.add_column("view", overflow="fold", ratio=2)
    table.add_column("at home", justify="right", ratio=1)
    for place in found.places:
        table.add_column(Text(printable(place)), justify="right", overflow="fold", ratio=1)
    table.add_column("answer", no_wrap=True)
    for name, view in found.views.items():
        table.add_row(
            Text(printable(name), overflow="fold"),
            scalar(view.home).replace(" (", "\n("),
            *(
                scalar(view.elsewhere[place].score).replace(" (", "\n(")
                if place in view.elsewhere
                else "-"
                for place in found.places
            ),
            "control" if name == found.control else view.word if found.places else "-",
        )
    return table
