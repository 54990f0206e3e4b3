"""Work over many files at once: decoders and hashes release the interpreter lock."""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from rich.console import Console
from rich.progress import track

Item = TypeVar("Item")
Result = TypeVar("Result")

_WORTH_A_BAR = 500


def map_threaded(
    function: Callable[[Item], Result], items: Sequence[Item], *, task: str
) -> list[Result]:
    """Apply a function to every item in a pool of threads.

    Args:
        function: Called once per item; the first exception stops the rest.
        items: The work.
        task: What the progress bar on stderr says; shown on a terminal, for many items.

    Returns:
        The results in the order of the items, whatever the order of completion.
    """
    console = Console(stderr=True)
    silent = len(items) < _WORTH_A_BAR or not console.is_terminal
    workers = max(
        1, min(16, len(os.sched_getaffinity(0)) if _has_affinity() else os.cpu_count() or 1)
    )
    with ThreadPoolExecutor(workers) as pool:
        results = pool.map(function, items)
        return list(
            track(results, task, total=len(items), console=console, transient=True, disable=silent)
        )


def _has_affinity() -> bool:
    return hasattr(os, "sched_getaffinity")  # absent on macOS
