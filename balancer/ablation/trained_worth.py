"""The worth of every arm in real images, from trained networks."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from balancer.ablation.design import EndedStudy
from balancer.ablation.families.arm import Arm, Needs
from balancer.ablation.frozen_records import Worth
from balancer.ablation.run_scores import TITLES, score_run
from balancer.ablation.runs import REAL, Question, Run
from balancer.ablation.unit import standing_unit
from balancer.ablation.worth import FEWEST_SIZES, FEWEST_SPLITS, CurveRuns, measure_worth

Floats = NDArray[np.float64]


def trained_worth(
    study: EndedStudy, runs: Sequence[Run], question: Question, ratio: float
) -> Worth | None:
    """Read the arms off the curve of a study.

    Args:
        study: The study; `plan.curve` are the points of the curve.
        runs: Its runs on the main splits, those of the points among them.
        question: Its question.
        ratio: Test images per training image.

    Returns:
        None: no curve was asked for, or there are too few points or splits with all of them.
    """
    plan = study.plan
    if not plan.curve:
        return None
    values = _by_split(runs, question)
    points = [*plan.curve[:-1], next(arm for arm in plan.arms if arm.name == REAL), plan.curve[-1]]
    splits = [
        fold.name
        for fold in plan.folds
        if all(np.isfinite(values.get((arm.name, fold.name), np.nan)) for arm in points)
    ]
    if len(splits) < FEWEST_SPLITS or len(points) < FEWEST_SIZES:
        return None
    sizes = np.array([_mean_size(study, arm, splits) for arm in points])
    if np.any(np.diff(sizes) <= 0):
        return None
    others = [
        arm
        for arm in plan.arms
        if arm.name != REAL
        and all(np.isfinite(values.get((arm.name, split), np.nan)) for split in splits)
    ]

    def column(arm: Arm) -> Floats:
        return np.array([values[arm.name, split] for split in splits], np.float64)

    base = len(points) - 2
    found = CurveRuns(
        sizes=sizes,
        base=base,
        curve=np.column_stack([column(arm) for arm in points]),
        arms={arm.name: column(arm) for arm in others},
        truths={
            arm.name: float(sizes[-1] - sizes[base])
            for arm in others
            if arm.needs is Needs.HELD_BACK
        },
        test_to_train=ratio,
    )
    return measure_worth(
        found,
        label=plan.positive,
        title=TITLES[question.primary],
        margin=question.margin,
        seed=question.seed,
    )


def _by_split(runs: Sequence[Run], question: Question) -> Mapping[tuple[str, str], float]:
    """Return (arm, split) to the primary metric, mean over the seeds."""
    found: dict[tuple[str, str], list[float]] = {}
    for run in runs:
        value = score_run(run, question).values[question.primary]
        found.setdefault((run.arm, run.fold), []).append(value)
    return {key: float(np.mean(values)) for key, values in found.items()}


def _mean_size(study: EndedStudy, arm: Arm, splits: Sequence[str]) -> float:
    """Return the number of images of the positive class that an arm trained on."""
    sizes = []
    for unit in study.finished:
        if unit.arm == arm and unit.fold in splits:
            result = standing_unit(study.workspace, unit)
            if result is not None:
                images = result.metrics.training_images[study.plan.positive]
                sizes.append(images.real + images.added)
    return float(np.mean(sizes)) if sizes else float("nan")
