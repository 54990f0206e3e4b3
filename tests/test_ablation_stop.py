"""A stop of several workers: the busy ones finish their saving, all of them end, soon."""

import functools
import multiprocessing
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from balancer.ablation.executors import Processes
from balancer.ablation.schedule import Task
from balancer.errors import Interrupted

pytestmark = pytest.mark.blank_pictures


def saving(folder: str) -> None:
    """Work until the stop, then save for a while, as a training does."""
    (Path(folder) / "begun").touch()
    try:
        time.sleep(300)
    except KeyboardInterrupt:
        time.sleep(1.5)
        (Path(folder) / "saved").touch()
        raise


def reporting(folder: str) -> None:
    """The same, as `gan-train`, which has a handler of its own and ends in a sentence."""
    stopped = threading.Event()
    before = signal.signal(signal.SIGTERM, lambda number, frame: stopped.set())
    (Path(folder) / "begun").touch()
    while not stopped.wait(0.05):
        pass
    time.sleep(1.5)
    (Path(folder) / "saved").touch()
    signal.signal(signal.SIGTERM, before)
    raise Interrupted(signal.SIGTERM, "Stopped.")


@pytest.mark.timeout(60)
@pytest.mark.parametrize("work", [saving, reporting])
def test_a_worker_that_saves_ends_beside_an_idle_one(
    tmp_path: Path, work: Callable[[str], None]
) -> None:
    """The idle one dies with the lock of the queue, for which the other must not wait."""
    pool = Processes(2)
    pool.submit(Task("idle", time.monotonic)).result(50)
    pool.submit(Task("work", functools.partial(work, str(tmp_path))))
    pool.submit(Task("idle", time.monotonic)).result(50)  # both have started, and one is idle again
    while not (tmp_path / "begun").exists():
        time.sleep(0.05)
    workers = multiprocessing.active_children()
    assert len(workers) == 2
    started = time.monotonic()
    pool.stop()
    pool.close()
    assert time.monotonic() - started < 15
    assert (tmp_path / "saved").exists()
    # Gone at once; `is_alive` knows it a moment later, if a thread of the pool took the exit code.
    while any(worker.is_alive() for worker in workers):
        assert time.monotonic() - started < 15
        time.sleep(0.05)
