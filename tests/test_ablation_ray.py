import os
import subprocess
import sys
from pathlib import Path

import pytest

from balancer.ablation.executors import executor_for
from balancer.errors import EnvironmentFault
from balancer.stages import ablate, prepare
from balancer.workspace import Workspace
from support.ray_study import STUDY
from support.tiny_pipeline import config_for, metrics_of, tree

pytestmark = pytest.mark.blank_pictures

HERE = Path(__file__).parent


def predictions(workspace: Workspace) -> dict[str, bytes]:
    found = tree(workspace.root / "runs" / "units")
    return {path: content for path, content in found.items() if path.endswith("test.csv")}


@pytest.mark.usefixtures("one_thread")
def test_a_killed_node_loses_nothing_and_doubles_nothing(tmp_path: Path, data: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "support.ray_study", str(data), str(tmp_path / "ray")],
        cwd=HERE,
        capture_output=True,
        text=True,
        timeout=240,
        env=os.environ | {"OMP_NUM_THREADS": "1", "RAY_worker_niceness": "0"},
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert "raylet" not in done.stdout  # the result alone belongs there
    ended = (tmp_path / "ray" / "ended.txt").read_text().splitlines()
    assert len(ended) == len(set(ended)) == 6
    local, cluster = Workspace(tmp_path / "local"), Workspace(tmp_path / "ray")
    config = config_for(data, *STUDY)
    with local.lock():
        prepare.run(config, local)
        ablate.run(config, local)
    assert predictions(cluster) == predictions(local)
    counts = [arm["n_runs"] for arm in metrics_of(cluster.ablation_dir)["arms"].values()]
    assert counts == [2, 2, 2]


def test_a_cluster_that_is_not_there_is_an_error_of_the_environment() -> None:
    code = (
        "from balancer.ablation.executors import executor_for\n"
        "from balancer.errors import EnvironmentFault\n"
        "try:\n    executor_for(1, 'auto')\n"
        "except EnvironmentFault as error:\n    print(error)\n"
    )
    environment = {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment, timeout=120
    )
    assert "start it with `ray start --head`" in done.stdout


def test_without_ray_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(EnvironmentFault, match=r"balancer\[cluster\]"):
        executor_for(1, "auto")
