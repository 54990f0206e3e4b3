"""A checklist after CLAIM 2024, filled in as far as the records of a run allow.

Items: Tejani et al., Checklist for Artificial Intelligence in Medical Imaging (CLAIM): 2024 Update,
Radiology: Artificial Intelligence 6(4), 2024; in our own, shorter words.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import get_args

from balancer.report.blocks import Folded, Paragraph, Section, Table
from balancer.report.records import ReportRecords
from balancer.report.sections import claims_of_data as data
from balancer.report.sections import claims_of_study as study
from balancer.report.sections.facts import Claim, Facts, State


@dataclass(frozen=True, slots=True)
class Item:
    """One item.

    Attributes:
        part: Part of a paper.
        asks: Short form of the item.
        answer: Claim from the facts of a run.
    """

    part: str
    asks: str
    answer: Callable[[Facts], Claim]


def _authors(_: Facts) -> Claim:
    return "for the authors", "No run can know this."


def _unknown(sentence: str) -> Callable[[Facts], Claim]:
    return lambda _: ("not known", sentence)


ITEMS = (
    Item("Title", "Named as a study of AI, with its kind", study.kind_of_study),
    Item("Abstract", "Structured summary", study.summary),
    Item("Introduction", "Background and intended use", _authors),
    Item("Introduction", "Aims and hypotheses", study.aims),
    Item("Methods: design", "Prospective or retrospective",
         _unknown("No record says how the images were collected.")),
    Item("Methods: design", "Goal of the study", study.goal),
    Item("Methods: data", "Sources of the data", data.sources),
    Item("Methods: data", "Inclusion and exclusion", data.inclusion),
    Item("Methods: data", "Preprocessing", data.preprocessing),
    Item("Methods: data", "Selection of subsets", data.subsets),
    Item("Methods: data", "De-identification", _unknown("No record says whether it was done.")),
    Item("Methods: data", "Missing data", data.missing),
    Item("Methods: data", "Acquisition of the images", data.acquisition),
    Item("Methods: reference", "How the reference standard was obtained", data.reference),
    Item("Methods: reference", "Why that reference standard",
         _unknown("No record gives a reason.")),
    Item("Methods: reference", "Who annotated", _unknown("No record names them.")),
    Item("Methods: reference", "Annotation of the test set", data.test_annotation),
    Item("Methods: reference", "Agreement between and within raters",
         _unknown("No record has a second reader.")),
    Item("Methods: partitions", "How cases were assigned", data.partitions),
    Item("Methods: partitions", "Level at which they are disjoint", data.disjoint),
    Item("Methods: testing", "Intended sample size", study.sample_size),
    Item("Methods: model", "Description of the model", study.model),
    Item("Methods: model", "Software and versions", study.software),
    Item("Methods: model", "First values of the parameters", study.initialisation),
    Item("Methods: training", "Training, augmentation, hyperparameters", study.training),
    Item("Methods: training", "How the final model was chosen", study.selection),
    Item("Methods: training", "Ensembles", study.ensembles),
    Item("Methods: evaluation", "Metrics", study.metrics),
    Item("Methods: evaluation", "Significance and uncertainty", study.uncertainty),
    Item("Methods: evaluation", "Robustness or sensitivity analysis", study.robustness),
    Item("Methods: evaluation", "Explainability", study.explainability),
    Item("Methods: evaluation", "Internal testing", study.internal),
    Item("Methods: evaluation", "External testing", study.external),
    Item("Methods: evaluation", "Registration of a trial", _authors),
    Item("Results: data", "Cases included and excluded", data.flow),
    Item("Results: data", "Demographics and clinical features of each partition",
         _unknown("No record has age, sex or severity.")),
    Item("Results: performance", "Performance and its uncertainty", study.performance),
    Item("Results: performance", "Diagnostic performance and its precision", study.diagnostic),
    Item("Results: performance", "Analysis of failures", study.failures),
    Item("Discussion", "Limitations", study.limitations),
    Item("Discussion", "Implications for practice", _authors),
    Item("Other", "Protocol and technical details", study.protocol),
    Item("Other", "Availability of software, models and data", data.availability),
    Item("Other", "Funding and the role of funders", _authors),
)  # fmt: skip
"""All 44 items, in the order of the checklist."""


def checklist(records: ReportRecords) -> list[dict[str, str]]:
    """Return number, part, item, state, answer and source of every item.

    A source is a file of the workspace and the field of it that the answer is from, `FILE: FIELD`;
    several are joined by `; `. An answer without a source is never more than "not known".
    """
    rows = []
    for number, item in enumerate(ITEMS, 1):
        facts = Facts(records)
        state, answer = item.answer(facts)
        if not facts.sources and state in ("filled in", "in part"):
            state, answer = "not known", "No record says."
        rows.append({"number": str(number), "part": item.part, "asks": item.asks, "state": state,
                     "answer": answer, "source": "; ".join(facts.sources)})  # fmt: skip
    return rows


def checklist_section(rows: list[dict[str, str]]) -> Section:
    """Return the checklist as a section, with the number of items in each state first."""
    count = {state: sum(row["state"] == state for row in rows) for state in get_args(State)}
    said = ", ".join(f"{n} {state}" for state, n in count.items())
    keys = ("number", "part", "asks", "state", "answer")
    return Section("checklist", "CLAIM checklist, from the records of this run", [
        Paragraph(f"{len(rows)} items after CLAIM 2024 (items in short, in our words): {said}. "
                  "The authors must complete “in part” and “not known” before this is published."),
        Table("CLAIM 2024, filled in from the records of the run",
              ["no.", "part", "item", "state", "answer"],
              [[row[key] for key in keys] for row in rows],
              text_columns=(1, 2, 3, 4), word_column=3),
        Folded("Sources of these answers", [
            Table("Files of the workspace and the fields that the answers are from",
                  ["no.", "source"], [[row["number"], row["source"] or "-"] for row in rows],
                  text_columns=(1,)),
        ]),
    ])  # fmt: skip
