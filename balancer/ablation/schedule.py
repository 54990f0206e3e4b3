"""Tasks in an order that their needs allow, on whatever runs them."""

import logging
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, CancelledError, Future, wait
from dataclasses import dataclass, field
from typing import Any, Protocol

from balancer.errors import DataError, Diverged, sentence_of

log = logging.getLogger(__name__)

_SINGLE_FAILURES = (DataError, Diverged)
"""Faults of one task alone; any other would meet the rest as well, and stops everything."""


@dataclass(frozen=True, slots=True)
class Task:
    """One piece of work.

    Attributes:
        key: Its name, once in a plan.
        work: Called without arguments, maybe on another machine; it leaves files and returns
            something small.
        needs: Keys of the tasks that must have succeeded before.
    """

    key: str
    work: Callable[[], Any]
    needs: tuple[str, ...] = ()


class Executor(Protocol):
    """Where tasks run."""

    @property
    def slots(self) -> int:
        """How many tasks are handed over at a time."""
        ...

    def submit(self, work: Callable[[], Any]) -> "Future[Any]":
        """Start a task."""
        ...

    def stop(self) -> None:
        """Give up what still runs, letting trainings save what can be resumed."""
        ...

    def close(self) -> None:
        """Let go of processes and connections."""
        ...


@dataclass
class Outcome:
    """What became of a plan.

    Attributes:
        results: Of the tasks that succeeded, by key.
        failures: Why the others did not, by key.
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
    other fault stops what runs and is raised; what has been finished stays.

    Args:
        tasks: The plan; every need is a key of it.
        executor: Where they run.
        on_end: Called with (key, result, None) or (key, None, reason) as each one ends.
    """
    outcome = Outcome()
    waiting = list(tasks)
    running: dict[Future[Any], str] = {}
    try:
        while waiting or running:
            for task in _startable(waiting, outcome, executor.slots - len(running)):
                waiting.remove(task)
                running[executor.submit(task.work)] = task.key
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
