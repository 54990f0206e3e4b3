"""`ablate --slurm`, against an `sbatch` that runs each job on this machine."""

import functools
import os
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from balancer.ablation.schedule import Task, execute
from balancer.ablation.slurm import SlurmCluster
from balancer.cli import main
from balancer.errors import EnvironmentFault
from support.slurm_work import add, die, fail

SBATCH = """#!/bin/sh
echo $$
for word in "$@"; do case $word in --output=*) printed=${word#--output=};; esac; done
exec sh "$word" > "$printed" 2>&1
"""
SCRIPT = "#!/bin/sh\n#SBATCH --time=1:00:00\nexec {command}\n"


@pytest.fixture
def sbatch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "sbatch").write_text(SBATCH)
    (folder / "sbatch").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    return folder


@pytest.mark.usefixtures("sbatch")
def test_jobs_return_what_their_work_does_and_a_fault_fails_alone(tmp_path: Path) -> None:
    cluster = SlurmCluster(SCRIPT, tmp_path / "slurm", slots=3)
    tasks = [
        Task("sum", functools.partial(add, 2, 3)),
        Task("fault", functools.partial(fail, "too few images")),
        Task("after", functools.partial(add, 1, 1), needs=("sum",)),
    ]
    outcome = execute(tasks, cluster)
    assert outcome.results == {"sum": 5, "after": 2}
    assert "too few images" in outcome.failures["fault"]


@pytest.mark.usefixtures("sbatch")
def test_a_job_that_dies_is_a_fault_of_the_machine_and_leaves_its_log(tmp_path: Path) -> None:
    cluster = SlurmCluster(SCRIPT, tmp_path / "slurm", slots=1)
    with pytest.raises(EnvironmentFault, match=r"\.log"):
        execute([Task("dies", die)], cluster)
    assert list((tmp_path / "slurm").glob("*/*.log"))


@pytest.mark.usefixtures("sbatch")
def test_a_finished_study_leaves_no_file_of_a_task(tmp_path: Path) -> None:
    cluster = SlurmCluster(SCRIPT, tmp_path / "slurm", slots=1)
    execute([Task("sum", functools.partial(add, 2, 3))], cluster)
    assert list((tmp_path / "slurm").iterdir()) == []


@pytest.mark.parametrize("text", [None, "#!/bin/sh\necho nothing\n"])
def test_a_script_without_its_place_is_wrong_usage(text: str | None, tmp_path: Path) -> None:
    script = tmp_path / "job.sh"
    if text is not None:
        script.write_text(text)
    words = ["ablate", "--slurm", str(script), "-w", str(tmp_path / "w")]
    done = CliRunner().invoke(main, words)
    assert (done.exit_code, str(script) in done.stderr) == (2, True)
    assert not (tmp_path / "w").exists()


def test_without_sbatch_the_machine_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    script = tmp_path / "job.sh"
    script.write_text(SCRIPT)
    words = ["ablate", "--slurm", str(script), "-w", str(tmp_path / "w")]
    done = CliRunner().invoke(main, words)
    assert (done.exit_code, "sbatch" in done.stderr) == (5, True)
