"""An ablation whose units have ended, and the numbers that describe how it was done."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from balancer.ablation.families.outside import OutsideArm
from balancer.ablation.plan import Plan
from balancer.ablation.records import Design, FoldGate, Gates, MeanImages
from balancer.ablation.runs import REAL, Run
from balancer.ablation.unit import Unit
from balancer.config import BalancerConfig
from balancer.data.index import Index
from balancer.evaluation.external import External
from balancer.evaluation.records import UnitMetrics
from balancer.manifest import HELD_BACK, ImageRecord
from balancer.quality.records import QualityMetrics
from balancer.results import read_result
from balancer.workspace import Workspace


@dataclass(frozen=True, slots=True, kw_only=True)
class EndedStudy:
    """An ablation whose units have ended.

    Attributes:
        config: Configuration of the run.
        workspace: The main workspace.
        index: The main index.
        plan: The plan.
        failures: Name of each unit that could not be trained, and why.
        external: Other data sets by name.
        registered: Whether its runs are the first predictions as registered.
    """

    config: BalancerConfig
    workspace: Workspace
    index: Index
    plan: Plan
    failures: Mapping[str, str]
    external: Mapping[str, External]
    registered: bool = False

    @property
    def finished(self) -> list[Unit]:
        """Units with a result."""
        return [unit for unit in self.plan.units if unit.name not in self.failures]

    def directory(self, unit: Unit) -> Path:
        """Return the folder of a unit's predictions."""
        place = self.workspace.registered_dir if self.registered else self.workspace.unit_dir
        return place(unit.fold, unit.seed, unit.arm.slug)


def describe_design(study: EndedStudy, runs: Sequence[Run]) -> Design:
    """Return sizes, steps, and images by arm; means over the splits.

    Args:
        study: The study.
        runs: Its runs on the main splits.
    """
    config, plan, folds = study.config, study.plan, study.plan.folds
    records = _records(study)
    images = {
        arm.name: _mean_images(study.index.classes, [m for unit, m in records if unit.arm == arm])
        for arm in plan.arms
    }
    n_test = [len(run.test.labels) for run in runs]
    outside = np.array([run.n_outside for run in runs])
    held_back = {
        label: float(np.mean([_held_back(fold.records, label) for fold in folds]))
        for label in study.index.classes
    }
    return Design(
        resampling=config.ablation.resampling,
        repeats=config.ablation.repeats,
        folds=config.ablation.folds if config.ablation.resampling == "folds" else None,
        seeds=config.ablation.seeds,
        n_runs=len({(run.fold, run.seed) for run in runs}),
        n_train=round(float(np.mean([_n_train(fold.records) for fold in folds]))),
        n_val=round(float(np.mean([len(run.validation.labels) for run in runs]))),
        n_test=round(float(np.mean(n_test))),
        test_to_train=float(np.mean(np.array(n_test) / outside)),
        held_back={label: count for label, count in held_back.items() if count},
        model=config.classifier.model,
        image_size=config.classifier_image_size,
        input_size=config.classifier.input_size,
        n_steps=round(float(np.mean([metrics.n_steps for _, metrics in records]))),
        batch_size=config.classifier.batch_size,
        training_images=images,
        before={label: counts.real for label, counts in images.get(REAL, {}).items()},
        after={
            arm.name: {
                # Images of a first phase are not in the training at its end.
                label: round(counts.real + counts.added * (arm.pretraining_share is None), 1)
                for label, counts in images[arm.name].items()
            }
            for arm in plan.arms
        },
    )


def _records(study: EndedStudy) -> list[tuple[Unit, UnitMetrics]]:
    main = {fold.name for fold in study.plan.folds}
    return [
        (unit, record.metrics)
        for unit in study.finished
        if unit.fold in main
        and (record := read_result(study.directory(unit), UnitMetrics)) is not None
    ]


def _mean_images(classes: Sequence[str], runs: Sequence[UnitMetrics]) -> dict[str, MeanImages]:
    if not runs:
        return {}
    found = {label: [run.training_images[label] for run in runs] for label in classes}
    return {
        label: MeanImages(
            real=round(float(np.mean([one.real for one in images])), 1),
            added=round(float(np.mean([one.added for one in images])), 1),
        )
        for label, images in found.items()
    }


def _n_train(records: Sequence[ImageRecord]) -> int:
    return sum(record.split == "train" for record in records)


def _held_back(records: Sequence[ImageRecord], label: str) -> int:
    return sum(record.split == HELD_BACK and record.label == label for record in records)


def gate_fields(study: EndedStudy) -> dict[str, Any]:
    """Return the answers of the gate on the images of each split, as fields of the metrics."""
    arms = [arm for arm in study.plan.arms if isinstance(arm, OutsideArm)]
    outside = {arm.name: _gates(study, arm.folder) for arm in arms}
    own = {"quality": _gates(study, lambda fold: fold)}
    return own | ({"outside_quality": outside} if outside else {})


def _gates(study: EndedStudy, place: Callable[[Workspace], Workspace]) -> Gates:
    """Return the answer on each class's images, for each split that has them."""
    found: dict[str, dict[str, FoldGate]] = {}
    for fold in study.plan.folds:
        directory = place(study.workspace.fold(fold.name)).quality_dir
        result = read_result(directory, QualityMetrics)
        if result is None:
            continue
        found[fold.name] = {
            label: FoldGate(passed=entry.gate.passed, failures=tuple(entry.gate.failures))
            for label, entry in result.metrics.classes.items()
        }
    return found
