"""The plan of an ablation: folds, units, and the time that they take."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from balancer.ablation.arms import read_arms
from balancer.ablation.estimate import Rates
from balancer.ablation.families.arm import Arm, Needs
from balancer.ablation.families.curve import curve_arms
from balancer.ablation.folds import SOURCE_PREFIX, Fold, derived_seed, plan_folds
from balancer.ablation.progress import duration
from balancer.ablation.records import PlannedWork
from balancer.ablation.unit import Unit
from balancer.config import BalancerConfig
from balancer.data.index import Index
from balancer.errors import ConfigurationError
from balancer.ratio import TargetRatio, plan_synthesis
from balancer.shortcuts.sources import source_splits
from classifier.config import ClassifierConfig, plan_steps

_FIRST_SOURCE = 1_000_000  # above every repeat, so that more repeats do not change the seeds
_REMEDIES = ("loss", "class_weights", "batches", "mixup_alpha", "posthoc_tau", "head_retraining")
"""Settings of the classifier that are remedies against imbalance."""


@dataclass(frozen=True, slots=True)
class Plan:
    """An ablation before any of it is done.

    Attributes:
        arms: The arms, `real` first.
        folds: The splits that the verdicts are based on.
        source_folds: Source that is left out to its split.
        without_source: Other sources, and why they are not left out.
        positive: The positive class.
        rare: Classes below the target ratio.
        units: Units of all folds, fold by fold.
        curve: Points of the curve that the arms' worth is read off; no verdict is about them.
    """

    arms: tuple[Arm, ...]
    folds: tuple[Fold, ...]
    source_folds: Mapping[str, Fold]
    without_source: Mapping[str, str]
    positive: str
    rare: tuple[str, ...]
    units: tuple[Unit, ...]
    curve: tuple[Arm, ...] = ()

    @property
    def all_folds(self) -> tuple[Fold, ...]:
        """Splits of both kinds."""
        return (*self.folds, *self.source_folds.values())

    @property
    def trains_gans(self) -> bool:
        """Return whether an arm needs images of a trained generator."""
        return any(arm.trains_generator for arm in self.arms)

    @property
    def shows_generated(self) -> bool:
        """Return whether an arm trains on images of a generator, trained or not."""
        return any(arm.shows_generated for arm in self.arms)

    @property
    def compares_views(self) -> bool:
        """Return whether an arm sees its images in a way of its own: a study of what travels."""
        return any(arm.is_view for arm in self.arms)

    def arms_of(self, fold: Fold) -> list[Arm]:
        """Return the arms that are trained on a fold."""
        names = {unit.arm.name for unit in self.units_of([fold])}
        return [arm for arm in self.arms if arm.name in names]

    def units_of(self, folds: Sequence[Fold]) -> list[Unit]:
        """Return the units of some folds."""
        names = {fold.name for fold in folds}
        return [unit for unit in self.units if unit.fold in names]


def make_plan(config: BalancerConfig, index: Index) -> Plan:
    """Read the arms and split the images.

    Raises:
        ConfigurationError: An arm is unknown or adds nothing here, there is no such class, or a
            curve is wanted without the arm that sets images aside.
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
        held_back=[arm.ratio for arm in arms if arm.needs is Needs.HELD_BACK],
        positive=positive,
        seed=config.seed,
    )
    source_folds, reasons = _source_folds(config, index)
    curve = _curve(config, arms, positive)
    units = [
        Unit(arm, fold.name, fold.number, seed, positive)
        for fold in (*folds, *source_folds.values())
        for seed in range(config.ablation.seeds)
        for arm in (*arms, *curve)
        if fold in folds or ((arm.kind != "control" or arm.is_view) and arm not in curve)
    ]
    return Plan(
        tuple(arms),
        tuple(folds),
        source_folds,
        reasons,
        positive,
        tuple(rare),
        tuple(units),
        tuple(curve),
    )


def _curve(config: BalancerConfig, arms: Sequence[Arm], positive: str) -> list[Arm]:
    shares = config.ablation.worth
    if not shares:
        return []
    if not any(arm.needs is Needs.HELD_BACK for arm in arms):
        raise ConfigurationError(
            "The worth in real images (ablation.worth) needs images that are set aside to reach "
            "beyond what every arm has, but no arm sets any aside; add the arm held-back-real."
        )
    return curve_arms(shares, positive)


