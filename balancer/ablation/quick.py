"""The study of `balancer ablate --quick`: the frozen tier as a study of its own.

Its splits come from a seed of its own, its words follow the rule of every study, and the
name of its tier is shown everywhere. Each read of its test images is in the ledger before it
happens.
"""

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from balancer.ablation.compare import compare
from balancer.ablation.design import EndedStudy
from balancer.ablation.families.arm import Arm
from balancer.ablation.findings import find_caps, question_of
from balancer.ablation.folds import Fold, derived_seed
from balancer.ablation.frozen_head import Head
from balancer.ablation.frozen_tier import (
    TIER,
    FrozenFold,
    frozen_folds,
    frozen_images,
    n_shown,
    train_arm,
)
from balancer.ablation.frozen_worth import arms_of_tier, worth_of
from balancer.ablation.plan import Plan
from balancer.ablation.records import AblateMetrics, Design, Headline, MeanImages
from balancer.ablation.run_scores import TITLES, score_run
from balancer.ablation.runs import REAL, Question, Run
from balancer.config import BalancerConfig
from balancer.data.index import ImageSet, Index, evaluation_table
from balancer.evaluation.fit_and_test import Reader, choose_and_test
from balancer.evaluation.ledger import QUICK, ledger_summary, read_ledger
from balancer.manifest import HELD_BACK
from balancer.quality.extractors import LITE0_SIDE
from balancer.workspace import Workspace

log = logging.getLogger(__name__)

Floats = NDArray[np.float64]
_SEED = 20_000
"""Part of the seed of its splits; the seeds of a study's splits end below."""
_CURVE = "learning curve"


@dataclass(frozen=True, slots=True)
class _Bench:
    """A quick study while it runs."""

    workspace: Workspace
    question: Question

    def test(self, name: str, head: Head, fold: FrozenFold, seconds: float = 0.0) -> Run:
        """Choose the threshold on a split's validation images, then test the head once."""
        images = ImageSet(fold.data.index.records, fold.data.real.pixels)
        validation, test = (
            evaluation_table(images, fold.all.index.classes, split) for split in ("val", "test")
        )
        threshold, chosen, tested = choose_and_test(
            lambda table: head.probabilities(fold.all.features[table.places[:, 1]]),
            validation,
            test,
            fold.positive,
            Reader(self.workspace.ledger_dir, fold.name, 0, name),
            what=f"{QUICK}frozen features",
        )
        return Run(
            arm=name,
            fold=fold.name,
            seed=0,
            positive=fold.positive,
            threshold=threshold,
            training_prior=head.prior,
            n_outside=len(fold.all.labels) - len(tested.labels),
            seconds=seconds,
            test=tested,
            validation=chosen,
        )

    def train(self, arm: Arm, fold: FrozenFold) -> Run:
        """Train an arm on a split and test it."""
        started = time.monotonic()
        head = train_arm(arm, fold)
        return self.test(arm.name, head, fold, time.monotonic() - started)

    def score(self, head: Head, fold: FrozenFold) -> float:
        """Return the primary metric of a head of the curve on the test images of a split."""
        found = score_run(self.test(_CURVE, head, fold), self.question)
        return found.values[self.question.primary]


def quick_settings(config: BalancerConfig) -> dict[str, Any]:
    """Return the settings that a quick study depends on."""
    apart = {"keep_models", "seeds", "worth", "verdict_on"}
    ablation = config.ablation.model_dump(mode="json", exclude=apart)
    return {
        "seed": config.seed,
        "ablation": ablation,
        "evaluation": config.evaluation.model_dump(mode="json"),
        "synthesis": {"ratio": config.synthesis.ratio},
        "data": {"split": list(config.data.split)},
        "image_size": config.classifier_image_size,
    }


