"""The study of `balancer ablate --quick`: the frozen tier as a study of its own.

Its splits come from a seed of its own, its words follow the rule of every study, and the
name of its tier is shown everywhere. Each read of its test images is in the ledger before it
happens.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from balancer.ablation.compare import compare
from balancer.ablation.design import EndedStudy
from balancer.ablation.elsewhere import elsewhere_results, travel_fields
from balancer.ablation.families.arm import Arm
from balancer.ablation.findings import find_caps, question_of
from balancer.ablation.folds import Fold, derived_seed
from balancer.ablation.frozen_bench import FrozenBench, other_films
from balancer.ablation.frozen_tier import (
    TIER,
    FrozenFold,
    FrozenImages,
    can_train,
    frozen_folds,
    frozen_images,
    frozen_source_folds,
    frozen_views,
    n_shown,
)
from balancer.ablation.frozen_worth import arms_of_tier, worth_of
from balancer.ablation.plan import Plan
from balancer.ablation.protocol import Protocol, changes_between, sentence_of_changes
from balancer.ablation.records import AblateMetrics, Design, Headline, MeanImages, Registration
from balancer.ablation.registration import registration_record, when_registered
from balancer.ablation.run_scores import TITLES, score_run
from balancer.ablation.runs import REAL, Question, Run
from balancer.config import BalancerConfig
from balancer.data.index import Index
from balancer.evaluation.external import External, fingerprint_of_labels
from balancer.evaluation.ledger import (
    QUICK,
    Read,
    fingerprint_of_images,
    ledger_summary,
    read_ledger,
)
from balancer.manifest import HELD_BACK
from balancer.quality.extractors import LITE0_SIDE
from balancer.workspace import Workspace

log = logging.getLogger(__name__)

Floats = NDArray[np.float64]
_SEED = 20_000
"""Part of the seed of its splits; the seeds of a study's splits end below."""


def quick_settings(config: BalancerConfig, plan: Plan) -> dict[str, Any]:
    """Return the settings that a quick study depends on."""
    apart = {"keep_models", "seeds", "worth", "verdict_on"}
    ablation = config.ablation.model_dump(mode="json", exclude=apart)
    views = {"travel": config.travel.model_dump(mode="json")} if plan.compares_views else {}
    return views | {
        "seed": config.seed,
        "ablation": ablation,
        "evaluation": config.evaluation.model_dump(mode="json"),
        "synthesis": {"ratio": config.synthesis.ratio},
        "data": {"split": list(config.data.split)},
        "image_size": config.classifier_image_size,
    }


def quick_inputs(
    index: Index, external: Mapping[str, External], protocol: Protocol | None
) -> dict[str, Any]:
    """Return the fingerprints of what a quick study reads."""
    inputs: dict[str, Any] = {"index": index.index_hash}
    if external:
        inputs["external"] = {
            name: [
                fingerprint_of_images(record.image_id for record in one.records),
                fingerprint_of_labels(one.records),
            ]
            for name, one in external.items()
        }
    if protocol is not None:
        inputs["protocol"] = protocol.newest.hash
    return inputs