def _refuse_remedies(config: BalancerConfig) -> None:
    """Refuse a remedy that all arms share: `real` would not be plain, and no arm could beat it."""
    plain = ClassifierConfig()
    for key in _REMEDIES:
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
        if arm.adds_images and not arm.images_wanted(index):
            counts = ", ".join(f"{label} {n}" for label, n in index.counts("train").items())
            raise ConfigurationError(
                f"The arm {arm.name} adds images until the classes are {arm.ratio}, but in the "
                f"training split they are as close already ({counts}); ask for one closer to 1:1."
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
    for position, (source, split_of) in enumerate(found.splits):
        records = [
            replace(record, split=split_of[record.image_id])
            for record in index.records
            if record.image_id in split_of
        ]
        folds[source] = Fold(
            f"{SOURCE_PREFIX}source-{position}", _FIRST_SOURCE + position, tuple(records)
        )
    return folds, found.reasons


def planned_work(plan: Plan, ends: Sequence[float]) -> PlannedWork:
    """Summarise the plan for `--dry-run`.

    Args:
        plan: The plan.
        ends: Expected ends of its tasks, in seconds.
    """
    return PlannedWork(
        arms=tuple(arm.name for arm in plan.arms),
        folds=tuple(fold.name for fold in plan.folds),
        sources={source: fold.name for source, fold in plan.source_folds.items()},
        without_source=dict(plan.without_source),
        units=len(plan.units),
        generators=len(plan.all_folds) if plan.trains_gans else 0,
        estimated_seconds=round(max(ends, default=0.0), 1),
    )


def estimated_seconds(
    config: BalancerConfig, plan: Plan, rates: Rates, done: Mapping[str, float]
) -> dict[str, float]:
    """Estimate the work of each task, by key, in seconds.

    Args:
        config: Configuration of the run.
        plan: The plan.
        rates: Costs measured on this machine.
        done: Arm to mean seconds of its finished units; more exact than the rates.
    """
    step_seconds = config.classifier.n_epochs * rates.step
    images = config.gan.images_shown * rates.gan_image
    seconds = {}
    for fold in plan.all_folds:
        n_train = sum(record.split == "train" for record in fold.records)
        steps = plan_steps(config.classifier, n_train).steps_per_epoch
        generators = {arm.needs for arm in plan.arms if arm.trains_generator}
        seconds[f"images:{fold.name}"] = images * len(generators)
        for unit in plan.units_of([fold]):
            expected = done.get(unit.arm.name, np.mean(list(done.values())) if done else None)
            seconds[unit.name] = float(steps * step_seconds if expected is None else expected)
    return seconds


def plan_table(
    plan: Plan, seconds: Mapping[str, float], ends: Sequence[float], jobs: int
) -> list[RenderableType]:
    """Return the plan as the terminal shows it.

    Args:
        plan: The plan.
        seconds: Expected work of each task, by key.
        ends: Expected ends of the tasks, in seconds.
        jobs: Number of tasks at a time.
    """
    table = Table("arm", "kind", "runs", "minutes", title="Plan", title_justify="left")
    for arm in (*plan.arms, *plan.curve):
        mine = [unit for unit in plan.units if unit.arm == arm]
        work = sum(seconds.get(unit.name, 0.0) for unit in mine)
        table.add_row(Text(arm.name), arm.kind, str(len(mine)), f"{work / 60:.1f}")
    generators = {key: work for key, work in seconds.items() if key.startswith("images:")}
    if plan.trains_gans:
        work = sum(generators.values())
        table.add_row("generators", "", str(len(generators)), f"{work / 60:.1f}")
    folds = f"{len(plan.folds)} splits"
    if plan.source_folds:
        folds += f" and {len(plan.source_folds)} that leave a source out"
    at_a_time = "one at a time" if jobs == 1 else f"up to {jobs} at a time"
    return [
        table,
        f"{len(plan.units)} classifiers on {folds}; about {duration(max(ends, default=0.0))} "
        f"of training, {at_a_time} (from a few steps measured here; image metrics and probes are "
        "not included).",
    ]
