"""`balancer ablate`: arms x folds x seeds, compared in pairs."""

import logging
import shutil
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace
from pathlib import Path

import numpy as np
from rich.console import Console, RenderableType

from balancer.ablation.design import EndedStudy
from balancer.ablation.estimate import measure_rates
from balancer.ablation.executors import executor_for
from balancer.ablation.findings import publish
from balancer.ablation.inquiry import inquiry_of
from balancer.ablation.pilot import run_pilot
from balancer.ablation.plan import Plan, estimated_seconds, make_plan, plan_table, planned_work
from balancer.ablation.progress import Progress
from balancer.ablation.protocol import Protocol, amend, read_protocol
from balancer.ablation.quick import quick_inputs, quick_settings, run_quick
from balancer.ablation.records import (
    AblateMetrics,
    DryRunMetrics,
    PlannedWork,
    RegisterMetrics,
)
from balancer.ablation.registration import hold_to_protocol, keep_registered, registration_of
from balancer.ablation.runs_elsewhere import read_external
from balancer.ablation.schedule import Executor, Outcome, Task, execute, expected_ends
from balancer.ablation.slurm import JOBS_AT_A_TIME, SlurmCluster, read_script
from balancer.ablation.unit import Unit, read_run, standing_unit, train_unit
from balancer.ablation.workspaces import write_fold
from balancer.config import BalancerConfig
from balancer.data.index import Index, load_index
from balancer.drawing.terminal import Shown
from balancer.errors import EnvironmentFault
from balancer.evaluation.classifier_recipe import complete_recipe, refuse_patience
from balancer.evaluation.external import External
from balancer.report.elsewhere import known_elsewhere
from balancer.report.records import Study
from balancer.report.summary import ReportMetrics, summarize
from balancer.results import StageResult, new_result, perform, standing_result
from balancer.stages import ablation_tasks, classify, report
from balancer.stages.ablation_tasks import images_key, study_of, tasks_of
from balancer.team import refuse_launched
from balancer.tracking.tracker import Tracker
from balancer.workspace import TravelWorkspace, Workspace

log = logging.getLogger(__name__)
AnyResult = StageResult[AblateMetrics] | StageResult[DryRunMetrics] | StageResult[RegisterMetrics]


def run(
    config: BalancerConfig,
    workspace: Workspace,
    *,
    force: bool = False,
    dry_run: bool = False,
    pilot: bool = True,
    quick: bool = False,
    jobs: int = 1,
    ray: str | None = None,
    slurm: Path | None = None,
    external: Sequence[Path] = (),
    register: bool = False,
) -> AnyResult:
    """Train every arm on every split, and compare the arms.

    Finished runs are kept: the same command resumes after a stop.

    Args:
        config: Configuration; all sections are used.
        workspace: Workspace; `index/` is read, `runs/`, `ablation/` and `report/` are written.
        force: Train and test everything again; the ledger shows it.
        dry_run: Return the plan with an estimate of time and train no network.
        pilot: With `dry_run`, also measure on frozen features what the study can decide.
        quick: Run the study on frozen features in its place; `quick/` is written.
        jobs: Number of classifiers trained at a time on this machine.
        ray: Address of a Ray cluster that trains them instead.
        slurm: Batch script of a Slurm cluster that trains them instead.
        external: Folders of other data sets that the finished classifiers are tested on.
        register: Write `runs/protocol.json` and train nothing.

    Raises:
        ConfigurationError: An arm is unknown or adds nothing here, or an existing result has other
            settings.
        DataError: The images cannot be split in this way, or no run of `real` could be trained.
        IntegrityError: An existing file was changed, such as the protocol.
        EnvironmentFault: A worker died, or there is no such cluster.
    """
    refuse_patience(config)
    if jobs > 1 or ray is not None or slurm is not None:
        refuse_launched("ablate with several classifiers at a time")
    script, jobs = _batch(slurm, jobs)
    index = load_index(workspace.index_dir)
    plan = make_plan(config, index)
    classify.check(config, workspace, beside_generated=plan.shows_generated)
    config = complete_recipe(config, beside_generated=plan.shows_generated)
    protocol = read_protocol(workspace)
    others = read_external(external, config, index)
    if quick:
        return _quick(config, workspace, index, plan, others, protocol, force=force)
    inquiry = inquiry_of(config, index, plan, others)
    if register:
        return _register(workspace, amend(workspace, protocol, inquiry))
    left = [unit for unit in plan.units if force or standing_unit(workspace, unit) is None]
    seconds = _estimate(config, workspace, plan, left) if left else {}
    # Absolute, since workers on other machines start in other folders.
    shared = workspace.resolved()
    tasks = tasks_of(config, shared, plan, left, force=force)
    ends = expected_ends(tasks, seconds, jobs)
    if dry_run or left:
        _show_plan(plan, seconds, ends, jobs, wanted=dry_run)
    if dry_run:
        planned = planned_work(plan, ends)
        return _planned(config, workspace, index, plan, planned, pilot=pilot)
    study = EndedStudy(
        config=config,
        workspace=workspace,
        index=index,
        plan=plan,
        failures={},
        external=others,
    )
    keep_registered(study, protocol)
    _write_folds(config, workspace, index, plan, force=force)
    for unit in plan.units:
        if unit not in left:
            train_unit(config, workspace, unit)  # refuses other settings before anything is trained
    # After all refusals, and before the first read of a test image.
    protocol = amend(workspace, protocol, inquiry, forced=force)
    outcome = Outcome()
    if left:
        n_before, file = len(plan.units) - len(left), workspace.progress_file
        with Progress(left, ends=ends, n_before=n_before, file=file) as progress:
            executor = (
                executor_for(jobs, ray, apart=progress.is_live)
                if script is None
                else SlurmCluster(
                    script,
                    ablation_tasks.__name__,
                    study_of(config, shared, force=force),
                    shared.root / "runs" / "slurm",
                    jobs,
                )
            )
            tracker = Tracker(config.tracking, workspace)
            outcome = _execute(tasks, left, workspace, progress, executor, tracker)
    _warn_of_failures(outcome, left, plan)
    held = hold_to_protocol(replace(study, failures=outcome.failures), protocol)
    result = publish(held, force=force)
    page = report.run(config, workspace).metrics.page
    metrics = result.metrics.model_copy(update={"page": page})
    return result.model_copy(update={"metrics": metrics})


