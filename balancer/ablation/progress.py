"""Progress of a running ablation: a live table on a terminal, lines elsewhere."""

import logging
import shutil
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType

import numpy as np
from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from balancer.ablation.folds import SOURCE_PREFIX
from balancer.ablation.runs import Run
from balancer.ablation.unit import Unit
from balancer.files import replacing
from balancer.results import Record
from classifier.metrics import macro_auroc

log = logging.getLogger(__name__)
_LOGGERS = [logging.getLogger(name) for name in ("balancer", "gan", "classifier")]


class StudyProgress(Record):
    """State of a running study, without any score.

    Attributes:
        units: Number of units of the plan.
        done: Number of finished ones, those of earlier calls included.
        failed: Number of those that could not be trained.
        seconds_left: Estimated seconds left.
        began: Start of this call, UTC, ISO 8601.
        updated: Time of the last news, UTC, ISO 8601.
    """

    units: int
    done: int
    failed: int
    seconds_left: float
    began: str
    updated: str


class _Above(logging.Handler):
    """Prints log lines above the live table, so that they do not break it."""

    def __init__(self, console: Console) -> None:
        super().__init__()
        self._console = console

    def emit(self, record: logging.LogRecord) -> None:
        self._console.print(record.getMessage(), highlight=False)


class Progress:
    """Counts units as they end, and shows the AUROC of each arm on its validation images so far.

    No score of test images is shown, so that no study is stopped or changed because of one.

    Args:
        units: All units of the plan.
        ends: Expected ends of all tasks, in seconds after the start, ascending.
        n_before: Number of units that were finished earlier.
        file: Also written here, as JSON, until the end; None: nowhere.
    """

    def __init__(
        self,
        units: Sequence[Unit],
        *,
        ends: Sequence[float],
        n_before: int = 0,
        file: Path | None = None,
    ) -> None:
        self._n_before, self._file, self._began_at = n_before, file, _now()
        self._total = len(units)
        self._wanted = {arm: sum(u.arm.name == arm for u in units) for arm in _arms(units)}
        self._scores: dict[str, dict[tuple[str, int], float]] = {arm: {} for arm in self._wanted}
        self._failed: dict[str, int] = dict.fromkeys(self._wanted, 0)
        self._ends, self._n_ended = ends, 0
        self._began = time.monotonic()
        self._handlers: list[list[logging.Handler]] = []
        self._live: Live | None = None
        if sys.stderr.isatty() and log.isEnabledFor(logging.INFO):
            width = shutil.get_terminal_size((100, 24)).columns
            console = Console(stderr=True, width=width, markup=False, emoji=False)
            self._live = Live(self._table(), console=console, refresh_per_second=2)

    def __enter__(self) -> "Progress":
        self._write()
        if self._live:
            self._live.start()
            for logger in _LOGGERS:
                self._handlers.append(logger.handlers)
                logger.handlers = [_Above(self._live.console)]
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._live:
            self._live.stop()
            for logger, handlers in zip(_LOGGERS, self._handlers, strict=True):
                logger.handlers = handlers
        if self._file:
            self._file.unlink(missing_ok=True)

    @property
    def is_live(self) -> bool:
        """Return whether a live table is on the terminal."""
        return self._live is not None

    def task_ended(self) -> None:
        """Note that a task ended."""
        self._n_ended += 1

    def ended(self, unit: Unit, run: Run) -> None:
        """Note a finished unit."""
        score = macro_auroc(run.validation.probabilities, run.validation.labels)
        self._scores[unit.arm.name][run.fold, run.seed] = np.nan if score is None else score
        text = "undefined" if score is None else f"{score:.3f}"
        self._show(f"{unit.name}: validation AUROC {text} after {run.seconds:.0f} s")

    def failed(self, unit: Unit, reason: str) -> None:
        """Note a unit that could not be trained."""
        self._failed[unit.arm.name] += 1
        self._show(f"{unit.name} FAILED: {reason}")

    def show(self, sentence: str) -> None:
        """Show another sentence."""
        self._show(sentence)

    def _show(self, line: str) -> None:
        done = self._n_done + sum(self._failed.values())
        self._write()
        left = f"about {duration(self._left())} left"
        if self._live:
            self._live.update(self._table(f"{done} of {self._total}, {left}. Last: {line}"))
        else:
            log.info("[%d/%d, %s] %s", done, self._total, left, line)

    @property
    def _n_done(self) -> int:
        return sum(map(len, self._scores.values()))

    def _write(self) -> None:
        if self._file is None:
            return
        state = StudyProgress(
            units=self._n_before + self._total,
            done=self._n_before + self._n_done,
            failed=sum(self._failed.values()),
            seconds_left=round(self._left(), 1),
            began=self._began_at,
            updated=_now(),
        )
        self._file.parent.mkdir(parents=True, exist_ok=True)
        with replacing(self._file) as partial:
            partial.write_text(state.model_dump_json(indent=1) + "\n", encoding="utf-8")

    def _left(self) -> float:
        """Estimate the seconds left from the pace so far; before the first end, from the plan.

        The pace compares the last end with the one that the plan expected in its place.
        """
        if self._n_ended == len(self._ends):
            return 0.0
        passed = time.monotonic() - self._began
        expected = self._ends[self._n_ended - 1] if self._n_ended else 0.0
        pace = passed / expected if expected else 1.0
        return max(0.0, self._ends[-1] * pace - passed)

    def _table(self, caption: str = "") -> Table:
        table = Table("arm", title="Ablation, validation images", caption=Text(caption))
        for heading in ("done", "AUROC", "SD"):
            table.add_column(heading, justify="right")
        for arm, scores in self._scores.items():
            failed = f" ({self._failed[arm]} failed)" if self._failed[arm] else ""
            # Tests on a left-out source are counted, but not part of the comparison.
            values = [
                score for key, score in scores.items() if not key[0].startswith(SOURCE_PREFIX)
            ]
            table.add_row(
                Text(arm),
                f"{len(scores)}/{self._wanted[arm]}{failed}",
                f"{np.mean(values):.3f}" if values else "",
                f"{np.std(values, ddof=1):.3f}" if len(values) > 1 else "",
            )
        return table


def duration(seconds: float) -> str:
    """Format a time as `40 s`, `12 min` or `3.4 h`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _arms(units: Sequence[Unit]) -> list[str]:
    return list(dict.fromkeys(unit.arm.name for unit in units))
