"""Facts of a run for the checklists: fields of its records, each noted with its file."""

from collections.abc import Callable, Mapping
from typing import Any, Generic, Literal, TypeVar, cast

from pydantic import BaseModel

from balancer.ablation.arm_records import ArmResult
from balancer.evaluation.records import Performance
from balancer.report.records import (
    ABLATION,
    AUDIT,
    EXPLAIN,
    INDEX,
    LEDGER,
    QUALITY,
    SYNTHETIC,
    ReportRecords,
    classify_file,
    evaluate_file,
    training_file,
)

State = Literal["filled in", "in part", "not known", "for the authors"]
Claim = tuple[State, str]
REAL = "real"
R = TypeVar("R", bound=BaseModel)
"""Type of a record."""
T = TypeVar("T")
"""Type of a field."""


class RecordFacts(Generic[R]):
    """Fields of one record; each that is found is noted as a source.

    Args:
        file: Path to the record in the workspace.
        record: The record; None where there is none.
        note: Adds a source.
    """

    def __init__(self, file: str, record: R | None, note: Callable[[str], None]) -> None:
        self._file, self._record, self._note = file, record, note

    def get(self, field: Callable[[R], T]) -> T | None:
        """Return a field of the record; None where it is null or not in the file.

        A field that is null is a source too: it says that there is nothing.

        Args:
            field: The field, such as `lambda index: index.metrics.images`. It is called with a
                stand-in that notes the names, so it may hold nothing but names and `existing`.
        """
        names = cast(_Names, field(cast(R, _Names())))._names
        return cast(T | None, self._find(names))

    def setting(self, path: str) -> Any:
        """Return a setting of the stage, such as `data.views`; None likewise."""
        return self._find(("settings", *path.split(".")))

    def _find(self, names: tuple[str, ...]) -> Any:
        value: Any = self._record
        for name in names:
            if isinstance(value, Mapping):
                found = name in value
            elif isinstance(value, BaseModel):
                found = name in value.model_fields_set  # others are not in the file
            else:
                found = hasattr(value, name)
            if not found:
                return None
            value = value[name] if isinstance(value, Mapping) else getattr(value, name)
        self._note(f"{self._file}: {'.'.join(names)}")
        return value


class _Names:
    """Stand-in for a record that notes the names of the fields that are read."""

    def __init__(self, *names: str) -> None:
        self._names = names

    def __getattr__(self, name: str) -> "_Names":
        return _Names(*self._names, name)


def existing(part: T | None) -> T:
    """Step over a part of a record that may be null, inside `RecordFacts.get`."""
    return cast(T, part)


class Facts:
    """Fields of the records of a run, noting which were found; the sources of one answer.

    Args:
        records: All records.
    """

    def __init__(self, records: ReportRecords) -> None:
        self.records = records
        self.sources: list[str] = []
        self.index = RecordFacts(INDEX, records.index, self.note)
        self.audit = RecordFacts(AUDIT, records.audit, self.note)
        self.ablation = RecordFacts(ABLATION, records.ablation, self.note)
        self.synthetic = RecordFacts(SYNTHETIC, records.synthetic, self.note)
        self.quality = RecordFacts(QUALITY, records.quality, self.note)
        self.explain = RecordFacts(EXPLAIN, records.explain, self.note)
        self.ledger = RecordFacts(LEDGER, records.ledger, self.note)
        self.real = RecordFacts(classify_file(REAL), records.arms.get(REAL), self.note)
        self.trainings = {
            label: RecordFacts(training_file(label), result, self.note)
            for label, result in records.trainings.items()
        }
        self.external = [
            RecordFacts(evaluate_file(place), result, self.note)
            for place, result in records.external.items()
        ]

    def note(self, source: str) -> None:
        """Add a source that is no field of a record."""
        self.sources += [source] if source not in self.sources else []

    def setting(self, path: str) -> Any:
        """Return a setting of the classifiers, of the ablation or else of the real arm."""
        found = self.ablation.setting(path)
        return self.real.setting(path) if found is None else found

    @property
    def fitted(self) -> list[str]:
        """Name what was fitted on validation images: threshold, temperature, both or none."""
        names = self.ablation.get(lambda study: study.metrics.question.class_names)
        of_real = self.real.get(lambda arm: arm.metrics.threshold)
        threshold = len(names) == 2 if names else of_real is not None
        scaled = self.setting("classifier.calibration") == "temperature"
        return [*["threshold"] * threshold, *["temperature"] * scaled]

    @property
    def arms(self) -> Mapping[str, ArmResult]:
        """Arms of the ablation by name; empty without one."""
        return self.ablation.get(lambda study: study.metrics.arms) or {}

    @property
    def tests(self) -> Mapping[str, Performance]:
        """Test metrics of both classifiers of `balancer classify` by arm; empty without both."""
        found = {
            arm: RecordFacts(classify_file(arm), result, self.note)
            for arm, result in self.records.arms.items()
        }
        return {
            arm: test for arm, facts in found.items()
            if (test := facts.get(lambda result: result.metrics.test)) is not None
        }  # fmt: skip
