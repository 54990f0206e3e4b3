"""Work over many files at once: decoders and hashes release the interpreter lock."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

import cv2
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from balancer.threads import available_cores

Item = TypeVar("Item")
Result = TypeVar("Result")

_WORTH_A_BAR = 500


def map_threaded(
    function: Callable[[Item], Result], items: Sequence[Item], *, task: str
) -> list[Result]:
    """Apply a function to every item in a pool of threads.

    Args:
        function: Called once per item; the first exception stops the rest.
        items: Arguments of the function.
        task: Text of the progress bar on stderr; shown on a terminal, for many items.

    Returns:
        The results in the order of the items.
    """
    pool = ThreadPoolExecutor(min(16, available_cores()))
    with one_core_each(), pool, progress(len(items), task) as advance:
        return list(_counted(pool.map(function, items), advance))


@contextmanager
def one_core_each() -> Iterator[None]:
    """Keep OpenCV from splitting small images between threads that have work of their own."""
    before = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        cv2.setNumThreads(before)


@contextmanager
def progress(total: int, task: str) -> Iterator[Callable[[int], None]]:
    """Show a bar on stderr with the rate and the remaining time, on a terminal and for many items.

    Args:
        total: Number of items.
        task: Text of the bar.

    Yields:
        A function to call with the number of items done since the last call.
    """
    console = Console(stderr=True)
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        _RateColumn(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=total < _WORTH_A_BAR or not console.is_terminal,
    ) as bar:
        number = bar.add_task(task, total=total)
        yield lambda done: bar.advance(number, done)


class _RateColumn(ProgressColumn):
    """Items a second."""

    def render(self, task: Task) -> Text:
        """Nothing until there is something to measure."""
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{speed:,.0f}/s")


def _counted(results: Iterable[Result], advance: Callable[[int], None]) -> Iterator[Result]:
    for result in results:
        yield result
        advance(1)
