"""From finished runs to `ablation/result.json`: the comparison and all that belongs to it."""

import csv
import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from balancer.ablation.arm_records import ArmResult, Difference, Level
from balancer.ablation.caps import shortcut_caps, source_caps
from balancer.ablation.compare import compare
from balancer.ablation.design import EndedStudy, describe_design, gate_fields
from balancer.ablation.elsewhere import elsewhere_results, travel_fields
from balancer.ablation.elsewhere_records import SameImagesArm
from balancer.ablation.inquiry import deployment_prior, masks_hash
from balancer.ablation.records import (
    AblateMetrics,
    Exploration,
    FailedRun,
)
from balancer.ablation.registration import HeldStudy
from balancer.ablation.run_scores import CO_PRIMARY
from balancer.ablation.runs import REAL, ArmFacts, Question, Run
from balancer.ablation.runs_elsewhere import has_registered_images, runs_of_verdict, runs_on
from balancer.ablation.subgroups import subgroup_columns
from balancer.ablation.trained_worth import trained_worth
from balancer.ablation.unit import read_run
from balancer.data.audit.content import read_audit
from balancer.data.masks.read import MaskStack, masks_of_index
from balancer.errors import DataError
from balancer.evaluation.external import fingerprint_of_labels
from balancer.evaluation.ledger import (
    fingerprint_of_images,
    ledger_summary,
    ledger_table,
    of_ablation,
    read_ledger,
)
from balancer.evaluation.records import Scalar
from balancer.quality.extractors import load_extractor
from balancer.results import (
    StageResult,
    fingerprint_of_result,
    perform,
    read_result,
    standing_result,
)
from balancer.shortcuts.probes import run_probes
from balancer.shortcuts.records import ProbeResult

log = logging.getLogger(__name__)


def publish(held: HeldStudy, *, force: bool) -> StageResult[AblateMetrics]:
    """Compare the finished runs and write `ablation/`, unless it is up to date.

    Args:
        held: The study beside its protocol.
        force: Compare again even if nothing changed.

    Raises:
        DataError: No run of `real` was finished.
        IntegrityError: A run was changed.
    """
    study = held.main
    config, workspace = study.config, study.workspace
    settings = {
        "seed": config.seed,
        "ablation": config.ablation.model_dump(
            mode="json", exclude={"keep_models", "frozen_splits"}
        ),
        "evaluation": config.evaluation.model_dump(mode="json"),
        "synthesis": config.synthesis.model_dump(mode="json"),
        "quality": config.quality.as_record(),
        "gate": config.gate.model_dump(mode="json"),
        "image_size": config.classifier_image_size,
        "classifier": config.classifier.model_dump(mode="json"),
        "gan": config.gan.model_dump(mode="json"),
    }
    if study.plan.compares_views:
        settings["travel"] = config.travel.model_dump(mode="json")
    inputs = {
        "index": study.index.index_hash,
        "protocol": held.protocol.newest.hash,
        "reads": len(of_ablation(read_ledger(workspace.ledger_dir))),
        **_fingerprints_of_runs(held),
        "masks": masks_hash(config, study.index),
        "external": {
            name: [
                fingerprint_of_images(record.image_id for record in one.records),
                fingerprint_of_labels(one.records),
            ]
            for name, one in study.external.items()
        },
    }
    # Other settings than last time need no --force: the registered answer is not replaced by them.
    standing = None if force else read_result(workspace.ablation_dir, AblateMetrics)
    replaces = force or (standing is not None and standing.settings != settings)
    found = standing_result(
        workspace.ablation_dir,
        AblateMetrics,
        settings=settings,
        inputs=inputs,
        force=replaces,
        earlier_inputs=inputs | _fingerprints_of_runs(held, with_time=True),
    )
    if found is not None:
        return found
    return perform(
        "ablate",
        workspace,
        workspace.ablation_dir,
        settings=settings,
        inputs=inputs,
        work=lambda folder: _compare(held, folder),
    )


