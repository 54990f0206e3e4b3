"""Executor of tasks on a Slurm cluster: a job per task, from the user's own batch script.

A job per task, not an array: a task waits for the GAN of its split, and a job that dies fails
alone. `python -m balancer.ablation.slurm TASK` is what a job runs.
"""

import logging
import pickle
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

from balancer.errors import ConfigurationError, EnvironmentFault, Interrupted
from balancer.files import replacing

log = logging.getLogger(__name__)

COMMAND = "{command}"
"""Word of the batch script that the command of a job replaces."""
JOBS_AT_A_TIME = 100


def read_script(path: Path) -> str:
    """Read the batch script of the user's cluster.

    Raises:
        ConfigurationError: There is none, or no line of it runs `{command}`.
        EnvironmentFault: There is no `sbatch`.
    """
    try:
        script = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(
            f"--slurm should name a batch script, but {path} cannot be read: {error}; "
            "docs/cluster.md has one to start from."
        ) from None
    if COMMAND not in script:
        raise ConfigurationError(
            f"--slurm should name a batch script with the word {COMMAND} where the work of a job "
            f"goes, but {path} lacks it; docs/cluster.md has one to start from."
        )
    if shutil.which("sbatch") is None:
        raise EnvironmentFault(
            "--slurm needs the command sbatch, which is not on this machine; log in to a machine "
            "of the cluster, or use --jobs."
        )
    return script


class SlurmCluster:
    """A Slurm cluster whose machines share the workspace's disk and this environment.

    Args:
        script: Text of the batch script.
        folder: Folder on the shared disk for the tasks' files; a new one in it is removed at the
            end, except the logs of jobs that failed.
        slots: Number of jobs in the queue at a time.
    """

    def __init__(self, script: str, folder: Path, slots: int = JOBS_AT_A_TIME) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = Path(tempfile.mkdtemp(prefix="tasks-", dir=folder)).resolve()
        self._script, self.slots = script, slots
        self._pool = ThreadPoolExecutor(slots)  # threads that wait for `sbatch --wait`
        self._jobs: set[str] = set()
        self._lock = threading.Lock()
        self._n_tasks = 0
        self._is_stopped = False

    def submit(self, work: Callable[[], Any]) -> "Future[Any]":
        """Put a job into the queue."""
        self._n_tasks += 1
        task = self._folder / f"{self._n_tasks}.task"
        task.write_bytes(pickle.dumps(work))
        return self._pool.submit(self._run, task)

    def stop(self) -> None:
        """Cancel the jobs; Slurm sends SIGTERM first, upon which trainings save."""
        with self._lock:
            self._is_stopped = True
            jobs = sorted(self._jobs)
        if jobs:
            subprocess.run(["scancel", *jobs], check=False, capture_output=True)
        self._pool.shutdown(wait=True, cancel_futures=True)

    def close(self) -> None:
        """Remove the tasks' files."""
        self._pool.shutdown(wait=True, cancel_futures=True)
        if not any(self._folder.glob("*.log")):
            shutil.rmtree(self._folder)

    def _run(self, task: Path) -> Any:
        """Run one job to its end and return what its task returned."""
        script, printed = task.with_suffix(".sh"), task.with_suffix(".log")
        command = f"'{sys.executable}' -m balancer.ablation.slurm '{task}'"
        script.write_text(self._script.replace(COMMAND, command), encoding="utf-8")
        said = self._wait(["sbatch", "--parsable", "--wait", f"--output={printed}", str(script)])
        answer = task.with_suffix(".answer")
        if not answer.is_file():
            raise EnvironmentFault(
                f"A job of Slurm should leave its result, but ended without one ({said}); see "
                f"{printed}; finished runs are kept, and the same command resumes."
            )
        value, fault = pickle.loads(answer.read_bytes())  # written by this very program
        if fault is not None:
            raise fault
        printed.unlink(missing_ok=True)
        return value

    def _wait(self, command: list[str]) -> str:
        """Run `sbatch --wait`, and return how it ended."""
        with self._lock:
            if self._is_stopped:
                return "stopped"
            process = subprocess.Popen(
                command,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                start_new_session=True,  # else Ctrl-C ends it before its job is cancelled
            )
        with process:
            number = (process.stdout.readline() if process.stdout else "").partition(";")[0].strip()
            with self._lock:
                self._jobs.add(number)
            _, errors = process.communicate()
        with self._lock:
            self._jobs.discard(number)
        return f"job {number or 'none'}, code {process.returncode} {errors.strip()[-200:]}".strip()


def main(path: str) -> None:
    """Do the work of a job, and leave its answer beside its task."""
    from balancer.ablation.executors import answer_of, begin_job

    begin_job()
    task = Path(path)
    answer = answer_of(pickle.loads(task.read_bytes()))  # written by this very program
    if isinstance(answer[1], Interrupted):  # its work is saved, and the next study resumes it
        sys.exit(answer[1].exit_code)
    with replacing(task.with_suffix(".answer")) as file:
        file.write_bytes(pickle.dumps(answer))


if __name__ == "__main__":
    main(sys.argv[1])
