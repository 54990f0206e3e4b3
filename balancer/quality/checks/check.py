"""The interface of a check of the gate."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Generic, TypeVar

from balancer.quality.config import GateConfig
from balancer.quality.figures import Figures
from balancer.quality.records import CheckResult
from balancer.quality.sets import ClassFeatures
from balancer.results import Record

F = TypeVar("F")
"""Type of the figure that a check reads."""
R = TypeVar("R", bound=Record)


class Check(ABC, Generic[F]):
    """One question to the synthetic images of a class: a figure, its limit, and a sentence.

    A check whose figure has a field in `Figures` reads it there. A new figure needs no field: see
    `MeasuringCheck`.
    """

    name: ClassVar[str]
    too_few: ClassVar[str] = "too few images"
    """Sentence where there were too few images to ask."""

    @abstractmethod
    def read(self, figures: Figures) -> Mapping[str, F | None]:
        """Return the figures to judge, by name of the answer; None with too few images."""

    @abstractmethod
    def limit(self, label: str, figure: F, gate: GateConfig) -> float:
        """Return the limit that the figure has to keep, for images of the class `label`."""

    @abstractmethod
    def passes(self, label: str, figure: F, limit: float) -> bool | None:
        """Compare the figure with its limit; None where too few images cannot tell."""

    @abstractmethod
    def sentence(self, label: str, figure: F, limit: float) -> str:
        """Say what was found, and the limit."""

    def ask(self, label: str, figures: Figures, gate: GateConfig) -> Iterator[CheckResult]:
        """Answer the question, once per figure."""
        for name, figure in self.read(figures).items():
            if figure is None:
                yield CheckResult(name=name, passed=None, sentence=self.too_few)
                continue
            limit = self.limit(label, figure, gate)
            yield CheckResult(
                name=name,
                passed=self.passes(label, figure, limit),
                sentence=self.sentence(label, figure, limit),
            )


class MeasuringCheck(Check[R]):
    """A check that measures a figure of its own, kept in `Figures.own` under its name."""

    figure: ClassVar[type[Any]]
    """Type of the figure, `R`."""

    @abstractmethod
    def measure(self, images: ClassFeatures) -> R | None:
        """Measure the figure; None with too few images."""

    def read(self, figures: Figures) -> Mapping[str, R | None]:
        """Read the figure back."""
        found = figures.own[self.name]
        return {self.name: None if found is None else self.figure.model_validate(found)}
