"""What `balancer report` leaves in `result.json`: the answers, short enough for a terminal."""

from typing import Any

from pydantic import Field

from balancer.report.records import Json, Study
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
    value: dict[str, Any] | None
    to_real: dict[str, Any] | None
    to_repeated: dict[str, Any] | None


class AblationSummary(Record):
    """The answer of an ablation.

    Attributes:
        word: The verdict in a word.
        sentence: The verdict.
        control: Sentence on the positive control; None without one.
        primary_title: Name of the primary metric.
        rows: The arms.
    """

    word: str
    sentence: str
    control: str | None
    primary_title: str
    rows: list[ArmSummary]


class ReportMetrics(Record):
    """Metrics of `report`; what was not compared is left out.

    Attributes:
        ablation: The answer of the ablation; None without one.
        rows: Per metric the values of the two classifiers and their difference.
        sentence: What the two classifiers allow to say.
        n: Number of test images.
        n_positive: Number of these in the positive class.
        positive: Name of the positive class.
        page: Path to the page today; not in the file, since a workspace may be moved.
    """

    ablation: AblationSummary | None
    rows: list[dict[str, Any]] = Field(default_factory=list)
    sentence: str = ""
    n: int = 0
    n_positive: int = 0
    positive: str = ""
    page: str = ""


def summarize(metrics: Json) -> AblationSummary:
    """Return the answer of an ablation from its metrics."""
    study, control = Study(metrics), metrics.get("control")
    rows = []
    for name, arm in study.arms.items():
        repeated = study.repeated(name)
        rows.append(
            ArmSummary(
                arm=name,
                word=arm["verdict"]["word"],
                value=arm["metrics"].get(study.primary),
                to_real=_plain(study.difference(name, "real")),
                to_repeated=_plain(repeated and study.difference(name, repeated)),
            )
        )
    return AblationSummary(
        word=metrics["verdict"]["word"],
        sentence=metrics["verdict"]["sentence"],
        control=control["sentence"] if control else None,
        primary_title=study.title,
        rows=rows,
    )


def _plain(found: Json | str | None) -> dict[str, Any] | None:
    return dict(found) if found and not isinstance(found, str) else None
