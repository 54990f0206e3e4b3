"""Records of `quality`: the figures of each class, the answers of the gate and its verdict."""

from pydantic import Field

from balancer.quality.figures import Figures
from balancer.results import Record
from balancer.synthetic.records import Membership, OutsideSource


class CheckResult(Record):
    """The answer to one question of the gate.

    Attributes:
        name: Name of the check, with the feature space where it has several.
        passed: The answer; None with too few images to tell.
        sentence: The figure and its limit, in words.
    """

    name: str
    passed: bool | None
    sentence: str


class GateResult(Record):
    """The gate's verdict on the synthetic images of a class.

    Attributes:
        passed: False if a check failed; None if none did but one has no answer.
        checks: All answers.
    """

    passed: bool | None
    checks: tuple[CheckResult, ...]

    @classmethod
    def of(cls, answers: tuple[CheckResult, ...]) -> "GateResult":
        """Decide by all answers."""
        found = [answer.passed for answer in answers]
        passed = False if False in found else None if None in found else True
        return cls(passed=passed, checks=answers)

    @property
    def failures(self) -> list[str]:
        """Names of the checks that failed."""
        return [check.name for check in self.checks if check.passed is False]


class ClassQuality(Figures):
    """The entry of a class: its figures, and the verdict on them.

    Attributes:
        membership: Privacy of the generator, if it is the one that drew the images.
        gate: The verdict.
    """

    membership: Membership | None
    gate: GateResult

    @classmethod
    def of(
        cls, figures: Figures, *, membership: Membership | None, gate: GateResult
    ) -> "ClassQuality":
        """Add a verdict to figures."""
        given = {name: getattr(figures, name) for name in figures.model_fields_set}
        return cls(**given, membership=membership, gate=gate)


class QualityMetrics(Record):
    """The result of `balancer quality`.

    Attributes:
        classes: Figures and verdict by class.
        outside: Sources from outside of the images, by class.
    """

    classes: dict[str, ClassQuality]
    outside: dict[str, OutsideSource] = Field(default_factory=dict)
