"""From finished runs to `ablation/result.json`: the comparison and all that belongs to it."""

import csv
import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from balancer.ablation.arm_records import ArmResult
from balancer.ablation.caps import shortcut_caps, source_caps
from balancer.ablation.compare import compare
from balancer.ablation.design import EndedStudy, describe_design, gates_of_folds
from balancer.ablation.external import external_table, run_elsewhere
from balancer.ablation.records import AblateMetrics, ExternalResult, FailedRun
from balancer.ablation.runs import REAL, Question
from balancer.ablation.same_images import compare_on_same_images, compare_sources
from balancer.ablation.unit import Unit, read_run
from balancer.config import BalancerConfig
from balancer.data.audit.association import Association
from balancer.data.index import Index
from balancer.data.masks.read import MaskStack, masks_of_index
from balancer.errors import ConfigurationError, DataError, IntegrityError
from balancer.evaluation.external import External, load_external
from balancer.evaluation.ledger import ledger_summary, ledger_table, read_ledger
from balancer.manifest import fingerprint
from balancer.quality.extractors import load_extractor
from balancer.results import StageResult, perform, read_result, standing_result
from balancer.shortcuts.probes import run_probes
from balancer.shortcuts.records import ProbeResult
from balancer.workspace import Workspace

log = logging.getLogger(__name__)


def read_external(
    folders: Sequence[Path], config: BalancerConfig, index: Index
) -> dict[str, External]:
    """Read other data sets, named by their folders.

    Raises:
        ConfigurationError: Two folders have one name.
        DataError: See `load_external`.
    """
    names = [folder.resolve().name for folder in folders]
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise ConfigurationError(
            f"--external needs folders of different names, but {', '.join(sorted(twice))} is "
            "given twice; rename one."
        )
    return {
        name: load_external(folder, index, config.data)
        for name, folder in zip(names, folders, strict=True)
    }


def publish(study: EndedStudy, *, force: bool) -> StageResult[AblateMetrics]:
    """Compare the finished runs and write `ablation/`, unless it is up to date.

    Raises:
        DataError: No run of `real` was finished.
        IntegrityError: A run was changed.
    """
    config, workspace = study.config, study.workspace
    settings = {
        "seed": config.seed,
        "ablation": config.ablation.model_dump(mode="json", exclude={"keep_models"}),
        "evaluation": config.evaluation.model_dump(mode="json"),
        "synthesis": config.synthesis.model_dump(mode="json"),
        "quality": config.quality.model_dump(mode="json"),
        "gate": config.gate.model_dump(mode="json"),
        "image_size": config.classifier_image_size,
        "classifier": config.classifier.model_dump(mode="json"),
        "gan": config.gan.model_dump(mode="json"),
    }
    inputs = {
        "index": study.index.index_hash,
        "runs": {unit.name: _record_hash(workspace, unit) for unit in study.finished},
        "masks": _masks_hash(study),
        "external": {
            name: fingerprint("\n".join(record.image_id for record in one.records).encode())
            for name, one in study.external.items()
        },
    }
    # Other arms or folds than last time need no --force: nothing that took long is replaced.
    standing = None if force else read_result(workspace.ablation_dir, AblateMetrics)
    replaces = force or (standing is not None and standing.settings != settings)
    found = standing_result(
        workspace.ablation_dir, AblateMetrics, settings=settings, inputs=inputs, force=replaces
    )
    if found is not None:
        return found
    return perform(
        "ablate",
        workspace,
        workspace.ablation_dir,
        settings=settings,
        inputs=inputs,
        work=lambda folder: _compare(study, folder),
    )


def _masks_hash(study: EndedStudy) -> str | None:
    masks = _masks(study)
    return None if masks is None else fingerprint(masks.lungs.tobytes() + masks.present.tobytes())


def _masks(study: EndedStudy) -> MaskStack | None:
    index, size = study.index, study.config.classifier_image_size
    return masks_of_index(index, study.config.ablation.masks, index.records, size)


def _record_hash(workspace: Workspace, unit: Unit) -> str:
    record = workspace.unit_dir(unit.fold, unit.seed, unit.arm.slug) / "result.json"
    return fingerprint(record.read_bytes())


