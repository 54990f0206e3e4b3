"""Work in all cores, in the order it was given, with a bounded part of it in memory."""

import multiprocessing
import signal
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from typing import Any, TypeVar

from balancer.data.threads import cores

Item = TypeVar("Item")
Result = TypeVar("Result")

_AHEAD = 4
"""Items per worker that are begun or wait to be collected."""
_THREADS_SUFFICE = 4
"""Cores that threads keep busy: about a sixth of what is done with a film of 224 px holds the
interpreter lock."""
_WORTH_PROCESSES = 20_000
"""Files from which on the start of processes, about a second, no longer counts."""


def run_bounded(
    function: Callable[[Item], Result], items: Iterable[Item], n_files: int
) -> Iterator[Result]:
    """Apply a function to every item, in threads, or in processes where that is worth their start.

    Args:
        function: Called once per item; can be pickled.
        items: The work; taken as it is needed.
        n_files: Files behind all items.

    Yields:
        The results in the order of the items. The first exception stops the rest.
    """
    workers = cores()
    pool: Executor
    if workers > _THREADS_SUFFICE and n_files >= _WORTH_PROCESSES:
        context = multiprocessing.get_context("spawn")
        pool = ProcessPoolExecutor(workers, context, _start, (function,))
        call: Callable[[Any], Any] = _call
    else:
        pool, call = ThreadPoolExecutor(workers), function
    waiting: deque[Future[Result]] = deque()
    try:
        for item in items:
            waiting.append(pool.submit(call, item))
            if len(waiting) >= _AHEAD * workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


_of_this_process: list[Callable[[Any], Any]] = []
"""What is done with items, so that it does not travel with every one."""


def _start(function: Callable[[Any], Any]) -> None:
    import cv2

    _of_this_process.append(function)
    cv2.setNumThreads(1)  # one process per core
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends its children


def _call(item: Any) -> Any:
    return _of_this_process[0](item)
