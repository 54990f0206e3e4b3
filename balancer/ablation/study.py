"""An ablation whose units have ended, and what is to be told of how it was done."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from balancer.ablation.arms import Arm
from balancer.ablation.plan import Plan
from balancer.ablation.runs import REAL, Run
from balancer.ablation.unit import Unit, standing_unit
from balancer.config import BalancerConfig
from balancer.data.index import Index
from balancer.evaluation.external import External
from balancer.manifest import HELD_BACK, ImageRecord
from balancer.quality.records import QualityMetrics
from balancer.results import read_result
from balancer.workspace import Workspace


@dataclass(frozen=True, slots=True, kw_only=True)
class Study:
    """An ablation whose units have ended.

    Attributes:
        config: Of the run.
        workspace: The main one.
        index: The main one.
        plan: What was planned.
        failures: Why units could not be trained, by their names.
        external: Other data sets by name.
    """

    config: BalancerConfig
    workspace: Workspace
    index: Index
    plan: Plan
    failures: Mapping[str, str]
    external: Mapping[str, External]

    @property
    def finished(self) -> list[Unit]:
        """The units that stand."""
        return [unit for unit in self.plan.units if unit.name not in self.failures]


def describe_design(study: Study, runs: Sequence[Run]) -> dict[str, Any]:
    """Numbers that repeat the study: sizes, steps, and images by arm; means over the splits."""
    config, plan, workspace = study.config, study.plan, study.workspace
    folds = plan.folds
    main = {fold.name for fold in folds}
    records = [
        (unit, record.metrics)
        for unit in study.finished
        if unit.fold in main and (record := standing_unit(workspace, unit)) is not None
    ]
    images: dict[str, dict[str, dict[str, float]]] = {}
    for arm in plan.arms:
        mine = [metrics["training_images"] for unit, metrics in records if unit.arm == arm]
        images[arm.name] = {
            label: {
                kind: round(float(np.mean([counts[label][kind] for counts in mine])), 1)
                for kind in ("real", "added")
            }
            for label in study.index.classes
            if mine
        }
    n_test = [len(run.test.labels) for run in runs]
    outside = np.array([run.n_outside for run in runs])
    held_back = {
        label: float(np.mean([_held_back(fold.records, label) for fold in folds]))
        for label in study.index.classes
    }
    return {
        "resampling": config.ablation.resampling,
        "repeats": config.ablation.repeats,
        "folds": config.ablation.folds if config.ablation.resampling == "folds" else None,
        "seeds": config.ablation.seeds,
        "n_runs": len({(run.fold, run.seed) for run in runs}),
        "n_train": round(float(np.mean([_n_train(fold.records) for fold in folds]))),
        "n_val": round(float(np.mean([len(run.validation.labels) for run in runs]))),
        "n_test": round(float(np.mean(n_test))),
        "test_to_train": float(np.mean(np.array(n_test) / outside)),
        "held_back": {label: count for label, count in held_back.items() if count},
        "model": config.classifier.model,
        "image_size": config.classifier_image_size,
        "input_size": config.classifier.input_size,
        "n_steps": round(float(np.mean([metrics["n_steps"] for _, metrics in records]))),
        "batch_size": config.classifier.batch_size,
        "training_images": images,
        "before": {label: counts["real"] for label, counts in images.get(REAL, {}).items()},
        "after": {
            arm.name: {
                label: round(counts["real"] + counts["added"] * _stays(arm), 1)
                for label, counts in images[arm.name].items()
            }
            for arm in plan.arms
        },
    }


def _stays(arm: Arm) -> bool:
    """Whether the images that an arm adds are in its training to the end."""
    return arm.family != "gan-pretrain"


def _n_train(records: Sequence[ImageRecord]) -> int:
    return sum(record.split == "train" for record in records)


def _held_back(records: Sequence[ImageRecord], label: str) -> int:
    return sum(record.split == HELD_BACK and record.label == label for record in records)


def gates_of_folds(study: Study) -> dict[str, Any]:
    """What the gate said of each fold's images."""
    found: dict[str, Any] = {}
    for fold in study.plan.folds:
        result = read_result(study.workspace.fold(fold.name).quality_dir, QualityMetrics)
        if result is None:
            continue
        found[fold.name] = {
            label: {"passed": entry.gate.passed, "failures": entry.gate.failures}
            for label, entry in result.metrics.classes.items()
        }
    return found
