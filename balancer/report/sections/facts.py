"""Facts of a run for the checklist: fields of its records, each noted with its file."""

from collections.abc import Mapping
from typing import Any, Literal

from balancer.report.records import ABLATION, Json, ReportRecords

State = Literal["filled in", "in part", "not known", "for the authors"]
Claim = tuple[State, str]
REAL = "classify/real/result.json"


class Facts:
    """Fields of the records of a run, noting which were found; the sources of one answer.

    Args:
        records: All records.
    """

    def __init__(self, records: ReportRecords) -> None:
        self.records = records
        self.sources: list[str] = []
        self._files = records.by_file

    def get(self, file: str, path: str, default: Any = None) -> Any:
        """Return a field of a record, such as `settings.data.views`; the default for null or none.

        A field that is null is a source too: it says that there is nothing.
        """
        value: Any = self._files.get(file)
        for part in path.split("."):
            if not isinstance(value, Mapping) or part not in value:
                return default
            value = value[part]
        self.note(f"{file}: {path}")
        return default if value is None else value

    def note(self, source: str) -> None:
        """Add a source that is no field of a record."""
        self.sources += [source] if source not in self.sources else []

    def setting(self, path: str) -> Any:
        """Return a setting of the classifiers, of the ablation or else of the real arm."""
        found = self.get(ABLATION, f"settings.{path}")
        return self.get(REAL, f"settings.{path}") if found is None else found

    @property
    def arms(self) -> Mapping[str, Json]:
        """Arms of the ablation by name; empty without one."""
        return dict(self.get(ABLATION, "metrics.arms", {}))

    @property
    def tests(self) -> Mapping[str, Json]:
        """Test metrics of both classifiers of `balancer classify` by arm; empty without both."""
        return {arm: self.get(f"classify/{arm}/result.json", "metrics.test")
                for arm in self.records.arms}  # fmt: skip
