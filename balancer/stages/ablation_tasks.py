"""The tasks of an ablation, and their work in a job of a cluster.

`python -m balancer.stages.ablation_tasks TASK` is what such a job runs.
"""

import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from balancer.ablation.families.outside import OutsideArm
from balancer.ablation.outside_folds import bring_outside_images
from balancer.ablation.outside_gates import measure_outside_images
from balancer.ablation.plan import Plan, make_plan
from balancer.ablation.schedule import Task
from balancer.ablation.slurm import do_job
from balancer.ablation.unit import Unit, train_unit
from balancer.config import BalancerConfig
from balancer.data.index import load_index
from balancer.stages.fold_images import make_fold_images
from balancer.workspace import Workspace


def tasks_of(
    config: BalancerConfig,
    workspace: Workspace,
    plan: Plan,
    left: Sequence[Unit],
    *,
    force: bool,
) -> list[Task]:
    """List the tasks, generators first, since many units need them.

    Args:
        config: Configuration of the study.
        workspace: Main workspace, with an absolute path if other processes do the work.
        plan: The study.
        left: Units that are not finished.
        force: Train again what is finished.
    """
    needing = {unit.fold for unit in left if unit.arm.trains_generator}
    images = [
        Task(
            images_key(fold.name),
            partial(
                make_fold_images,
                config,
                workspace,
                fold.name,
                fold.number,
                plan.arms_of(fold),
                force=force,
            ),
        )
        for fold in plan.all_folds
        if fold.name in needing
    ]
    outside = {
        _outside_key(unit): Task(
            _outside_key(unit),
            partial(_bring, config, workspace, unit, unit.arm, force=force),
        )
        for unit in left
        if isinstance(unit.arm, OutsideArm)
    }
    units = [
        Task(unit.name, partial(_train, config, workspace, unit, force=force), _needs(unit))
        for unit in left
    ]
    return [*images, *outside.values(), *units]


def _needs(unit: Unit) -> tuple[str, ...]:
    """Return the keys of the tasks that make the images of a unit."""
    if isinstance(unit.arm, OutsideArm):
        return (_outside_key(unit),)
    return (images_key(unit.fold),) if unit.arm.trains_generator else ()


def _train(config: BalancerConfig, workspace: Workspace, unit: Unit, *, force: bool) -> float:
    return train_unit(config, workspace, unit, force=force).seconds


def _bring(
    config: BalancerConfig, workspace: Workspace, unit: Unit, arm: OutsideArm, *, force: bool
) -> float:
    """Bring the images of an arm from outside, and ask the gate; return what they cost."""
    seconds = bring_outside_images(config, workspace, unit.fold, unit.number, arm, force=force)
    measure_outside_images(config, workspace, unit.fold, arm, force=force)
    return seconds


def _outside_key(unit: Unit) -> str:
    return f"images:{unit.arm.name}, {unit.fold}"


def images_key(fold: str) -> str:
    """Return the name of the task that makes the generated images of a fold."""
    return f"images:{fold}"


def study_of(config: BalancerConfig, workspace: Workspace, *, force: bool) -> dict[str, Any]:
    """Return all that a job needs to find its work, JSON types."""
    return {
        "config": config.model_dump(mode="json"),
        "workspace": str(workspace.root),
        "force": force,
    }


def work_of(study: Mapping[str, Any], key: str) -> Callable[[], Any]:
    """Find the work of a task.

    Args:
        study: From `study_of`.
        key: Name of the task.
    """
    config = BalancerConfig.model_validate(study["config"])
    workspace = Workspace(study["workspace"])
    plan = make_plan(config, load_index(workspace.index_dir))
    tasks = tasks_of(config, workspace, plan, plan.units, force=study["force"])
    return next(task.work for task in tasks if task.key == key)


if __name__ == "__main__":
    do_job(Path(sys.argv[1]), work_of)
