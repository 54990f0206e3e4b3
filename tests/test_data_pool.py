"""Work in processes: the effect of killing one side."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from balancer.data.ingest.pool import run_bounded
from balancer.errors import EnvironmentFault


def _end_worker(item: int) -> int:
    if item == 5:
        os.kill(os.getpid(), signal.SIGKILL)
    return item


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="only POSIX kills like this")
def test_a_killed_worker_is_a_fault_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("balancer.data.ingest.pool._WORTH_PROCESSES", 0)
    monkeypatch.setattr("balancer.data.ingest.pool.available_cores", lambda: 2)
    with pytest.raises(EnvironmentFault):
        list(run_bounded(_end_worker, range(9), 9))


WAITING = """
import sys, time
from balancer.data.ingest import pool
pool._WORTH_PROCESSES, pool.available_cores = 0, lambda: 2
def worker(item):
    import os
    print(os.getpid(), flush=True)
    return item
if __name__ == "__main__":
    for _ in pool.run_bounded(worker, range(1), 1):
        time.sleep(60)
"""


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="reads /proc")
def test_workers_end_with_a_killed_parent(tmp_path: Path) -> None:
    script = tmp_path / "waiting.py"
    script.write_text(WAITING)
    with subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        worker = Path("/proc", parent.stdout.readline().strip())
        assert worker.is_dir()
        parent.kill()
    ended_by = time.monotonic() + 20
    while worker.is_dir() and time.monotonic() < ended_by:
        time.sleep(0.05)
    assert not worker.is_dir()
