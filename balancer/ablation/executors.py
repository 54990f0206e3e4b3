"""Executors of tasks: this process, several processes of this machine, or a Ray cluster."""

import logging
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor
from types import FrameType
from typing import Any

from balancer.ablation.schedule import Executor, Task
from balancer.allocator import keep_freed_memory
from balancer.errors import BalancerError, EnvironmentFault, Interrupted
from balancer.threads import THREAD_SETTINGS, available_cores, choose_threads

log = logging.getLogger(__name__)

_RETRIES = 5
_STOP_SECONDS = 60
_is_working = _is_stopped = False


def executor_for(jobs: int, ray_address: str | None, *, apart: bool = False) -> Executor:
    """Choose an executor.

    Args:
        jobs: Number of tasks at a time.
        ray_address: Address of a cluster; None: this machine.
        apart: Run even a single job in another process, since the terminal of this one is in use.

    Raises:
        EnvironmentFault: Ray is not installed, or there is no cluster at the address.
    """
    if ray_address is not None:
        return RayCluster(ray_address)
    return InThisProcess() if jobs == 1 and not apart else Processes(jobs)


class InThisProcess:
    """One task at a time, in this process."""

    slots = 1

    def submit(self, task: Task) -> "Future[Any]":
        """Do the work at once."""
        future: Future[Any] = Future()
        try:
            future.set_result(task.work())
        except BalancerError as error:
            future.set_exception(error)
        return future

    def stop(self) -> None:
        """Do nothing: no task runs when this is called."""

    def close(self) -> None:
        """Do nothing."""


class Processes:
    """Several processes of this machine, with an equal share of its cores."""

    def __init__(self, jobs: int) -> None:
        self.slots = jobs
        threads = _threads_of_each(jobs)
        self._inherited = {name: os.environ.get(name) for name in THREAD_SETTINGS}
        # Read when a process starts; without it, each would use every core and all would be slow.
        os.environ.update(dict.fromkeys(THREAD_SETTINGS, str(threads)))
        self._pool = ProcessPoolExecutor(
            jobs,
            mp_context=multiprocessing.get_context("spawn"),
            initializer=_begin,
            initargs=(threads,),
        )

    def submit(self, task: Task) -> "Future[Any]":
        """Hand the work to the next free process."""
        return self._pool.submit(_call, task.work)

    def stop(self) -> None:
        """Ask the processes to end; GAN trainings leave a checkpoint first."""
        self._pool.shutdown(wait=False, cancel_futures=True)
        for child in multiprocessing.active_children():
            child.terminate()
        deadline = time.monotonic() + _STOP_SECONDS
        for child in multiprocessing.active_children():
            child.join(max(0.0, deadline - time.monotonic()))
            child.kill()  # of those that saved in time there is nothing left to kill

    def close(self) -> None:
        """Wait for the processes to end."""
        self._pool.shutdown(wait=True, cancel_futures=True)
        for name, value in self._inherited.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


class RayCluster:
    """A Ray cluster whose machines share the workspace's disk and have this package installed.

    Ray repeats a task whose machine died; a task writes to a temporary name and renames, so its
    result exists once, regardless of the number of attempts.
    """

    def __init__(self, address: str) -> None:
        try:
            import ray
        except ImportError:
            raise EnvironmentFault(
                "--ray needs the package ray, which is not installed; "
                "`pip install 'balancer[cluster]'`."
            ) from None
        self._ray = ray
        try:
            ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
        except (ConnectionError, ValueError, RuntimeError) as error:
            raise EnvironmentFault(
                f"--ray needs a running cluster, but {address!r} does not answer as one: {error}; "
                "start it with `ray start --head`."
            ) from None
        # Ray prints events of its nodes on stdout, which is only for the result.
        self._stdout, sys.stdout = sys.stdout, sys.stderr
        self._call = ray.remote(num_cpus=1, max_retries=_RETRIES)(answer_of)

    @property
    def slots(self) -> int:
        """Number of cores of the cluster; Ray queues the other tasks."""
        resources: dict[str, float] = self._ray.cluster_resources()  # type: ignore[no-untyped-call]
        return max(1, int(resources.get("CPU", 1)))

    def submit(self, task: Task) -> "Future[Any]":
        """Hand the work to the cluster."""
        return _unwrapped(self._call.remote(task.work).future())

    def stop(self) -> None:
        """Do nothing: leaving the cluster cancels the tasks of this driver."""

    def close(self) -> None:
        """Leave the cluster."""
        self._ray.shutdown()
        sys.stdout = self._stdout


def _threads_of_each(jobs: int) -> int:
    """Return the threads of one of several processes: its share, or fewer if the user says so."""
    if jobs == 1:
        import torch

        return torch.get_num_threads()
    share = max(1, available_cores() // jobs)
    given = os.environ.get(THREAD_SETTINGS[0], "")
    return min(share, int(given)) if given.isdecimal() and int(given) else share


def _begin(threads: int) -> None:
    """Set up a worker: its share of the cores; stopped by SIGTERM alone."""
    import torch

    torch.set_num_threads(threads)
    keep_freed_memory()
    # Ctrl-C and a terminal that closes reach all processes; the driver decides.
    for name in ("SIGINT", "SIGHUP"):
        if hasattr(signal, name):  # Windows has no SIGHUP
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _interrupt)
    threading.Thread(target=_end_with_driver, daemon=True).start()


def _end_with_driver() -> None:
    """End this worker with a driver that was killed: the next one starts the same units."""
    driver = multiprocessing.parent_process()
    if driver is not None:
        driver.join()
        if not hasattr(signal, "pthread_kill"):  # Windows
            os._exit(128 + signal.SIGTERM)
        # To the main thread, whose waiting for the next task it ends.
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGTERM)


def _interrupt(number: int, frame: FrameType | None) -> None:
    global _is_stopped
    if not _is_working:
        os._exit(128 + number)
    # The pool signals again once another worker has ended, which must not break off the saving.
    is_first, _is_stopped = not _is_stopped, True
    if is_first:
        raise KeyboardInterrupt


def _call(work: Callable[[], Any]) -> Any:
    global _is_working, _is_stopped
    for name in ("balancer", "gan", "classifier"):
        logging.getLogger(name).setLevel(logging.WARNING)
    _is_working = True
    try:
        return work()
    except Interrupted:  # by a training, which handles the signal itself
        _is_stopped = True
        raise
    finally:
        _is_working = False
        driver = multiprocessing.parent_process()
        if driver is not None and (_is_stopped or not driver.is_alive()):
            # Else it would take the next unit from the queue, or wait for ever for its lock, which
            # an idle worker holds that the same signal ended.
            os._exit(128 + signal.SIGTERM)


def begin_job() -> None:
    """Set up the process of a cluster's job, which uses all cores that it was given."""
    _begin(choose_threads())


def answer_of(work: Callable[[], Any]) -> tuple[Any, BalancerError | None]:
    """Do the work, and return a fault instead of raising it, so that another process raises it."""
    try:
        return _call(work), None
    except BalancerError as error:
        return None, error


def _unwrapped(answer: "Future[tuple[Any, BalancerError | None]]") -> "Future[Any]":
    future: Future[Any] = Future()

    def pass_on(done: "Future[tuple[Any, BalancerError | None]]") -> None:
        lost = done.exception()
        value, fault = (None, lost) if lost else done.result()
        if fault is None:
            future.set_result(value)
        else:
            future.set_exception(fault)

    answer.add_done_callback(pass_on)
    return future