def _compare(study: EndedStudy, folder: Path) -> AblateMetrics:
    config, workspace, plan = study.config, study.workspace, study.plan
    names = {fold.name for fold in plan.folds}
    runs = [read_run(workspace, unit) for unit in study.finished]
    main = [run for run in runs if run.fold in names]
    if not any(run.arm == REAL for run in main):
        reasons = "; ".join(sorted(set(study.failures.values()))[:2])
        raise DataError(
            f"Every arm is compared with `real`, but none of its runs finished: {reasons}"
        )
    question = _question(study)
    log.info("Probing for shortcuts")
    probes = _probe(study)
    caps = source_caps(_association(study.index))
    caps += shortcut_caps(probes, config.ablation.max_probe_auroc)
    log.info("Comparing %d runs of %d arms", len(main), len(plan.arms))
    facts = [arm.facts(plan.arms) for arm in plan.arms]
    design = describe_design(study, main)
    n_held_back = sum(design.held_back.values()) or None
    metrics = compare(main, facts, question, caps=caps, n_held_back=n_held_back)
    external = {name: _test_on(study, name, question) for name in study.external}
    reads = read_ledger(workspace.ledger_dir)
    (folder / "ledger.csv").write_text(ledger_table(reads), encoding="utf-8")
    _write_runs(metrics.arms, folder / "runs.csv")
    sources = compare_sources(
        runs,
        question,
        {source: fold.name for source, fold in plan.source_folds.items()},
        plan.without_source,
    )
    failed = tuple(
        FailedRun(
            arm=unit.arm.name, fold=unit.fold, seed=unit.seed, reason=study.failures[unit.name]
        )
        for unit in plan.units
        if unit.name in study.failures
    )
    return metrics.model_copy(
        update={
            "design": design,
            "failed": failed,
            "ledger": ledger_summary(reads),
            "probes": tuple(probes),
            "sources": sources,
            "external": external,
            "quality": gates_of_folds(study),
        }
    )


def _question(study: EndedStudy) -> Question:
    config, classes = study.config, study.index.classes
    given = config.evaluation.deployment_prior
    if given is not None and set(given) != set(classes):
        raise ConfigurationError(
            f"evaluation.deployment_prior needs a share of each of {', '.join(classes)}, but has "
            f"{', '.join(sorted(given))}."
        )
    counts = dict.fromkeys(classes, 0)
    for record in study.index.records:
        counts[record.label] += 1
    prior = given or {name: count / len(study.index.records) for name, count in counts.items()}
    return Question(
        primary=config.ablation.primary,
        margin=config.ablation.margin,
        alpha=config.ablation.alpha,
        specificity=config.evaluation.specificity,
        deployment_prior=np.array([prior[name] for name in classes], np.float64),
        n_bootstrap=config.evaluation.bootstrap_samples,
        seed=config.seed,
    )


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


def _association(index: Index) -> Association | None:
    path = index.directory / "audit.json"
    try:
        found = json.loads(path.read_text(encoding="utf-8"))["source"]
        return None if found is None else Association(**found)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise IntegrityError(
            f"{path} should be the audit that prepare wrote, but: {error}; run prepare again with "
            "--force."
        ) from None


def _test_on(study: EndedStudy, name: str, question: Question) -> ExternalResult:
    external, workspace = study.external[name], study.workspace
    log.info("Testing on %d images of %s", len(external.records), name)
    table = external_table(
        external,
        study.index.classes,
        workspace.root / "runs" / "external" / name,
        study.config.classifier_image_size,
        study.index.preprocessing,
    )
    folds = {fold.name for fold in study.plan.folds}
    units = [unit for unit in study.finished if unit.fold in folds]
    runs = [
        run_elsewhere(workspace, unit, name, table, study.index.preprocessing) for unit in units
    ]
    arms = compare_on_same_images(runs, question)
    return ExternalResult(**dict(external.facts()), arms=arms)


def _write_runs(arms: Mapping[str, ArmResult], path: Path) -> None:
    rows = [{"arm": name, **dict(run)} for name, arm in arms.items() for run in arm.per_run]
    with path.open("w", encoding="utf-8", newline="") as file:
        columns = list(dict.fromkeys(key for row in rows for key in row))
        writer = csv.DictWriter(file, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