def _masks(study: EndedStudy) -> MaskStack | None:
    index, size = study.index, study.config.classifier_image_size
    return masks_of_index(index, study.config.ablation.masks, index.records, size)


def _fingerprints_of_runs(
    held: HeldStudy, *, with_time: bool = False
) -> dict[str, dict[str, str] | None]:
    studies = {"runs": held.main, "explored": held.explored}
    return {
        key: None
        if study is None
        else {
            unit.name: fingerprint_of_result(study.directory(unit), with_time=with_time)
            for unit in study.finished
        }
        for key, study in studies.items()
    }


def _compare(held: HeldStudy, folder: Path) -> AblateMetrics:
    study = held.main
    config, workspace, plan = study.config, study.workspace, study.plan
    runs, main, points = _runs(study)
    question = question_of(study)
    probes, caps = find_caps(study)
    log.info("Comparing %d runs of %d arms", len(main), len(plan.arms))
    facts = [arm.facts(plan.arms) for arm in plan.arms]
    design = describe_design(study, main)
    n_held_back = sum(design.held_back.values()) or None
    judged = main if question.verdict_on is None else runs_of_verdict(held, question.verdict_on)
    elsewhere = {
        name: judged if name == question.verdict_on else runs_on(study, name)
        for name in study.external
        if name != question.verdict_on or has_registered_images(held)
    }
    at_home = question.verdict_on is None
    metrics = compare(
        judged,
        facts,
        question,
        caps=caps,
        n_held_back=n_held_back,
        columns=subgroup_columns(study.index, config.evaluation.subgroups) if at_home else None,
    )
    metrics = held.without_false_claims(metrics)
    worth = trained_worth(study, [*main, *points], question, design.test_to_train)
    asked = study if held.explored is None else held.explored
    if worth is None and asked.config.ablation.worth:
        log.warning(
            "No worth in real images: all points of the curve are needed on three splits, with the "
            "settings that were registered."
        )
    explored = None if held.explored is None else _explore(held, probes)
    reads = read_ledger(workspace.ledger_dir)
    (folder / "ledger.csv").write_text(ledger_table(reads), encoding="utf-8")
    _write_runs(metrics.arms, folder / "runs.csv")
    failed = tuple(
        FailedRun(
            arm=unit.arm.name, fold=unit.fold, seed=unit.seed, reason=study.failures[unit.name]
        )
        for unit in plan.units
        if unit.name in study.failures
    )
    metrics = metrics.model_copy(
        update={
            "design": design,
            "failed": failed,
            "ledger": ledger_summary(reads),
            "probes": tuple(probes),
            **elsewhere_results(study.external, elsewhere, runs, plan, question),
            **({} if held.images_replaced else gate_fields(study)),
            "registration": held.registration,
            **({} if worth is None else {"worth": worth}),
            **({} if at_home else {"home": _at_home(main, facts, question)}),
            **({} if explored is None else {"exploratory": explored}),
        }
    )
    if held.missing:
        return metrics
    more = travel_fields(metrics, study, plan.arms, question, main, elsewhere)
    return metrics.model_copy(update=more) if more else metrics


def _runs(study: EndedStudy) -> tuple[list[Run], list[Run], list[Run]]:
    """Read all finished runs; those of arms on the main splits, and those of the curve's points.

    Raises:
        DataError: None of the main ones is of `real`.
    """
    names = {fold.name for fold in study.plan.folds}
    points = {arm.name for arm in study.plan.curve}
    runs = [read_run(study.workspace, unit, registered=study.registered) for unit in study.finished]
    main = [run for run in runs if run.fold in names and run.arm not in points]
    if not any(run.arm == REAL for run in main):
        reasons = "; ".join(sorted(set(study.failures.values()))[:2])
        raise DataError(
            f"Every arm is compared with `real`, but none of its runs finished: {reasons}"
        )
    return runs, main, [run for run in runs if run.arm in points]


