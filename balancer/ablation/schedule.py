"""Execution of tasks in an order that their needs allow."""

import heapq
import logging
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, CancelledError, Future, wait
from dataclasses import dataclass, field
from typing import Any, Protocol

from balancer.errors import DataError, Diverged, sentence_of

log = logging.getLogger(__name__)

_SINGLE_FAILURES = (DataError, Diverged)
"""Faults of one task alone; any other fault would occur in all tasks, and stops everything."""


@dataclass(frozen=True, slots=True)
class Task:
    """One piece of work.

    Attributes:
        key: Its name, unique in a plan.
        work: Called without arguments, perhaps on another machine; it writes files and returns
            something small.
        needs: Keys of the tasks that must succeed before.
    """

    key: str
    work: Callable[[], Any]
    needs: tuple[str, ...] = ()


class Executor(Protocol):
    """Runs tasks."""

    @property
    def slots(self) -> int:
        """Number of tasks that it takes at a time."""
        ...

    def submit(self, task: Task) -> "Future[Any]":
        """Start a task."""
        ...

    def stop(self) -> None:
        """Stop running tasks; trainings save what can be resumed."""
        ...

    def close(self) -> None:
        """Release processes and connections."""
        ...


@dataclass
class Outcome:
    """Outcome of a plan.

    Attributes:
        results: Key of each task that succeeded to its result.
        failures: Key of each other task to the reason.
    """

    results: dict[str, Any] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)


def execute(
    tasks: Sequence[Task],
    executor: Executor,
    on_end: Callable[[str, Any | None, str | None], None] = lambda key, result, failure: None,
) -> Outcome:
    """Run all tasks, earlier ones first where their needs allow.

    A task that lacks data, or whose training diverges, fails alone, with those that need it. Any
    other fault stops all running tasks and is raised; finished work is kept.

    Args:
        tasks: The plan; every need is a key of it.
        executor: Runs the tasks.
        on_end: Called with (key, result, None) or (key, None, reason) when a task ends.
    """
    outcome = Outcome()
    waiting = list(tasks)
    running: dict[Future[Any], str] = {}
    try:
        while waiting or running:
            for task in _startable(waiting, outcome, executor.slots - len(running)):
                waiting.remove(task)
                running[executor.submit(task)] = task.key
            _fail_dependents(waiting, outcome, on_end)
            ended = wait(running, return_when=FIRST_COMPLETED).done if running else set()
            for future in ended:
                _note(running.pop(future), future, outcome, on_end)
    except BaseException:
        executor.stop()
        raise
    finally:
        executor.close()
    return outcome


def expected_ends(tasks: Sequence[Task], seconds: Mapping[str, float], slots: int) -> list[float]:
    """Return when tasks end if `execute` starts them and each takes the time expected of it.

    More slots than tasks, or tasks that wait for another one, make nothing faster.

    Args:
        tasks: As for `execute`.
        seconds: Key of a task to its expected time; 0 of one that is missing.
        slots: Number of tasks at a time.

    Returns:
        Seconds after the start, one number per task, ascending.
    """
    outcome = Outcome()
    waiting = list(tasks)
    running: list[tuple[float, str]] = []
    now = 0.0
    while waiting or running:
        for task in _startable(waiting, outcome, slots - len(running)):
            waiting.remove(task)
            heapq.heappush(running, (now + seconds.get(task.key, 0.0), task.key))
        now, key = heapq.heappop(running)
        outcome.results[key] = now
    return list(outcome.results.values())


def _startable(waiting: Sequence[Task], outcome: Outcome, room: int) -> list[Task]:
    ready = [task for task in waiting if all(need in outcome.results for need in task.needs)]
    return ready[: max(0, room)]


def _fail_dependents(
    waiting: list[Task], outcome: Outcome, on_end: Callable[[str, Any | None, str | None], None]
) -> None:
    for task in list(waiting):
        lost = [need for need in task.needs if need in outcome.failures]
        if lost:
            waiting.remove(task)
            outcome.failures[task.key] = outcome.failures[lost[0]]
            on_end(task.key, None, outcome.failures[task.key])


def _note(
    key: str,
    future: "Future[Any]",
    outcome: Outcome,
    on_end: Callable[[str, Any | None, str | None], None],
) -> None:
    try:
        outcome.results[key] = future.result()
    except _SINGLE_FAILURES as error:
        outcome.failures[key] = sentence_of(error)
        on_end(key, None, outcome.failures[key])
    except CancelledError as error:
        raise KeyboardInterrupt from error
    else:
        on_end(key, outcome.results[key], None)