def run_quick(
    config: BalancerConfig, workspace: Workspace, index: Index, plan: Plan
) -> AblateMetrics:
    """Train, test and compare the arms of the tier, and measure their worth in real images.

    Args:
        config: Configuration of the study.
        workspace: Workspace; the ledger and the cache of features are written.
        index: The main index.
        plan: Plan of the study; its arms and its positive class are used.

    Raises:
        DataError: A class has too few groups for the splits.
    """
    images = frozen_images(config, workspace, index)
    seed = derived_seed(config.seed, _SEED)
    folds = frozen_folds(config, workspace, images, plan.positive, seed=seed)
    arms = arms_of_tier(plan.arms, folds, config)
    left_out = [arm.name for arm in plan.arms if arm not in arms]
    if left_out:
        log.warning("Not in a quick study, which trains no network: %s", ", ".join(left_out))
    study = _study(config, workspace, index, plan, folds, arms)
    # It has test splits of its own, whichever images carry the verdict of the study.
    bench = _Bench(workspace, replace(question_of(study), verdict_on=None))
    log.info("Training %d heads on %d splits", len(arms) * len(folds), len(folds))
    runs = [bench.train(arm, fold) for fold in folds for arm in arms]
    probes, caps = find_caps(study)
    facts = [arm.facts(arms) for arm in arms]
    n_held_back = _mean(folds, HELD_BACK)
    metrics = compare(runs, facts, bench.question, caps=caps, n_held_back=n_held_back or None)
    worth = worth_of(
        folds,
        _scores(runs, bench.question),
        bench.score,
        arms,
        config,
        real=REAL,
        ratio=metrics.question.test_to_train,
        title=TITLES[bench.question.primary],
    )
    headline = Headline(word=metrics.verdict.word, sentence=f"{TIER}: {metrics.verdict.sentence}")
    update: dict[str, Any] = {
        "verdict": headline,
        "design": _design(config, folds, arms, metrics.question.test_to_train),
        "ledger": ledger_summary(read_ledger(workspace.ledger_dir)),
        "probes": tuple(probes),
        "tier": TIER,
        "left_out": tuple(left_out),
    }
    return metrics.model_copy(update=update | ({} if worth is None else {"worth": worth}))


def _study(
    config: BalancerConfig,
    workspace: Workspace,
    index: Index,
    plan: Plan,
    folds: Sequence[FrozenFold],
    arms: Sequence[Arm],
) -> EndedStudy:
    """Return the study as the rules of the others see it, on as many splits as was planned."""
    own = tuple(
        Fold(fold.name, number, tuple(fold.data.index.records))
        for number, fold in enumerate(folds[: len(plan.folds)])
    )
    planned = replace(plan, arms=tuple(arms), folds=own, source_folds={}, units=())
    return EndedStudy(
        config=config, workspace=workspace, index=index, plan=planned, failures={}, external={}
    )


def _scores(runs: Sequence[Run], question: Question) -> dict[str, Floats]:
    """Return arm to the primary metric on each split, in the order of the runs."""
    found: dict[str, list[float]] = {}
    for run in runs:
        found.setdefault(run.arm, []).append(score_run(run, question).values[question.primary])
    return {name: np.array(values, np.float64) for name, values in found.items()}


def _mean(folds: Sequence[FrozenFold], split: str) -> float:
    return float(np.mean([len(fold.rows(split)) for fold in folds]))


def _design(
    config: BalancerConfig, folds: Sequence[FrozenFold], arms: Sequence[Arm], ratio: float
) -> Design:
    classes = folds[0].data.index.classes
    counts = [fold.data.index.counts("train") for fold in folds]
    before = {label: float(np.mean([one[label] for one in counts])) for label in classes}
    images = {
        arm.name: {
            label: MeanImages(real=round(before[label], 1), added=_n_added(arm, folds, label))
            for label in classes
        }
        for arm in arms
    }
    positive = classes[folds[0].positive]
    held_back = _mean(folds, HELD_BACK)
    return Design(
        resampling=config.ablation.resampling,
        repeats=len(folds),
        folds=config.ablation.folds if config.ablation.resampling == "folds" else None,
        seeds=1,
        n_runs=len(folds),
        n_train=round(_mean(folds, "train")),
        n_val=round(_mean(folds, "val")),
        n_test=round(_mean(folds, "test")),
        test_to_train=ratio,
        held_back={positive: held_back} if held_back else {},
        model="lite0, frozen, with a linear head",
        image_size=max(config.classifier_image_size, LITE0_SIDE),
        input_size=LITE0_SIDE,
        n_steps=0,
        batch_size=0,
        training_images=images,
        before={label: round(count, 1) for label, count in before.items()},
        after={
            name: {label: round(one.real + one.added, 1) for label, one in mine.items()}
            for name, mine in images.items()
        },
    )


def _n_added(arm: Arm, folds: Sequence[FrozenFold], label: str) -> float:
    """Return the number of images that an arm adds to a class or leaves out, mean over splits."""
    added = [n_shown(arm, fold, label) - len(fold.data.training_rows(label)) for fold in folds]
    return round(float(np.mean(added)), 1)
