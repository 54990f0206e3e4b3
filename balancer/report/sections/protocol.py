"""The protocol of a study: when its question was fixed, and the answer to what was asked later."""

from balancer.ablation.records import Exploration
from balancer.ablation.runs import REAL
from balancer.drawing.wording import scalar
from balancer.report.blocks import Block, Heading, Paragraph, Section, Table
from balancer.report.records import Study
from balancer.statistics.verdict import REFERENCE

_QUICK = (
    "EXPLORATORY: not registered. A quick study is a first look at its question and is never "
    "registered; `balancer ablate` without --quick registers one and trains the network."
)
_EARLY = (
    "EXPLORATORY: not registered. The study was made by a version without a protocol, so nothing "
    "shows that its question was fixed before any look."
)


def unregistered(study: Study) -> str:
    """Say why a study has no registration."""
    return _QUICK if study.metrics.tier else _EARLY


def protocol_section(study: Study) -> Section:
    """Show the entries of the protocol, and the answer to a question that was changed later."""
    found = study.metrics.registration
    if found is None:
        return Section("protocol", "Protocol", [Paragraph(unregistered(study))])
    rows = [
        [entry.time, str(entry.reads), entry.changes, entry.hash[:16]] for entry in found.entries
    ]
    blocks: list[Block] = [
        Paragraph(found.sentence),
        Paragraph(
            f"SHA-256 of the first entry of runs/protocol.json: {found.hash}. A copy that was "
            "deposited before the study shows that nothing was changed since."
        ),
        Table("Entries of the protocol", ["time", "test reads by then", "changed", "SHA-256"], rows,
              text_columns=(2, 3),
              note="An entry with no read by then was written before any look. None is ever "
              "changed or removed."),
    ]  # fmt: skip
    explored = study.metrics.exploratory
    if explored is not None:
        blocks += _exploration(explored)
    return Section("protocol", "Protocol", blocks)


def exploration_in_words(explored: Exploration) -> str:
    """Return the exploratory answer after its label."""
    verdict = explored.verdict
    return (
        f"{explored.label}. By that question: {verdict.word}. {verdict.sentence} This is no claim."
    )


def _exploration(explored: Exploration) -> list[Block]:
    title, key = explored.question.primary_title, explored.question.primary
    rows = []
    for name, arm in explored.arms.items():
        to_real = arm.against[REAL].metrics.get(key) if REAL in arm.against else None
        word = arm.verdict.word
        rows.append([
            name, str(arm.n_runs), scalar(arm.metrics.get(key)),
            "-" if to_real is None else scalar(to_real, sign=True),
            word if word == REFERENCE else f"exploratory: {word}",
        ])  # fmt: skip
    return [
        Heading("Exploratory"),
        Paragraph(exploration_in_words(explored), "warning"),
        Table(f"Exploratory: {title} of every arm",
              ["arm", "runs", title, "difference to real", "word"], rows, text_columns=(4,),
              note=f"{explored.label}. Words after a change can be chosen by what was seen."),
    ]  # fmt: skip