def run_quick(
    config: BalancerConfig,
    workspace: Workspace,
    index: Index,
    plan: Plan,
    external: Mapping[str, External],
    protocol: Protocol | None = None,
) -> AblateMetrics:
    """Train, test and compare the arms of the tier, here and elsewhere.

    A study of views says what travels; any other one measures the worth of its arms in real images.

    Args:
        config: Configuration of the study.
        workspace: Workspace; the ledger and the cache of features are written.
        index: The main index.
        plan: Plan of the study; its arms, sources and positive class are used.
        external: Other data sets by name.
        protocol: Protocol of a registered study; its newest entry is of this one.

    Raises:
        DataError: A class has too few groups for the splits.
    """
    images = frozen_images(config, workspace, index)
    seed = derived_seed(config.seed, _SEED)
    folds = frozen_folds(
        config, workspace, images, plan.positive, seed=seed, aside=not plan.compares_views
    )
    arms = arms_of_tier(plan.arms, folds, config)
    left_out = [arm.name for arm in plan.arms if arm not in arms]
    if left_out:
        log.warning("Not in a quick study, which trains no network: %s", ", ".join(left_out))
    study = _study(config, workspace, index, plan, folds, arms, external)
    bench = FrozenBench(
        workspace,
        # It has test splits of its own, whichever images carry the verdict of the study.
        replace(question_of(study), verdict_on=None),
        frozen_views(config, workspace, index, arms),
        other_films(config, workspace, index, arms, external),
        "" if protocol is None else protocol.newest.hash,
    )
    log.info("Training %d heads on %d splits", len(arms) * len(folds), len(folds))
    tested = [bench.train(arm, fold) for fold in folds for arm in arms]
    runs = [home for home, _ in tested]
    elsewhere = {name: [there[name] for _, there in tested] for name in external}
    of_sources = _without_sources(config, workspace, plan, images, bench, arms)
    probes, caps = find_caps(study)
    facts = [arm.facts(arms) for arm in arms]
    n_held_back = _mean(folds, HELD_BACK)
    metrics = compare(runs, facts, bench.question, caps=caps, n_held_back=n_held_back or None)
    headline = Headline(word=metrics.verdict.word, sentence=f"{TIER}: {metrics.verdict.sentence}")
    update: dict[str, Any] = {
        "verdict": headline,
        "design": _design(config, folds, arms, metrics.question.test_to_train),
        "ledger": ledger_summary(read_ledger(workspace.ledger_dir)),
        "probes": tuple(probes),
        "tier": TIER,
        "left_out": tuple(left_out),
        **elsewhere_results(external, elsewhere, of_sources, plan, bench.question),
    }
    if protocol is not None:
        update["registration"] = registration_of_tier(protocol, read_ledger(workspace.ledger_dir))
    metrics = metrics.model_copy(update=update)
    if plan.compares_views:
        more = travel_fields(metrics, study, arms, bench.question, runs, elsewhere)
        return metrics.model_copy(update=more)
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
    return metrics if worth is None else metrics.model_copy(update={"worth": worth})


def _without_sources(
    config: BalancerConfig,
    workspace: Workspace,
    plan: Plan,
    images: FrozenImages,
    bench: FrozenBench,
    arms: Sequence[Arm],
) -> list[Run]:
    """Test on each source that can be left out, after training without it."""
    folds = plan.source_folds.values()
    apart = frozen_source_folds(config, workspace, images, plan.positive, folds)
    at_home = replace(bench, others={})
    return [at_home.train(arm, fold)[0] for fold in apart for arm in arms if can_train(arm, fold)]


def registration_of_tier(protocol: Protocol, reads: Sequence[Read]) -> Registration:
    """Return the place of a quick study in its protocol.

    Args:
        protocol: The protocol; its newest entry is of this study.
        reads: The ledger; the quick study's own reads name the entry that they were under.
    """
    own = [read for read in reads if read.what.startswith(QUICK) and read.protocol]
    before = [read for read in own if read.protocol != protocol.newest.hash]
    if not before:
        sentence = (
            f"confirmatory: as registered on {when_registered(protocol.newest)}, before any look"
        )
        return registration_record(protocol, "confirmatory", f"{sentence}.", "")
    first = next(entry for entry in protocol.entries if entry.hash == before[0].protocol)
    changes = sentence_of_changes(changes_between(first, protocol.newest))
    sentence = (
        f"Another question was registered on {when_registered(first)}, before the first look."
    )
    label = f"EXPLORATORY: {changes or 'registered again'} after {len(before)} looks"
    return registration_record(protocol, "exploratory", sentence, label)


def _study(
    config: BalancerConfig,
    workspace: Workspace,
    index: Index,
    plan: Plan,
    folds: Sequence[FrozenFold],
    arms: Sequence[Arm],
    external: Mapping[str, External],
) -> EndedStudy:
    """Return the study as the rules of the others see it, on as many splits as was planned."""
    own = tuple(
        Fold(fold.name, number, tuple(fold.data.index.records))
        for number, fold in enumerate(folds[: len(plan.folds)])
    )
    planned = replace(plan, arms=tuple(arms), folds=own, source_folds={}, units=())
    return EndedStudy(
        config=config,
        workspace=workspace,
        index=index,
        plan=planned,
        failures={},
        external=external,
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