def _write_folds(
    config: BalancerConfig, workspace: Workspace, index: Index, plan: Plan, *, force: bool
) -> None:
    """Write the index of every split; images are decoded once, here, for all of them."""
    for size in {config.gan.image_size, config.classifier_image_size}:
        index.image_set(size)
    for arm in plan.arms:
        arm.seen(index).image_set(config.classifier_image_size)
    for fold in plan.all_folds:
        write_fold(workspace, index, fold, force=force)


def _warn_of_failures(outcome: Outcome, left: Sequence[Unit], plan: Plan) -> None:
    if outcome.failures:
        log.warning(
            "%d of %d runs could not be trained; the comparison leaves them out and names them.",
            sum(unit.name in outcome.failures for unit in left),
            len(plan.units),
        )


def summary(result: AnyResult) -> list[RenderableType]:
    """Return what the terminal shows of a result."""
    metrics = result.metrics
    if isinstance(metrics, RegisterMetrics):
        found = metrics.registration
        return [
            f"Protocol {metrics.hash}",
            *([f"{found.label}."] if found.label else []),
            found.sentence,
            f"The file: {metrics.protocol}",
        ]
    if isinstance(metrics, DryRunMetrics):
        return [] if metrics.pilot is None else list(metrics.pilot.sentences)
    answer = summarize(Study(metrics))
    elsewhere = known_elsewhere(metrics, {}, None)
    shown = report.summary_of(
        ReportMetrics(ablation=answer, elsewhere=elsewhere, page=metrics.page)
    )
    worth = metrics.worth
    if worth is None:
        return shown
    arms = [f"{name}: {arm.sentence}." for name, arm in worth.arms.items()]
    known = [] if worth.self_test is None else [worth.self_test]
    return [*shown[:-2], worth.sentence, *arms, *known, *shown[-2:]]


def _planned(
    config: BalancerConfig,
    workspace: Workspace,
    index: Index,
    plan: Plan,
    planned: PlannedWork,
    *,
    pilot: bool,
) -> StageResult[DryRunMetrics]:
    """Return the plan, and what a pilot says of it."""
    metrics = DryRunMetrics(plan=planned)
    if pilot:
        log.info("Running a pilot on frozen features; --no-pilot leaves it out")
        found = run_pilot(config, workspace, index, plan)
        metrics = DryRunMetrics(plan=planned, pilot=found)
    return new_result("ablate", settings={}, inputs={}, seconds=0, metrics=metrics)


