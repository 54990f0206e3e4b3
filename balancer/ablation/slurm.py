"""Executor of tasks on a Slurm cluster: a job per task, from the user's own batch script.

A job per task, not an array: a task waits for the GAN of its split, and a job that dies fails
alone. A job is told the study and the name of its task, and answers in JSON: no file of the queue
is ever run as code.
"""

import json
import logging
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

from balancer.ablation.schedule import Task
from balancer.errors import (
    BalancerError,
    ConfigurationError,
    DataError,
    Diverged,
    EnvironmentFault,
    IntegrityError,
    Interrupted,
    sentence_of,
)
from balancer.files import parse_json, replacing

log = logging.getLogger(__name__)

COMMAND = "{command}"
"""Word of the batch script that the command of a job replaces."""
JOBS_AT_A_TIME = 100
_FAULTS = (Diverged, EnvironmentFault, IntegrityError, DataError, ConfigurationError)
"""Kinds of faults that a job can answer with, each before its base."""
Finder = Callable[[Mapping[str, Any], str], Callable[[], Any]]
"""Finds the work of a task, given the study and the name of the task."""


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
        module: Module that a job runs; it calls `do_job`.
        study: All that the module needs to find the work of a task by its name, JSON types.
        folder: Folder on the shared disk for the tasks' files; a new one in it is removed at the
            end, except the logs of jobs that failed.
        slots: Number of jobs in the queue at a time.
    """

    def __init__(
        self,
        script: str,
        module: str,
        study: Mapping[str, Any],
        folder: Path,
        slots: int = JOBS_AT_A_TIME,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = Path(tempfile.mkdtemp(prefix="tasks-", dir=folder)).resolve()
        self._script, self._module, self._study = script, module, study
        self.slots = slots
        self._pool = ThreadPoolExecutor(slots)  # threads that wait for `sbatch --wait`
        self._jobs: set[str] = set()
        self._lock = threading.Lock()
        self._n_tasks = 0
        self._is_stopped = False

    def submit(self, task: Task) -> "Future[Any]":
        """Put a job into the queue."""
        self._n_tasks += 1
        path = self._folder / f"{self._n_tasks}.task"
        path.write_text(json.dumps({"study": self._study, "task": task.key}), encoding="utf-8")
        return self._pool.submit(self._run, path)

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
        command = f"'{sys.executable}' -m {self._module} '{task}'"
        script.write_text(self._script.replace(COMMAND, command), encoding="utf-8")
        said = self._wait(["sbatch", "--parsable", "--wait", f"--output={printed}", str(script)])
        answer = task.with_suffix(".answer")
        if not answer.is_file():
            raise EnvironmentFault(
                f"A job of Slurm should leave its result, but ended without one ({said}); see "
                f"{printed}; finished runs are kept, and the same command resumes."
            )
        result, fault = _read_answer(answer)
        if fault is not None:
            raise fault
        printed.unlink(missing_ok=True)
        return result

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


def do_job(path: Path, find: Finder) -> None:
    """Do the work of a job, and leave its answer beside its task.

    Args:
        path: Path to the file of its task.
        find: Finds the work.
    """
    from balancer.ablation.executors import answer_of, begin_job

    begin_job()
    asked = parse_json(path.read_bytes())

    def work() -> Any:
        return find(asked["study"], asked["task"])()

    result, fault = answer_of(work)
    if isinstance(fault, Interrupted):  # its work is saved, and the next study resumes it
        sys.exit(fault.exit_code)
    answer: dict[str, Any] = {"result": result}
    if fault is not None:
        answer = {"fault": _kind(fault), "sentence": sentence_of(fault)}
    with replacing(path.with_suffix(".answer")) as file:
        file.write_text(json.dumps(answer), encoding="utf-8")


def _kind(fault: BalancerError) -> str:
    return next((kind.__name__ for kind in _FAULTS if isinstance(fault, kind)), "")


def _read_answer(path: Path) -> tuple[Any, BalancerError | None]:
    """Return the result of a job, and its fault; one of the two is None."""
    answer = parse_json(path.read_bytes())
    if "fault" not in answer:
        return answer["result"], None
    kinds = {kind.__name__: kind for kind in _FAULTS}
    return None, kinds.get(answer["fault"], BalancerError)(answer["sentence"])
