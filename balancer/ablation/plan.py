"""What an ablation will do: folds, units, and how long it may take."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from balancer.ablation.arms import Arm, read_arms
from balancer.ablation.estimate import Rates
from balancer.ablation.folds import SOURCE_PREFIX, Fold, derived_seed, plan_folds
from balancer.ablation.material import images_wanted
from balancer.ablation.progress import duration
from balancer.ablation.unit import Unit
from balancer.config import BalancerConfig
from balancer.data.index import Index
from balancer.errors import ConfigurationError
from balancer.ratio import TargetRatio, plan_synthesis
from balancer.shortcuts.sources import source_splits
from classifier.config import ClassifierConfig, plan_steps

_FIRST_SOURCE = 1_000_000  # above every repeat, so that more of these leave the seeds as they are


@dataclass(frozen=True, slots=True)
class Plan:
    """All of an ablation before any of it is done.

    Attributes:
        arms: `real` first.
        folds: The splits that the verdicts rest on.
        source_folds: Splits that leave a source out, by the name of that source.
        without_source: Why other sources are not left out.
        positive: The positive class.
        rare: Classes below the target ratio.
        units: Of all folds, fold by fold.
    """

    arms: tuple[Arm, ...]
    folds: tuple[Fold, ...]
    source_folds: Mapping[str, Fold]
    without_source: Mapping[str, str]
    positive: str
    rare: tuple[str, ...]
    units: tuple[Unit, ...]

    @property
    def all_folds(self) -> tuple[Fold, ...]:
        """Both kinds."""
        return (*self.folds, *self.source_folds.values())

    @property
    def trains_gans(self) -> bool:
        """Whether an arm wants images of a trained generator."""
        return any(arm.makes for arm in self.arms)

    @property
    def shows_generated(self) -> bool:
        """Whether an arm trains on images of a generator, be it an untrained one."""
        return self.trains_gans or any(arm.family == "noise" for arm in self.arms)

    def arms_of(self, fold: Fold) -> list[Arm]:
        """The arms that are trained on a fold."""
        names = {unit.arm.name for unit in self.units_of([fold])}
        return [arm for arm in self.arms if arm.name in names]

    def units_of(self, folds: Sequence[Fold]) -> list[Unit]:
        """The units of some folds."""
        names = {fold.name for fold in folds}
        return [unit for unit in self.units if unit.fold in names]


def make_plan(config: BalancerConfig, index: Index) -> Plan:
    """Read the arms and split the images.

    Raises:
        ConfigurationError: An arm is unknown or adds nothing here, or there is no such class.
        DataError: A class has too few groups for the splits.
    """
    _refuse_remedies(config)
    arms = read_arms(config.ablation.arms, ratio=config.synthesis.ratio)
    positive = index.positive_class(config.evaluation.positive_class)
    rare = _rare_classes(config, index)
    _refuse_idle_arms(arms, index)
    folds = plan_folds(
        index.records,
        config.ablation,
        config.data.split,
        held_back=[arm.ratio for arm in arms if arm.family == "held-back-real"],
        seed=config.seed,
    )
    source_folds, reasons = _source_folds(config, index)
    units = [
        Unit(arm, fold.name, fold.number, seed, positive)
        for fold in (*folds, *source_folds.values())
        for seed in range(config.ablation.seeds)
        for arm in arms
        if fold in folds or arm.kind != "control"
    ]
    return Plan(
        tuple(arms), tuple(folds), source_folds, reasons, positive, tuple(rare), tuple(units)
    )


def _refuse_remedies(config: BalancerConfig) -> None:
    """Every arm brings its own remedy; one that all share would leave no plain `real` to beat."""
    plain = ClassifierConfig()
    for key in ("loss", "class_weights", "batches", "mixup_alpha"):
        found = getattr(config.classifier, key)
        if found != getattr(plain, key):
            raise ConfigurationError(
                f"An ablation compares remedies against imbalance with none, but classifier.{key}="
                f"{found} gives one to every arm; leave it out and name an arm for it."
            )


def _rare_classes(config: BalancerConfig, index: Index) -> list[str]:
    ratio = TargetRatio.parse(config.synthesis.ratio)
    counts = {
        label: sum(record.label == label for record in index.records) for label in index.classes
    }
    return [plan.label for plan in plan_synthesis(counts, ratio) if plan.to_make]


def _refuse_idle_arms(arms: Sequence[Arm], index: Index) -> None:
    for arm in arms:
        if "ratio" in arm.options and arm.family != "undersample" and not images_wanted(arm, index):
            counts = ", ".join(f"{label} {n}" for label, n in index.counts("train").items())
            raise ConfigurationError(
                f"The arm {arm.name} adds images until the classes stand {arm.ratio}, but the "
                f"training split stands so already ({counts}); ask for a ratio closer to 1:1."
            )


def _source_folds(
    config: BalancerConfig, index: Index
) -> tuple[dict[str, Fold], Mapping[str, str]]:
    if not config.ablation.leave_source_out:
        return {}, {"all": "ablation.leave_source_out is off"}
    share = config.data.split[1] / (config.data.split[0] + config.data.split[1])
    seed = derived_seed(config.seed, 10_000)
    found = source_splits(index.records, seed=seed, val_share=share)
    folds = {}
    for place, (source, split_of) in enumerate(found.splits):
        records = [
            replace(record, split=split_of[record.image_id])
            for record in index.records
            if record.image_id in split_of
        ]
        folds[source] = Fold(
            f"{SOURCE_PREFIX}source-{place}", _FIRST_SOURCE + place, tuple(records)
        )
    return folds, found.reasons


def plan_metrics(plan: Plan, seconds: float, jobs: int) -> dict[str, Any]:
    """The plan for `--dry-run`, JSON types."""
    return {
        "arms": [arm.name for arm in plan.arms],
        "folds": [fold.name for fold in plan.folds],
        "sources": {source: fold.name for source, fold in plan.source_folds.items()},
        "without_source": dict(plan.without_source),
        "units": len(plan.units),
        "generators": len(plan.all_folds) if plan.trains_gans else 0,
        "estimated_seconds": round(seconds / jobs, 1),
    }


def estimated_seconds(
    config: BalancerConfig, plan: Plan, rates: Rates, done: Mapping[str, float]
) -> dict[str, float]:
    """Expected work of each task that is left, by key, in seconds.

    Args:
        config: Of the run.
        plan: The plan.
        rates: Measured here.
        done: Seconds that finished units of each arm took, on average; better than the rates.
    """
    step_seconds = config.classifier.n_epochs * rates.step
    images = config.gan.images_shown * rates.gan_image
    seconds = {}
    for fold in plan.all_folds:
        n_train = sum(record.split == "train" for record in fold.records)
        steps = plan_steps(config.classifier, n_train).steps_per_epoch
        kinds = {arm.makes for arm in plan.arms} - {None}
        seconds[f"images:{fold.name}"] = images * len(kinds)
        for unit in plan.units_of([fold]):
            expected = done.get(unit.arm.name, np.mean(list(done.values())) if done else None)
            seconds[unit.name] = float(steps * step_seconds if expected is None else expected)
    return seconds


def plan_table(plan: Plan, seconds: Mapping[str, float], jobs: int) -> list[RenderableType]:
    """What the terminal shows of a plan."""
    table = Table("arm", "kind", "runs", "minutes", title="Plan", title_justify="left")
    for arm in plan.arms:
        mine = [unit for unit in plan.units if unit.arm == arm]
        work = sum(seconds.get(unit.name, 0.0) for unit in mine)
        table.add_row(Text(arm.name), arm.kind, str(len(mine)), f"{work / 60:.1f}")
    generators = {key: work for key, work in seconds.items() if key.startswith("images:")}
    if plan.trains_gans:
        work = sum(generators.values())
        table.add_row("generators", "", str(len(generators)), f"{work / 60:.1f}")
    total = sum(seconds.values())
    folds = f"{len(plan.folds)} splits"
    if plan.source_folds:
        folds += f" and {len(plan.source_folds)} that leave a source out"
    at_a_time = "one at a time" if jobs == 1 else f"{jobs} at a time"
    return [
        table,
        f"{len(plan.units)} classifiers on {folds}; about {duration(total / jobs)} {at_a_time} "
        "of training (from a few steps measured here; measuring images and probes comes on top).",
    ]