def _quick(
    config: BalancerConfig,
    workspace: Workspace,
    index: Index,
    plan: Plan,
    external: Mapping[str, External],
    protocol: Protocol | None,
    *,
    force: bool,
) -> StageResult[AblateMetrics]:
    """Run the study on frozen features, unless it is up to date; one of views is registered."""
    if plan.compares_views:
        protocol = amend(workspace, protocol, inquiry_of(config, index, plan, external))
    else:
        protocol = None
    settings, inputs = quick_settings(config, plan), quick_inputs(index, external, protocol)
    result = standing_result(
        workspace.quick_dir,
        AblateMetrics,
        settings=settings,
        inputs=inputs,
        force=force,
        files=[report.PAGE],
    )

    def work(folder: Path) -> AblateMetrics:
        metrics = run_quick(config, workspace, index, plan, external, protocol)
        report.write_quick(config, workspace, index, new_result(
            "ablate", settings=settings, inputs=inputs, seconds=0, metrics=metrics
        ), folder)  # fmt: skip
        return metrics

    if result is None:
        stage = "travel" if isinstance(workspace, TravelWorkspace) else "ablate"
        result = perform(
            stage, workspace, workspace.quick_dir, settings=settings, inputs=inputs, work=work
        )
    page = {"page": str(workspace.quick_dir / report.PAGE)}
    return result.model_copy(update={"metrics": result.metrics.model_copy(update=page)})


def _register(workspace: Workspace, protocol: Protocol) -> StageResult[RegisterMetrics]:
    registered = RegisterMetrics(
        protocol=str(workspace.protocol_file),
        hash=protocol.hash,
        entries=len(protocol.entries),
        registration=registration_of(protocol),
    )
    return new_result("ablate", settings={}, inputs={}, seconds=0, metrics=registered)


def _batch(slurm: Path | None, jobs: int) -> tuple[str | None, int]:
    """Return the batch script, and the number of trainings at a time."""
    if slurm is None:
        return None, jobs
    return read_script(slurm), jobs if jobs > 1 else JOBS_AT_A_TIME


def _execute(
    tasks: Sequence[Task],
    left: Sequence[Unit],
    workspace: Workspace,
    progress: Progress,
    executor: Executor,
    tracker: Tracker,
) -> Outcome:
    units = {unit.name: unit for unit in left}

    def note(key: str, result: float | None, failure: str | None) -> None:
        progress.task_ended()
        tracker.update()
        if key in units and failure is None:
            progress.ended(units[key], read_run(workspace, units[key]))
        elif key in units:
            progress.failed(units[key], str(failure))
        else:
            progress.show(f"{key.replace(':', ' of ')} {failure or 'ready'}")

    try:
        return execute(tasks, executor, note)
    except BrokenProcessPool as error:
        raise EnvironmentFault(
            "A worker process died, perhaps for lack of memory; finished runs are kept, and the "
            "same command resumes. Try fewer --jobs."
        ) from error


def _estimate(
    config: BalancerConfig, workspace: Workspace, plan: Plan, left: Sequence[Unit]
) -> dict[str, float]:
    """Estimate the seconds of each task that is left."""
    log.info("Measuring a few steps to estimate the time")
    spent: dict[str, list[float]] = {}
    for unit in plan.units:
        record = standing_unit(workspace, unit)
        if record is not None:
            spent.setdefault(unit.arm.name, []).append(record.seconds)
    done = {arm: float(np.mean(values)) for arm, values in spent.items()}
    wanted = {unit.name for unit in left}
    wanted |= {images_key(unit.fold) for unit in left if unit.arm.trains_generator}
    expected = estimated_seconds(config, plan, measure_rates(config), done)
    standing = {
        images_key(fold.name)
        for fold in plan.all_folds
        if any(workspace.fold(fold.name).gan_dir(label).is_dir() for label in plan.rare)
    }
    return {key: value for key, value in expected.items() if key in wanted - standing}


def _show_plan(
    plan: Plan, seconds: Mapping[str, float], ends: Sequence[float], jobs: int, *, wanted: bool
) -> None:
    """Print the plan on stderr, since it is no result; under -q only with --dry-run."""
    if wanted or log.isEnabledFor(logging.INFO):
        width = shutil.get_terminal_size((100, 24)).columns
        console = Console(file=sys.stderr, width=width, markup=False, emoji=False)
        for part in plan_table(plan, seconds, ends, jobs):
            console.print(Shown(part))
