"""Work in all cores, in the order it was given, with a bounded part of it in memory."""

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any, TypeVar

from balancer.data.threads import cores, one_core_each
from balancer.errors import EnvironmentFault

Item = TypeVar("Item")
Result = TypeVar("Result")

_AHEAD = 4
"""Items per worker that are begun or wait to be collected."""
_WORTH_PROCESSES = 4_000
"""Files from which on the start of processes, about a second, counts less than the interpreter
lock, which keeps two threads from being more than 1.4 times as fast as one."""


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

    Raises:
        EnvironmentFault: The system ended a process.
    """
    workers = cores()
    pool: Executor
    if workers > 1 and n_files >= _WORTH_PROCESSES:
        context = multiprocessing.get_context("spawn")
        pool = ProcessPoolExecutor(workers, context, _start, (function,))
        call: Callable[[Any], Any] = _call
    else:
        pool, call = ThreadPoolExecutor(workers), function
    waiting: deque[Future[Result]] = deque()
    try:
        with one_core_each():
            for item in items:
                waiting.append(pool.submit(call, item))
                if len(waiting) >= _AHEAD * workers:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
    except BrokenProcessPool:
        raise EnvironmentFault(
            "Every worker process should live until the last file is read, but the system ended "
            "one, mostly for lack of memory; free some and run the same command, which goes on "
            "where it was."
        ) from None
    finally:
        pool.shutdown(cancel_futures=True)


_of_this_process: list[Callable[[Any], Any]] = []
"""What is done with items, so that it does not travel with every one."""


def _start(function: Callable[[Any], Any]) -> None:
    import cv2

    _of_this_process.append(function)
    cv2.setNumThreads(1)  # one process per core
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends its children
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """A parent that was killed leaves children that would wait for work for ever."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _call(item: Any) -> Any:
    return _of_this_process[0](item)
