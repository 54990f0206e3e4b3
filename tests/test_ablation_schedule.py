from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from typing import Any

import pytest

from balancer.ablation.executors import InThisProcess, Processes, executor_for
from balancer.ablation.schedule import Task, execute, expected_ends
from balancer.errors import ConfigurationError, DataError, Diverged, EnvironmentFault


def note(log: list[str], key: str) -> str:
    log.append(key)
    return key


def fail(kind: type[Exception]) -> None:
    raise kind("it cannot be")


def double(value: int) -> int:
    return 2 * value


def test_needs_come_first() -> None:
    log: list[str] = []
    tasks = [
        Task("c", partial(note, log, "c"), needs=("b",)),
        Task("b", partial(note, log, "b"), needs=("a",)),
        Task("a", partial(note, log, "a")),
        Task("d", partial(note, log, "d")),
    ]
    outcome = execute(tasks, InThisProcess())
    assert log == ["a", "b", "c", "d"]
    assert outcome.results == {key: key for key in "abcd"}


def test_more_slots_than_tasks_make_nothing_faster() -> None:
    seconds = {"images": 30.0, **dict.fromkeys("abcd", 10.0)}
    alone = [Task(key, partial(double, 1)) for key in "abcd"]
    assert expected_ends(alone, seconds, 100) == [10.0] * 4
    assert expected_ends(alone, seconds, 3) == [10.0, 10.0, 10.0, 20.0]
    assert expected_ends(alone, seconds, 1) == [10.0, 20.0, 30.0, 40.0]
    waits = Task("waits", partial(double, 1), needs=("images",))
    images = Task("images", partial(double, 1))
    assert expected_ends([waits, images], {**seconds, "waits": 5.0}, 100) == [30.0, 35.0]
    assert expected_ends([], {}, 2) == []


@pytest.mark.parametrize("kind", [DataError, Diverged])
def test_a_task_fails_alone_with_those_that_need_it(kind: type[Exception]) -> None:
    ended: list[tuple[str, Any, str | None]] = []
    tasks = [
        Task("bad", partial(fail, kind)),
        Task("next", partial(double, 1), needs=("bad",)),
        Task("after", partial(double, 1), needs=("next",)),
        Task("other", partial(double, 2)),
    ]
    outcome = execute(tasks, InThisProcess(), lambda *end: ended.append(end))
    assert outcome.results == {"other": 4}
    assert outcome.failures == dict.fromkeys(("bad", "next", "after"), "it cannot be")
    assert sorted(key for key, _, _ in ended) == ["after", "bad", "next", "other"]


@pytest.mark.parametrize("kind", [ConfigurationError, EnvironmentFault, ValueError])
def test_faults_that_all_would_meet_stop_everything(kind: type[Exception]) -> None:
    log: list[str] = []
    tasks = [Task("bad", partial(fail, kind)), Task("next", partial(note, log, "next"))]
    with pytest.raises(kind):
        execute(tasks, InThisProcess())
    assert not log


class Reversing:
    """Ends what was started last first, as many machines might."""

    slots = 3

    def __init__(self) -> None:
        self.most = 0
        self._open: list[tuple[Future[Any], Callable[[], Any]]] = []

    def submit(self, task: Task) -> "Future[Any]":
        future: Future[Any] = Future()
        self._open.append((future, task.work))
        self.most = max(self.most, len(self._open))
        if len(self._open) == self.slots:
            while self._open:
                done, last = self._open.pop()
                done.set_result(last())
        return future

    def stop(self) -> None: ...

    def close(self) -> None: ...


def test_no_more_than_its_slots_are_handed_to_an_executor() -> None:
    executor = Reversing()
    tasks = [Task(str(n), partial(double, n)) for n in range(9)]
    outcome = execute(tasks, executor)
    assert outcome.results == {str(n): 2 * n for n in range(9)}
    assert executor.most == 3


def test_processes_return_results_and_faults() -> None:
    tasks = [
        Task("two", partial(double, 1)),
        Task("bad", partial(fail, DataError)),
        Task("four", partial(double, 2), needs=("two",)),
    ]
    outcome = execute(tasks, Processes(2))
    assert outcome.results == {"two": 2, "four": 4}
    assert outcome.failures == {"bad": "it cannot be"}


def test_one_job_needs_no_process() -> None:
    assert isinstance(executor_for(1, None), InThisProcess)
