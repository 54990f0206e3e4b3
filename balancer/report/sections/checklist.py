"""A checklist after CLAIM 2024, filled in as far as the files of a run know.

Items: Tejani et al., Checklist for Artificial Intelligence in Medical Imaging (CLAIM): 2024 Update,
Radiology: Artificial Intelligence 6(4), 2024; in our own, shorter words.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

from balancer.report.blocks import Paragraph, Section, Table
from balancer.report.records import ReportRecords
from balancer.report.sections import claims

Known = Literal["filled in", "in part", "not known", "for the authors"]
Claim = tuple[Known, str]


@dataclass(frozen=True, slots=True)
class Item:
    """One item.

    Attributes:
        part: Of a paper.
        asks: In short.
        answer: What the run knows.
    """

    part: str
    asks: str
    answer: Callable[[ReportRecords], Claim]


def _authors(_: ReportRecords) -> Claim:
    return "for the authors", "Not something a run can know."


def _unknown(what: str) -> Callable[[ReportRecords], Claim]:
    return lambda _: ("not known", what)


ITEMS = (
    Item("Title", "Named as a study of AI, with its kind", claims.kind_of_study),
    Item("Abstract", "Structured summary", claims.summary),
    Item("Introduction", "Background and intended use", _authors),
    Item("Introduction", "Aims and hypotheses", claims.aims),
    Item("Methods: design", "Prospective or retrospective",
         _unknown("The files do not say how the images came to be.")),
    Item("Methods: design", "Goal of the study", claims.goal),
    Item("Methods: data", "Sources of the data", claims.sources),
    Item("Methods: data", "Inclusion and exclusion", claims.inclusion),
    Item("Methods: data", "Preprocessing", claims.preprocessing),
    Item("Methods: data", "Selection of subsets", claims.subsets),
    Item("Methods: data", "De-identification",
         _unknown("Done, or not, before the images came here.")),
    Item("Methods: data", "Missing data", claims.missing),
    Item("Methods: data", "Acquisition of the images",
         _unknown("Devices, settings and protocols are not in the files.")),
    Item("Methods: reference", "How the reference standard was obtained", claims.reference),
    Item("Methods: reference", "Why that reference standard", _unknown("Not in the files.")),
    Item("Methods: reference", "Who annotated", _unknown("Not in the files.")),
    Item("Methods: reference", "Annotation of the test set", claims.test_annotation),
    Item("Methods: reference", "Agreement between and within raters",
         _unknown("One label per image; no second reader is on record.")),
    Item("Methods: partitions", "How cases were assigned", claims.partitions),
    Item("Methods: partitions", "Level at which they are disjoint", claims.disjoint),
    Item("Methods: testing", "Intended sample size", claims.sample_size),
    Item("Methods: model", "Description of the model", claims.model),
    Item("Methods: model", "Software and versions", claims.software),
    Item("Methods: model", "First values of the parameters", claims.initialisation),
    Item("Methods: training", "Training, augmentation, hyperparameters", claims.training),
    Item("Methods: training", "How the final model was chosen", claims.selection),
    Item("Methods: training", "Ensembles", claims.ensembles),
    Item("Methods: evaluation", "Metrics", claims.metrics),
    Item("Methods: evaluation", "Significance and uncertainty", claims.uncertainty),
    Item("Methods: evaluation", "Robustness or sensitivity analysis", claims.robustness),
    Item("Methods: evaluation", "Explainability", _unknown("No saliency or the like was made.")),
    Item("Methods: evaluation", "Internal testing", claims.internal),
    Item("Methods: evaluation", "External testing", claims.external),
    Item("Methods: evaluation", "Registration of a trial", _authors),
    Item("Results: data", "Cases included and excluded", claims.flow),
    Item("Results: data", "Demographics and clinical features of each partition",
         _unknown("Age, sex and severity are not in the files.")),
    Item("Results: performance", "Performance and its uncertainty", claims.performance),
    Item("Results: performance", "Diagnostic performance and its precision", claims.diagnostic),
    Item("Results: performance", "Analysis of failures", claims.failures),
    Item("Discussion", "Limitations", claims.limitations),
    Item("Discussion", "Implications for practice", _authors),
    Item("Other", "Protocol and technical details", claims.protocol),
    Item("Other", "Availability of software, models and data", claims.availability),
    Item("Other", "Funding and the role of funders", _authors),
)  # fmt: skip
"""All 44 items, in the order of the checklist."""


def checklist(material: ReportRecords) -> list[dict[str, str]]:
    """Number, part, question, state and answer of every item."""
    return list(_rows(material))


def checklist_section(rows: list[dict[str, str]]) -> Section:
    """The checklist as a section, with what is not known first said in numbers."""
    count = {state: sum(row["state"] == state for row in rows) for state in
             ("filled in", "in part", "not known", "for the authors")}  # fmt: skip
    said = ", ".join(f"{n} {state}" for state, n in count.items())
    return Section("checklist", "What was not known: a CLAIM checklist", [
        Paragraph(f"{len(rows)} items after CLAIM 2024 (items in short, in our words): {said}. "
                  "“In part” and “not known” are for the authors to mend before this is "
                  "published."),
        Table("CLAIM 2024, filled in from the files of the run",
              ["no.", "part", "item", "state", "what the run knows"],
              [[row[key] for key in ("number", "part", "asks", "state", "answer")]
               for row in rows],
              text_columns=(1, 2, 3, 4), word_column=3),
    ])  # fmt: skip


def _rows(material: ReportRecords) -> Iterator[dict[str, str]]:
    for number, item in enumerate(ITEMS, 1):
        state, answer = item.answer(material)
        yield {"number": str(number), "part": item.part, "asks": item.asks, "state": state,
               "answer": answer}  # fmt: skip
