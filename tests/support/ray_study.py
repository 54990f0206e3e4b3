"""Run by test_ablation_ray in a process of its own: a study on two nodes, one of them killed.

Usage: ray_study.py DATA WORKSPACE
"""

import sys
from pathlib import Path

from ray.cluster_utils import Cluster

from balancer.ablation.progress import Progress
from balancer.ablation.runs import Run
from balancer.ablation.unit import Unit
from balancer.stages import ablate, prepare
from balancer.workspace import Workspace
from support.tiny_pipeline import config_for

STUDY = ("ablation.repeats=2", "ablation.arms=[real, oversample, noise]")


def main() -> None:
    data, root = map(Path, sys.argv[1:])
    cluster = Cluster(
        initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False}
    )
    second = cluster.add_node(num_cpus=1)
    cluster.wait_for_nodes()
    ended: list[str] = []
    note = Progress.ended

    def note_and_kill(self: Progress, unit: Unit, run: Run) -> None:
        note(self, unit, run)
        ended.append(unit.name)
        if len(ended) == 2:
            cluster.remove_node(second, allow_graceful=False)

    Progress.ended = note_and_kill  # type: ignore[method-assign]
    config, workspace = config_for(data, *STUDY), Workspace(root)
    with workspace.lock():
        prepare.run(config, workspace)
        ablate.run(config, workspace, ray=cluster.address)
    cluster.shutdown()
    (root / "ended.txt").write_text("\n".join(ended))


if __name__ == "__main__":
    main()
