"""Threads of this process: as many as it has cores, unless others keep these busy.

Threads that share the work of one operation wait for each other at its end. By default they wait
by spinning, which takes the cores from whoever else would finish sooner. So they spin for a moment
only, and where the cores are busy a few trial steps decide between all threads and fewer. Figures:
`python benchmarks/busy.py`.
"""

import logging
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import nn

log = logging.getLogger(__name__)

_SPIN = ("GOMP_SPINCOUNT", "3000")
"""Turns of GNU's OpenMP before a waiting thread sleeps; its own choice is 300,000."""
_SPIN_SETTINGS = ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY", "KMP_BLOCKTIME")
THREAD_SETTINGS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
"""Environment variables that set the number of threads; a user's own choice is kept."""
_WATCHED_SECONDS, _TRIAL_SECONDS = 0.1, 0.5
TRIAL_BATCH = 16
"""Number of images of a trial step."""
_IDLE = 0.6
"""Share of the cores' time below which they count as busy."""
_FASTER = 1.25
"""Least gain in speed for fewer threads: their number decides the last bits of all results."""


def spin_briefly() -> None:
    """Let waiting threads sleep soon; only before torch is loaded, and not against the user."""
    if not any(name in os.environ for name in _SPIN_SETTINGS):
        os.environ[_SPIN[0]] = _SPIN[1]


def available_cores() -> int:
    """Return the number of cores that this process may use: its affinity and its cgroup's quota."""
    cores = os.cpu_count() or 1
    if hasattr(os, "sched_getaffinity"):  # absent on macOS and Windows
        cores = len(os.sched_getaffinity(0))
    quota = _quota(Path("/proc/self/cgroup"), Path("/sys/fs/cgroup"))
    return max(1, cores if quota is None else min(cores, round(quota)))


def choose_threads() -> int:
    """Set the number of threads of torch for a training, and return it.

    All available cores; fewer where the cores are busy and trial steps are clearly faster so. A
    number in the environment is the user's own, and is kept.
    """
    import torch

    if any(os.environ.get(name) for name in THREAD_SETTINGS):
        return torch.get_num_threads()
    cores = available_cores()
    torch.set_num_threads(cores)
    if cores == 1 or not _are_busy(cores):
        return cores
    step = trial_step()
    counts = sorted({1, max(1, cores // 2), cores}, reverse=True)
    seconds = {count: seconds_of(step, count) for count in counts}
    chosen = fastest(seconds)
    torch.set_num_threads(chosen)
    if chosen < cores:
        log.info(
            "Other work keeps the cores busy: %d of %d threads are used, %.1f times as fast; set "
            "OMP_NUM_THREADS for a number of your own.",
            chosen,
            cores,
            seconds[cores] / seconds[chosen],
        )
    return chosen


def fastest(seconds: Mapping[int, float]) -> int:
    """Return the largest number of threads, unless another is clearly faster.

    Args:
        seconds: Number of threads to the time of a step.
    """
    most = max(seconds)
    best = min(seconds, key=lambda count: seconds[count])
    return best if seconds[most] > _FASTER * seconds[best] else most


def _quota(membership: Path, root: Path) -> float | None:
    """Return the CPU quota of the cgroup in cores; None without one."""
    try:
        lines = membership.read_text(encoding="utf-8").splitlines()
    except OSError:  # not Linux
        return None
    quotas = []
    for line in lines:
        _, controllers, place = line.split(":", 2)
        if controllers == "":
            quotas += [_of_v2(folder / "cpu.max") for folder in _upward(root, place)]
        elif "cpu" in controllers.split(","):
            quotas += [_of_v1(folder) for folder in _upward(root / "cpu", place)]
    found = [quota for quota in quotas if quota is not None]
    return min(found) if found else None


def _upward(root: Path, place: str) -> list[Path]:
    """Return the folder of a group and of all groups that it is in."""
    folder = root / place.lstrip("/")
    return [folder, *(one for one in folder.parents if one == root or root in one.parents)]


def _of_v2(path: Path) -> float | None:
    words = _words(path)
    if len(words) != 2 or words[0] == "max":
        return None
    return int(words[0]) / int(words[1])


def _of_v1(folder: Path) -> float | None:
    quota, period = _words(folder / "cpu.cfs_quota_us"), _words(folder / "cpu.cfs_period_us")
    if not quota or not period or int(quota[0]) <= 0:
        return None
    return int(quota[0]) / int(period[0])


def _words(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="ascii").split()
    except OSError:  # the group has no such file: no limit
        return []


def _are_busy(cores: int) -> bool:
    """Watch the machine for a moment; where nothing can be seen, the trial has to tell."""
    before = _idle_seconds()
    if before is None:
        return True
    time.sleep(_WATCHED_SECONDS)
    after = _idle_seconds()
    return after is None or after - before < _IDLE * cores * _WATCHED_SECONDS


def _idle_seconds() -> float | None:
    """Return the idle time of this process's cores together since the start of the machine."""
    try:
        lines = Path("/proc/stat").read_text(encoding="ascii").splitlines()
        mine = {f"cpu{number}" for number in os.sched_getaffinity(0)}
        rows = [line.split() for line in lines if line.split(" ", 1)[0] in mine]
        ticks = sum(int(row[4]) + int(row[5]) for row in rows)
        return ticks / os.sysconf("SC_CLK_TCK")
    except (OSError, AttributeError, IndexError, ValueError):  # no Linux, or hidden by a container
        return None


def seconds_of(step: Callable[[], None], count: int) -> float:
    """Return the mean time of a step with a number of threads, which torch keeps."""
    import torch

    torch.set_num_threads(count)
    step()  # starts the threads
    started, n = time.perf_counter(), 0
    while n == 0 or time.perf_counter() - started < _TRIAL_SECONDS:
        step()
        n += 1
    return (time.perf_counter() - started) / n


def trial_step() -> Callable[[], None]:
    """Return a step of a small network, much as a GAN's; it leaves torch's random state alone."""
    import torch

    with torch.random.fork_rng(devices=[]):
        network: nn.Module = torch.nn.Sequential(
            torch.nn.Conv2d(8, 32, 3, padding=1), torch.nn.LeakyReLU(0.2),
            torch.nn.Conv2d(32, 32, 4, stride=2, padding=1), torch.nn.LeakyReLU(0.2),
            torch.nn.Conv2d(32, 64, 4, stride=2, padding=1),
        ).to(memory_format=torch.channels_last)  # fmt: skip
        images = torch.randn(TRIAL_BATCH, 8, 32, 32)

    def step() -> None:
        network(images).square().mean().backward()

    return step