def _at_home(
    main: Sequence[Run], facts: Sequence[ArmFacts], question: Question
) -> dict[str, SameImagesArm]:
    """Compare the arms on the test splits, where other images carry the verdict."""
    found = compare(main, facts, replace(question, verdict_on=None))
    keys = [question.primary, CO_PRIMARY]

    def scalars(values: Mapping[str, Level | Difference]) -> dict[str, Scalar]:
        return {
            key: Scalar(value=one.value, low=one.low, high=one.high, reason=one.reason)
            for key in keys
            if (one := values.get(key)) is not None
        }

    return {
        name: SameImagesArm(
            metrics=scalars(arm.metrics),
            n_runs=arm.n_runs,
            difference_to_real=scalars(arm.against[REAL].metrics) if REAL in arm.against else None,
        )
        for name, arm in found.arms.items()
    }


def _explore(held: HeldStudy, probes: Sequence[ProbeResult]) -> Exploration | None:
    """Compare the runs of a question that was changed after a look.

    Args:
        held: The study beside its protocol.
        probes: Probes of the registered study; they hold for the same positive class.
    """
    study = held.explored
    if study is None:
        return None
    _, main, _ = _runs(study)
    question = question_of(study)
    if question.verdict_on is not None:
        main = runs_on(study, question.verdict_on)
    if study.plan.positive != held.main.plan.positive:
        probes = _probe(study)
    caps = _caps(study, probes)
    facts = [arm.facts(study.plan.arms) for arm in study.plan.arms]
    found = compare(main, facts, question, caps=caps)
    return Exploration(
        label=held.registration.label,
        question=found.question,
        arms=found.arms,
        verdict=found.verdict,
    )


def question_of(study: EndedStudy) -> Question:
    """Return the question of a study, from its configuration.

    Raises:
        ConfigurationError: The class shares of the configuration are of other classes.
    """
    config, classes = study.config, study.index.classes
    prior = deployment_prior(config, study.index)
    parts = config.ablation.folds if config.ablation.resampling == "folds" else 1
    looks = config.ablation.looks
    return Question(
        primary=config.ablation.primary,
        margin=config.ablation.margin,
        alpha=config.ablation.alpha,
        specificity=config.evaluation.specificity,
        deployment_prior=np.array([prior[name] for name in classes], np.float64),
        n_bootstrap=config.evaluation.bootstrap_samples,
        seed=config.seed,
        prior_is_given=config.evaluation.deployment_prior is not None,
        secondary=config.ablation.secondary,
        decision_threshold=config.evaluation.decision_threshold,
        looks=tuple(repeats * parts for repeats in looks),
        look=looks.index(config.ablation.repeats) if looks else 0,
        verdict_on=config.ablation.verdict_on,
        rare_images=config.ablation.rare_images,
    )


def find_caps(study: EndedStudy) -> tuple[list[ProbeResult], list[str]]:
    """Run the shortcut probes of a study; return them, and the reasons to trust no difference."""
    log.info("Probing for shortcuts")
    probes = _probe(study)
    return probes, _caps(study, probes)


def _probe(study: EndedStudy) -> list[ProbeResult]:
    config, index = study.config, study.index
    size = config.classifier_image_size
    return run_probes(
        index,
        [
            (fold.name, {record.image_id: record.split for record in fold.records})
            for fold in study.plan.folds
        ],
        positive=study.plan.positive,
        size=size,
        extractor=load_extractor("lite0"),
        masks=_masks(study),
        cache=study.workspace.feature_cache_dir,
        seed=config.seed,
    )


def _caps(study: EndedStudy, probes: Sequence[ProbeResult]) -> list[str]:
    """Return the reasons for no claim that are known without the runs."""
    caps = source_caps(read_audit(study.index.directory).source)
    return caps + shortcut_caps(probes, study.config.ablation.max_probe_auroc)


def _write_runs(arms: Mapping[str, ArmResult], path: Path) -> None:
    rows = [
        {"arm": name, **run.model_dump(exclude_unset=True)}
        for name, arm in arms.items()
        for run in arm.per_run
    ]
    with path.open("w", encoding="utf-8", newline="") as file:
        columns = list(dict.fromkeys(key for row in rows for key in row))
        writer = csv.DictWriter(file, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
