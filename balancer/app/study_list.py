"""The studies of a folder of workspaces, and those that are running."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from pydantic import ValidationError

from balancer.ablation.progress import StudyProgress, duration
from balancer.ablation.records import AblateMetrics
from balancer.errors import BalancerError, sentence_of
from balancer.report.records import Study
from balancer.report.sections.answer import question_of_page
from balancer.results import StageResult, read_result
from balancer.workspace import Workspace

log = logging.getLogger(__name__)

PAGE = "report.html"
_DEPTHS = ("*", "*/*", "*/*/*")
"""Folders that are searched, down to three levels below the folder."""


@dataclass(frozen=True, slots=True)
class ListedStudy:
    """A finished study.

    Attributes:
        name: Folder of its workspace, below the folder that is listed.
        kind: `ablation`, `quick` or `travel`.
        question: The question.
        word: The verdict in a word.
        sentence: The verdict.
        date: Day of the verdict, ISO 8601.
        page: Path to its page; None where it was not written.
        fault: Reason why it cannot be read; empty for most.
    """

    name: str
    kind: str
    question: str = ""
    word: str = ""
    sentence: str = ""
    date: str = ""
    page: Path | None = None
    fault: str = ""

    @property
    def key(self) -> str:
        """Its name in an address."""
        return f"{self.name}/{self.kind}"


@dataclass(frozen=True, slots=True)
class RunningStudy:
    """A study that is running, or was killed.

    Attributes:
        name: Folder of its workspace.
        progress: Its state; no score is part of it.
    """

    name: str
    progress: StudyProgress

    @property
    def left(self) -> str:
        """The estimated time left, in words."""
        return duration(self.progress.seconds_left)

    @property
    def news(self) -> str:
        """Time since the last news, in words: long ones may mean that it was killed."""
        passed = datetime.now(UTC) - datetime.fromisoformat(self.progress.updated)
        return duration(max(0.0, passed.total_seconds()))


def find_workspaces(own: Workspace, folder: Path | None) -> dict[str, Workspace]:
    """Return workspaces by the names under which they are listed, the page's own one included."""
    found = {}
    if folder is not None:
        places = [folder, *(path for depth in _DEPTHS for path in folder.glob(depth))]
        for place in sorted(places):
            inner = {"folds", "outside", "runs", "travel"} & set(place.relative_to(folder).parts)
            if not inner and (place / "index" / "index.csv").is_file():
                found[place.relative_to(folder).as_posix()] = Workspace(place)
    if own.root.resolve() not in {one.root.resolve() for one in found.values()}:
        name = own.root.resolve().name
        found[f"{name} (of this page)" if name in found else name] = own
    return found


def list_studies(workspaces: dict[str, Workspace]) -> list[ListedStudy]:
    """Return all finished studies, the newest first; one that cannot be read is named."""
    found = [one for name, place in workspaces.items() for one in _studies_of(name, place)]
    return sorted(found, key=lambda one: (one.date, one.name), reverse=True)


def list_running(workspaces: dict[str, Workspace]) -> list[RunningStudy]:
    """Return the studies that leave their progress."""
    found = []
    for name, place in workspaces.items():
        for study, title in ((place, name), (place.travel, f"{name} (travel)")):
            try:
                text = study.progress_file.read_bytes()
                found.append(RunningStudy(title, StudyProgress.model_validate_json(text)))
            except FileNotFoundError:
                continue  # not running, or just ended
            except (OSError, ValidationError) as error:
                log.warning("%s cannot be read: %s", study.progress_file, type(error).__name__)
    return found


def _studies_of(name: str, place: Workspace) -> Iterator[ListedStudy]:
    for kind, study, pages in (
        ("ablation", place.ablation_dir, place.report_dir),
        ("quick", place.quick_dir, place.quick_dir),
        ("travel", place.travel.ablation_dir, place.travel.report_dir),
        ("travel, quick", place.travel.quick_dir, place.travel.quick_dir),
    ):
        try:
            result = read_result(study, AblateMetrics)
        except BalancerError as error:
            yield ListedStudy(name, kind, fault=sentence_of(error))
            continue
        if result is not None:
            yield _listed(name, kind, study, result, pages / PAGE)


def _listed(
    name: str, kind: str, study: Path, result: StageResult[AblateMetrics], page: Path
) -> ListedStudy:
    metrics = result.metrics
    when = datetime.fromtimestamp((study / "result.json").stat().st_mtime, UTC)
    return ListedStudy(
        name=name,
        kind=kind,
        question=question_of_page(Study(metrics)),
        word=metrics.verdict.word,
        sentence=metrics.verdict.sentence,
        date=when.date().isoformat(),
        page=page if page.is_file() else None,
    )
