"""Blinded readers: how well people tell the generated images from real ones.

Small because it is one table.
"""

from balancer.drawing.numbers import interval
from balancer.evaluation.readers import ReaderScores
from balancer.report.blocks import Section, Table

_NOTE = (
    "Each reader saw real training images and generated ones in random order, all read at the size "
    "of the generator, and gave one of four answers from surely real to surely generated. An AUROC "
    "or an accuracy of 0.5 is a guess; an interval that holds 0.5 does not show that the reader "
    "cannot tell them apart. Intervals are of 95 %: DeLong (AUROC), Clopper and Pearson (accuracy)."
)


def readers_section(found: ReaderScores | None) -> Section | None:
    """Show a row per reading; None without any."""
    if found is None:
        return None
    rows = [
        [one.reader, one.label, f"{one.n} of {one.n_shown}", str(one.n_synthetic),
         interval(one.auroc), interval(one.accuracy), one.sentence]
        for one in found.readings
    ]  # fmt: skip
    columns = [
        "reader",
        "class",
        "images answered",
        "of them generated",
        "AUROC",
        "accuracy",
        "in words",
    ]
    table = Table("Real or generated?", columns, rows, text_columns=(1, 6), note=_NOTE)
    return Section("readers", "Blinded readers", [table])
