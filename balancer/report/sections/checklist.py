"""Checklists of reporting guidelines, filled in as far as the records of a run allow.

The lists are tables in `balancer/report/checklists/`; each item names the functions of
`claims_*.py` that answer it from the records.
"""

import functools
import tomllib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import get_args

from balancer.report.blocks import Block, Folded, Paragraph, Section, Table
from balancer.report.records import ReportRecords
from balancer.report.sections import claims_of_data, claims_of_study, claims_of_tests
from balancer.report.sections.facts import Claim, Facts, State
from balancer.results import Record

_FOLDER = Path(__file__).parent.parent / "checklists"
CLAIM, OTHERS = "claim", ("stard-ai", "tripod-ai")
"""Names of the checklists: the one that a page shows open, and those that it folds."""
_FACTS: Mapping[str, Callable[[Facts], Claim]] = MappingProxyType({
    name: found
    for module in (claims_of_data, claims_of_study, claims_of_tests)
    for name, found in vars(module).items()
    if callable(found) and found.__module__ == module.__name__ and not name.startswith("_")
})  # fmt: skip
Row = dict[str, str]


class Item(Record):
    """One item.

    Attributes:
        number: Its number in the guideline.
        part: Part of a paper.
        asks: Short form of the item, in our words.
        facts: Names of the claims that answer it; without any the item is for the authors.
        unknown: Reason why no record can answer it; empty where one can.
    """

    number: str
    part: str
    asks: str
    facts: tuple[str, ...] = ()
    unknown: str = ""


class Checklist(Record):
    """A reporting guideline.

    Attributes:
        name: Its short name, with the year where there are several.
        title: Its name in full.
        citation: Its source.
        item: Its items, in order.
    """

    name: str
    title: str
    citation: str
    item: tuple[Item, ...]


@functools.cache
def checklist_of(name: str) -> Checklist:
    """Read a checklist of this package by the name of its file."""
    text = (_FOLDER / f"{name}.toml").read_text(encoding="utf-8")
    return Checklist.model_validate(tomllib.loads(text))


def answered(records: ReportRecords, name: str = CLAIM) -> list[Row]:
    """Return number, part, item, state, answer and source of every item of a checklist.

    A source is a file of the workspace and the field of it that the answer is from, `FILE: FIELD`;
    several are joined by `; `. An answer without a source is never more than "not known".
    """
    rows = []
    for item in checklist_of(name).item:
        facts = Facts(records)
        state, answer = _answer(item, facts)
        if not facts.sources and state in ("filled in", "in part"):
            state, answer = "not known", "No record says."
        rows.append({"number": item.number, "part": item.part, "asks": item.asks, "state": state,
                     "answer": answer, "source": "; ".join(facts.sources)})  # fmt: skip
    return rows


def _answer(item: Item, facts: Facts) -> Claim:
    if item.unknown:
        return "not known", item.unknown
    if not item.facts:
        return "for the authors", "No run can know this."
    claims = [_FACTS[name](facts) for name in item.facts]
    known = [(state, answer) for state, answer in claims if state != "not known"]
    if not known:
        return claims[0]
    whole = all(state == "filled in" for state, _ in claims)
    return "filled in" if whole else "in part", " ".join(answer for _, answer in known)


def checklist_section(claim: Sequence[Row], others: Mapping[str, Sequence[Row]]) -> Section:
    """Return the checklists as a section: CLAIM open, the others folded.

    Args:
        claim: Rows of CLAIM.
        others: Rows of the others by name.
    """
    return Section("checklist", "CLAIM checklist, from the records of this run", [
        *_blocks(CLAIM, claim),
        *(Folded(f"The same records by {checklist_of(name).name}", list(_blocks(name, rows)))
          for name, rows in others.items()),
    ])  # fmt: skip


def _blocks(name: str, rows: Sequence[Row]) -> list[Block]:
    checklist = checklist_of(name)
    count = {state: sum(row["state"] == state for row in rows) for state in get_args(State)}
    said = ", ".join(f"{n} {state}" for state, n in count.items())
    keys = ("number", "part", "asks", "state", "answer")
    sources = Table(
        f"{checklist.name}: files of the workspace and the fields that the answers are from",
        ["no.", "source"], [[row["number"], row["source"] or "-"] for row in rows],
        text_columns=(1,),
    )  # fmt: skip
    return [
        Paragraph(f"{len(rows)} items after {checklist.name} (items in short, in our words; "
                  f"{checklist.citation}): {said}. The authors must complete “in part” and “not "
                  "known” before this is published."),
        Table(f"{checklist.name}, filled in from the records of the run",
              ["no.", "part", "item", "state", "answer"],
              [[row[key] for key in keys] for row in rows],
              text_columns=(1, 2, 3, 4), word_column=3),
        Folded("Sources of these answers", [sources]),
    ]  # fmt: skip
