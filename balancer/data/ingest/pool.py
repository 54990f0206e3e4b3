"""Parallel work on all cores, in the given order, with a bounded number of items in memory."""

import logging
import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any, TypeVar

from balancer.data import memory
from balancer.data.threads import one_core_each
from balancer.errors import EnvironmentFault
from balancer.threads import available_cores

log = logging.getLogger(__name__)

Item = TypeVar("Item")
Result = TypeVar("Result")

_AHEAD = 4
"""Number of items per worker that are running or wait to be collected."""
_WORTH_PROCESSES = 4_000
"""Number of files above which processes are worth their start, about a second: the interpreter
lock limits two threads to 1.4 times the speed of one."""


def run_bounded(
    function: Callable[[Item], Result], items: Iterable[Item], n_files: int
) -> Iterator[Result]:
    """Apply a function to every item, in threads, or in processes if there are many files.

    Args:
        function: Function of one item; must be picklable.
        items: Items, taken as they are needed.
        n_files: Number of files in all items.

    Yields:
        The results in the order of the items. The first exception stops the rest.

    Raises:
        EnvironmentFault: The system ended a worker process.
    """
    workers = available_cores()
    if workers > 1 and n_files >= _WORTH_PROCESSES:
        context = multiprocessing.get_context("spawn")
        with memory.shared_decoding(context) as shared:
            pool = ProcessPoolExecutor(workers, context, _start, (function, shared))
            yield from _results(pool, _call, items, workers)
    else:
        yield from _results(ThreadPoolExecutor(workers), function, items, workers)


def _results(
    pool: Executor, call: Callable[[Item], Result], items: Iterable[Item], workers: int
) -> Iterator[Result]:
    waiting: deque[Future[Result]] = deque()
    waits_before = memory.waits()
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
            "one, mostly for lack of memory; free some and run the same command again to resume."
        ) from None
    finally:
        pool.shutdown(cancel_futures=True)
    if waited := memory.waits() - waits_before:
        log.info(
            "%d images waited until others were read, so fewer than %d were read at a time, to "
            "keep to data.max_memory_mb=%g.",
            *(waited, workers, memory.limit_mb()),
        )


_of_this_process: list[Callable[[Any], Any]] = []
"""The function, sent once to each process rather than with every item."""


def _start(function: Callable[[Any], Any], shared: memory.DecodingMemory) -> None:
    import cv2

    memory.share_decoding(shared)
    _of_this_process.append(function)
    cv2.setNumThreads(1)  # one process per core
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends its children
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """End this process with its parent; children of a killed parent would wait for ever."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _call(item: Any) -> Any:
    return _of_this_process[0](item)
