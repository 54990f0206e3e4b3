"""`ablate --slurm`, against an `sbatch` that runs each job on this machine."""

import os
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from balancer.ablation.schedule import Task, execute
from balancer.ablation.slurm import SlurmCluster
from balancer.cli import main
from balancer.errors import EnvironmentFault
from support import slurm_work
from support.tiny_pipeline import arguments, draw_folder

pytestmark = pytest.mark.blank_pictures

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


def cluster_of(tmp_path: Path, slots: int = 1) -> SlurmCluster:
    study = {"numbers": [2, 3]}
    return SlurmCluster(SCRIPT, slurm_work.__name__, study, tmp_path / "slurm", slots)


def task(key: str, *needs: str) -> Task:
    return Task(key, lambda: None, needs)  # a job finds the work by its name


@pytest.mark.usefixtures("sbatch")
def test_jobs_return_what_their_work_does_and_a_fault_fails_alone(tmp_path: Path) -> None:
    outcome = execute([task("sum"), task("fault"), task("after", "fault")], cluster_of(tmp_path, 3))
    assert outcome.results == {"sum": 5}
    assert "too few images" in outcome.failures["fault"]
    assert "too few images" in outcome.failures["after"]


@pytest.mark.usefixtures("sbatch")
def test_a_job_that_dies_is_a_fault_of_the_machine_and_leaves_its_log(tmp_path: Path) -> None:
    with pytest.raises(EnvironmentFault, match=r"\.log"):
        execute([task("dies")], cluster_of(tmp_path))
    assert list((tmp_path / "slurm").glob("*/*.log"))


@pytest.mark.usefixtures("sbatch")
def test_a_finished_study_leaves_no_file_of_a_task(tmp_path: Path) -> None:
    execute([task("sum")], cluster_of(tmp_path))
    assert list((tmp_path / "slurm").iterdir()) == []


@pytest.mark.usefixtures("sbatch")
def test_a_study_is_trained_by_jobs(tmp_path: Path) -> None:
    """Each job finds its unit by its name; what it leaves is what one process leaves."""
    data = draw_folder(tmp_path / "films")
    (tmp_path / "job.sh").write_text(SCRIPT)
    words = ["ablation.repeats=1", "ablation.arms=[real, oversample]"]
    predictions = {}
    for name, more in (("jobs", ["--slurm", str(tmp_path / "job.sh")]), ("here", [])):
        place = tmp_path / name
        done = CliRunner().invoke(main, ["ablate", *arguments(data, place, *words), *more])
        assert done.exit_code == 0, done.stderr
        units = place / "runs" / "units"
        found = sorted(units.rglob("test.csv"))
        predictions[name] = {one.relative_to(units): one.read_bytes() for one in found}
    assert len(predictions["jobs"]) > 1
    assert predictions["jobs"] == predictions["here"]


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
