"""`balancer ablate`: arms x folds x seeds, compared in pairs."""

import logging
import shutil
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from pathlib import Path

import numpy as np
from rich.console import Console, RenderableType

from balancer.ablation.estimate import measure_rates
from balancer.ablation.executors import executor_for
from balancer.ablation.findings import publish, read_external
from balancer.ablation.plan import Plan, estimated_seconds, make_plan, plan_metrics, plan_table
from balancer.ablation.progress import Progress
from balancer.ablation.schedule import Outcome, Task, execute
from balancer.ablation.study import Study
from balancer.ablation.unit import Unit, read_run, standing_unit, train_unit
from balancer.ablation.workspaces import write_fold
from balancer.config import BalancerConfig
from balancer.data.index import load_index
from balancer.errors import EnvironmentFault
from balancer.evaluation.sizes import refuse_patience, settle
from balancer.results import UntypedResult, new_result
from balancer.stages import classify, report
from balancer.stages.fold_images import make_fold_images
from balancer.workspace import Workspace

log = logging.getLogger(__name__)


def run(
    config: BalancerConfig,
    workspace: Workspace,
    *,
    force: bool = False,
    dry_run: bool = False,
    jobs: int = 1,
    ray: str | None = None,
    external: Sequence[Path] = (),
) -> UntypedResult:
    """Train every arm on every split, and say which of them help.

    What is finished is kept: the same command goes on where it was stopped.

    Args:
        config: All sections are used.
        workspace: Reads `index/`; writes `runs/`, `ablation/` and `report/`.
        force: Train and test everything again; the ledger will show it.
        dry_run: Return the plan with an estimate of time and train nothing.
        jobs: How many classifiers are trained at a time on this machine.
        ray: Address of a Ray cluster that trains them instead.
        external: Folders of other data sets that the finished classifiers are tested on.

    Raises:
        ConfigurationError: An arm is unknown or adds nothing here, or what stands there was made
            with other settings.
        DataError: The images cannot be split so, or no run of `real` could be trained.
        IntegrityError: Something that stands there was changed.
        EnvironmentFault: A worker died, or there is no such cluster.
    """
    refuse_patience(config)
    index = load_index(workspace.index_dir)
    plan = make_plan(config, index)
    classify.check(config, workspace, beside_generated=plan.shows_generated)
    config = settle(config, beside_generated=plan.shows_generated)
    others = read_external(external, config, index)
    left = [unit for unit in plan.units if force or standing_unit(workspace, unit) is None]
    seconds = _estimate(config, workspace, plan, left) if left else {}
    if dry_run or left:
        _show_plan(plan, seconds, jobs, wanted=dry_run)
    if dry_run:
        metrics = {"plan": plan_metrics(plan, sum(seconds.values()), jobs)}
        return new_result("ablate", settings={}, inputs={}, seconds=0, metrics=metrics)
    for size in {config.gan.image_size, config.classifier_image_size}:
        index.image_set(size)  # decoded once, here, for all folds
    for fold in plan.all_folds:
        write_fold(workspace, index, fold, force=force)
    for unit in plan.units:
        if unit not in left:
            train_unit(config, workspace, unit)  # refuses other settings before anything is done
    outcome = Outcome()
    if left:
        # Absolute, since workers on other machines start elsewhere.
        shared = Workspace(workspace.root.resolve())
        tasks = _tasks(config, shared, plan, left, force=force)
        with Progress(left, seconds=sum(seconds.values()), jobs=jobs) as progress:
            outcome = _execute(tasks, left, workspace, seconds, progress, jobs, ray)
    if outcome.failures:
        log.warning(
            "%d of %d runs could not be trained; the comparison goes without them and says so.",
            sum(unit.name in outcome.failures for unit in left),
            len(plan.units),
        )
    study = Study(
        config=config,
        workspace=workspace,
        index=index,
        plan=plan,
        failures=outcome.failures,
        external=others,
    )
    result = publish(study, force=force)
    page = report.run(config, workspace).metrics.page
    return result.model_copy(update={"metrics": result.metrics | {"page": page}})


def summary(result: UntypedResult) -> list[RenderableType]:
    """What the terminal shows of a result."""
    return [] if "plan" in result.metrics else report.summary(result)


def _tasks(
    config: BalancerConfig,
    workspace: Workspace,
    plan: Plan,
    left: Sequence[Unit],
    *,
    force: bool,
) -> list[Task]:
    """Generators first, since much waits for them."""
    needing = {unit.fold for unit in left if unit.arm.makes}
    images = [
        Task(
            _images_key(fold.name),
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
    units = [
        Task(
            unit.name,
            partial(_train, config, workspace, unit, force=force),
            (_images_key(unit.fold),) if unit.arm.makes else (),
        )
        for unit in left
    ]
    return images + units


def _train(config: BalancerConfig, workspace: Workspace, unit: Unit, *, force: bool) -> float:
    return train_unit(config, workspace, unit, force=force).seconds


def _images_key(fold: str) -> str:
    return f"images:{fold}"


def _execute(
    tasks: Sequence[Task],
    left: Sequence[Unit],
    workspace: Workspace,
    seconds: Mapping[str, float],
    progress: Progress,
    jobs: int,
    ray: str | None,
) -> Outcome:
    units = {unit.name: unit for unit in left}

    def note(key: str, result: float | None, failure: str | None) -> None:
        progress.worked(seconds.get(key, 0.0))
        if key in units and failure is None:
            progress.ended(units[key], read_run(workspace, units[key]))
        elif key in units:
            progress.failed(units[key], str(failure))
        else:
            progress.said(f"{key.replace(':', ' of ')} {failure or 'ready'}")

    try:
        return execute(tasks, executor_for(jobs, ray, apart=progress.is_live), note)
    except BrokenProcessPool as error:
        raise EnvironmentFault(
            "A worker process died, maybe for want of memory; what was finished is kept, and the "
            "same command goes on. Try fewer --jobs."
        ) from error


def _estimate(
    config: BalancerConfig, workspace: Workspace, plan: Plan, left: Sequence[Unit]
) -> dict[str, float]:
    """Expected seconds of what is left to do."""
    log.info("Measuring a few steps to estimate the time")
    spent: dict[str, list[float]] = {}
    for unit in plan.units:
        record = standing_unit(workspace, unit)
        if record is not None:
            spent.setdefault(unit.arm.name, []).append(record.seconds)
    done = {arm: float(np.mean(values)) for arm, values in spent.items()}
    wanted = {unit.name for unit in left} | {_images_key(u.fold) for u in left if u.arm.makes}
    expected = estimated_seconds(config, plan, measure_rates(config), done)
    standing = {
        _images_key(fold.name)
        for fold in plan.all_folds
        if any(workspace.fold(fold.name).gan_dir(label).is_dir() for label in plan.rare)
    }
    return {key: value for key, value in expected.items() if key in wanted - standing}


def _show_plan(plan: Plan, seconds: Mapping[str, float], jobs: int, *, wanted: bool) -> None:
    """On stderr, for it is no result; under -q only where it was asked for."""
    if wanted or log.isEnabledFor(logging.INFO):
        width = shutil.get_terminal_size((100, 24)).columns
        console = Console(file=sys.stderr, width=width, markup=False, emoji=False)
        for part in plan_table(plan, seconds, jobs):
            console.print(part)
