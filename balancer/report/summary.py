"""The metrics of `balancer report`: the answers, short enough for a terminal."""

from pydantic import Field

from balancer.ablation.arm_records import Difference, Level
from balancer.ablation.runs import REAL
from balancer.evaluation.records import ComparisonRow
from balancer.report.records import Study
from balancer.report.sections.answer import registration
from balancer.results import Record


class ArmSummary(Record):
    """One arm of an ablation.

    Attributes:
        arm: Name of the arm.
        word: Its verdict.
        value: The primary metric with its interval; None if it was not measured.
        to_real: Its difference to real images alone; None if they were not compared.
        to_repeated: Its difference to as many repeated real images; None likewise.
    """

    arm: str
    word: str
    value: Level | None
    to_real: Difference | None
    to_repeated: Difference | None


class AblationSummary(Record):
    """The answer of an ablation.

    Attributes:
        word: The verdict in a word.
        sentence: The verdict.
        control: Sentence on the positive control; None without one.
        registration: Whether the question was fixed before any look, and what was asked after one;
            a sentence each.
        primary_title: Name of the primary metric.
        rows: The arms.
    """

    word: str
    sentence: str
    control: str | None
    primary_title: str
    rows: list[ArmSummary]
    registration: list[str] = Field(default_factory=list)


class ReportMetrics(Record):
    """Metrics of `report`; what was not compared is left out.

    Attributes:
        ablation: The answer of the ablation; None without one.
        rows: Per metric the values of the two classifiers and their difference.
        sentence: Conclusion from the two classifiers.
        n: Number of test images.
        n_positive: Number of these in the positive class.
        positive: Name of the positive class.
        elsewhere: What is known of other hospitals.
        page: Path to the page today; not in the file, since a workspace may be moved.
    """

    ablation: AblationSummary | None
    rows: list[ComparisonRow] = Field(default_factory=list)
    sentence: str = ""
    n: int = 0
    n_positive: int = 0
    positive: str = ""
    elsewhere: str = ""
    page: str = ""


def summarize(study: Study) -> AblationSummary:
    """Return the answer of an ablation."""
    verdict, control = study.metrics.verdict, study.metrics.control
    return AblationSummary(
        word=verdict.word,
        sentence=verdict.sentence,
        control=None if control is None else control.sentence,
        primary_title=study.title,
        registration=[paragraph.text for paragraph in registration(study)],
        rows=[
            ArmSummary(
                arm=name,
                word=arm.verdict.word,
                value=arm.metrics.get(study.primary),
                to_real=study.difference(name, REAL),
                to_repeated=study.difference(name, study.repeated(name)),
            )
            for name, arm in study.arms.items()
        ],
    )
