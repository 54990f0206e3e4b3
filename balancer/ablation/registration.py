"""An ended ablation beside its protocol: what is confirmatory, and what is exploratory.

The headline answers the question that was registered before any look, from the first predictions of
its units. These are kept apart (`runs/registered/`), so that neither other settings nor --force can
replace them. What was asked later is a second answer, which is labelled.
"""

import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from balancer.ablation.arm_records import ArmVerdict
from balancer.ablation.arms import read_arms
from balancer.ablation.design import EndedStudy
from balancer.ablation.external import first_run_elsewhere, has_verdict_images, units_elsewhere
from balancer.ablation.families.arm import Needs
from balancer.ablation.headline import no_claim
from balancer.ablation.inquiry import config_of, content_hash
from balancer.ablation.plan import make_plan
from balancer.ablation.protocol import (
    Protocol,
    ProtocolEntry,
    RegisteredQuestion,
    changes_between,
    sentence_of_changes,
)
from balancer.ablation.records import (
    REGISTERED_RUNS,
    AblateMetrics,
    Amendment,
    Headline,
    Registration,
    Status,
)
from balancer.ablation.runs import REAL
from balancer.ablation.unit import TEST, VALIDATION, Unit, read_run, unit_settings
from balancer.config import BalancerConfig
from balancer.evaluation.ledger import ledger_summary, of_ablation, read_ledger
from balancer.evaluation.records import UnitMetrics
from balancer.results import StageResult, difference, read_result
from balancer.statistics.verdict import EQUIVALENT, EXPLORATORY, HELPS, HURTS, INCONCLUSIVE
from balancer.workspace import Workspace

_FILES = ("result.json", f"{TEST}.csv", f"{VALIDATION}.csv")
_NOT_TRAINED = "it was not trained before the study was changed"
_NOT_TESTED = (
    "it was trained again, or the images changed, before it was tested on those that count"
)
_CLAIMS = (HELPS, HURTS, EQUIVALENT)


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldStudy:
    """An ended study, held to its protocol.

    Attributes:
        main: The study that the headline is of.
        explored: The study with a question that was changed after a look; None without one.
        protocol: The protocol.
        registration: Place of the study in its protocol.
        missing: Number of registered runs that were never trained.
        images_replaced: Whether the generated images on disk are of other settings than `main`.
    """

    main: EndedStudy
    explored: EndedStudy | None
    protocol: Protocol
    registration: Registration
    missing: int = 0
    images_replaced: bool = False

    def without_false_claims(self, metrics: AblateMetrics) -> AblateMetrics:
        """Return the comparison of `main`, in which only a finished, registered study claims."""
        if self.missing:
            return _unfinished(metrics, self.missing, len(self.main.plan.units))
        if self.registration.label and self.explored is None:
            return _exploratory(metrics, self.registration.label)
        return metrics


def hold_to_protocol(study: EndedStudy, protocol: Protocol) -> HeldStudy:
    """Find the registered study, and what differs from it now.

    Args:
        study: The study as it was asked now; the newest entry of the protocol is of it.
        protocol: The protocol.

    Raises:
        IntegrityError: Predictions were changed, or this version cannot read the registered
            settings.
    """
    for unit in study.finished:
        read_run(study.workspace, unit)  # refuses predictions that were changed
    newest, registered = protocol.newest, protocol.registered
    if registered is None:
        first = protocol.entries[0]
        what = [f"not registered before the first of {_looks(first.reads)}"]
        changes = changes_between(first, newest)
        what += [f"{sentence_of_changes(changes)} after {_looks(newest.reads)}"] if changes else []
        label = f"EXPLORATORY: {'; '.join(what)}"
        sentence = "Not registered: no question was fixed before the first look at test images."
        found = registration_record(protocol, "not registered", sentence, label)
        return HeldStudy(main=study, explored=None, protocol=protocol, registration=found)
    changes = changes_between(registered, newest)
    label = f"EXPLORATORY: {sentence_of_changes(changes)} after {_looks(newest.reads)}"
    planned, missing = None, 0
    if registered.data.content == newest.data.content:
        planned, missing = _registered_study(study, registered)
    if planned is None or not _has_reference(planned):
        sentence = (
            f"The question registered on {when_registered(registered)}, before any look, has no "
            "answer here: its images or its runs are not those on disk."
        )
        found = registration_record(protocol, "exploratory", sentence, label)
        return HeldStudy(main=study, explored=None, protocol=protocol, registration=found)
    again = [] if changes else [unit for unit in study.finished if is_replaced(study, unit)]
    if again:
        label = f"EXPLORATORY: {len(again)} runs trained again after {_looks(newest.reads)}"
    changed = bool(changes or again)
    if changed:
        when = when_registered(registered)
        sentence = f"The headline is of the question as registered on {when}, before any look."
        found = registration_record(protocol, "exploratory", sentence, label, kept=True)
    else:
        sentence = _confirmatory(registered, planned, newest)
        found = registration_record(protocol, "confirmatory", sentence, "", kept=True)
    roots = {change.key.partition(".")[0] for change in changes}
    return HeldStudy(
        main=planned,
        explored=study if changed else None,
        protocol=protocol,
        registration=found,
        missing=missing,
        images_replaced=bool(again or roots & {"seed", "split", "gan", "synthesis", "gate"}),
    )


def registration_of(protocol: Protocol) -> Registration:
    """Return the place of a study in its protocol before it has an answer."""
    registered = protocol.registered
    if registered is None:
        sentence = "Not registered: no question was fixed before the first look at test images."
        return registration_record(
            protocol, "not registered", sentence, "EXPLORATORY: not registered"
        )
    sentence = f"Registered on {when_registered(registered)}, before any look."
    changes = changes_between(registered, protocol.newest)
    if not changes:
        return registration_record(protocol, "confirmatory", sentence, "")
    after = f"after {_looks(protocol.newest.reads)}"
    label = f"EXPLORATORY: {sentence_of_changes(changes)} {after}"
    return registration_record(protocol, "exploratory", sentence, label)


def keep_first_predictions(
    workspace: Workspace, protocol: Protocol | None, config: BalancerConfig, units: Iterable[Unit]
) -> None:
    """Copy the predictions of finished units of the registered settings, once.

    Args:
        workspace: The main workspace.
        protocol: The protocol; nothing is kept without a registered entry.
        config: The registered configuration.
        units: Units of its plan.
    """
    if protocol is None or protocol.registered is None:
        return
    for unit in units:
        kept = workspace.registered_dir(unit.fold, unit.seed, unit.arm.slug)
        standing = workspace.unit_dir(unit.fold, unit.seed, unit.arm.slug)
        settings = unit_settings(config, unit)
        if _is_of(read_result(kept, UnitMetrics), settings):
            continue
        if _is_of(read_result(standing, UnitMetrics), settings):
            with workspace.publish(kept) as folder:
                for name in _FILES:
                    shutil.copy(standing / name, folder / name)


def keep_registered(study: EndedStudy, protocol: Protocol | None) -> None:
    """Keep the first predictions of the registered study before anything is trained again.

    Args:
        study: The study as it is asked now, for paths and hardware.
        protocol: The protocol so far; None before the first entry.
    """
    registered = None if protocol is None else protocol.registered
    if registered is not None and registered.data.content == content_hash(study.index):
        config = _registered_config(study, registered)
        units = make_plan(config, study.index).units
        keep_first_predictions(study.workspace, protocol, config, units)


def _registered_study(study: EndedStudy, registered: ProtocolEntry) -> tuple[EndedStudy, int]:
    """Return the study as registered, and the number of its units that have no answer.

    A point of the curve that was not trained with its settings is left out of the plan: no verdict
    is about it.
    """
    config = _registered_config(study, registered)
    plan = make_plan(config, study.index)
    keep_first_predictions(study.workspace, Protocol((registered,)), config, plan.units)
    failures = _failures(study, config, plan.units)
    trained = tuple(
        unit
        for unit in plan.units
        if unit.arm not in plan.curve or _is_kept(study.workspace, config, unit)
    )
    plan = replace(plan, units=trained)
    missing = 0
    for unit in plan.units:
        if unit.name not in failures and not _is_kept(study.workspace, config, unit):
            failures[unit.name] = _NOT_TRAINED
            missing += 1
    registered_study = replace(study, config=config, plan=plan, failures=failures, registered=True)
    lost = _lost_elsewhere(registered_study, registered.question)
    failures |= dict.fromkeys(lost, _NOT_TESTED)
    return replace(registered_study, failures=failures), missing + len(lost)


def _lost_elsewhere(study: EndedStudy, question: RegisteredQuestion) -> list[str]:
    """Name units whose first predictions for the images that carry the verdict cannot be had."""
    if question.verdict_on is None:
        return []
    today = has_verdict_images(study, question)
    return [
        unit.name
        for unit in units_elsewhere(study)
        if first_run_elsewhere(study, unit, question) is None
        and not (today and not is_replaced(study, unit))
    ]


def _registered_config(study: EndedStudy, registered: ProtocolEntry) -> BalancerConfig:
    """Return the registered configuration; with planned looks, at the look that is reached."""
    config = config_of(registered, study.config)
    arms = read_arms(config.ablation.arms, ratio=config.synthesis.ratio)
    if not any(arm.needs is Needs.HELD_BACK for arm in arms):  # then it can have no curve
        without = config.ablation.model_copy(update={"worth": ()})
        config = config.model_copy(update={"ablation": without})
    looks, now = registered.question.looks, study.config.ablation
    if not looks:
        return config
    reached = now.repeats
    if now.looks != looks:
        reached = looks[0]
        for repeats in looks:
            at_look = _at(config, repeats)
            units = make_plan(at_look, study.index).units
            if all(_is_kept(study.workspace, at_look, unit) for unit in units):
                reached = repeats
    return _at(config, reached)


def _at(config: BalancerConfig, repeats: int) -> BalancerConfig:
    ablation = config.ablation.model_copy(update={"repeats": repeats})
    return config.model_copy(update={"ablation": ablation})


def _failures(study: EndedStudy, config: BalancerConfig, units: Sequence[Unit]) -> dict[str, str]:
    """Return the units that could not be trained, now or when the registered study was run."""
    known = dict(study.failures)
    result = read_result(study.workspace.ablation_dir, AblateMetrics)
    before = None if result is None else result.metrics
    if before is not None and before.registration and before.registration.runs == REGISTERED_RUNS:
        for run in before.failed:
            known.setdefault(f"{run.arm}, {run.fold}, seed {run.seed}", run.reason)
    workspace = study.workspace
    return {
        unit.name: known[unit.name]
        for unit in units
        if unit.name in known
        and known[unit.name] not in (_NOT_TRAINED, _NOT_TESTED)
        and not _is_kept(workspace, config, unit)
    }


def _is_kept(workspace: Workspace, config: BalancerConfig, unit: Unit) -> bool:
    kept = workspace.registered_dir(unit.fold, unit.seed, unit.arm.slug)
    return _is_of(read_result(kept, UnitMetrics), unit_settings(config, unit))


def _is_of(result: StageResult[UnitMetrics] | None, settings: Mapping[str, Any]) -> bool:
    return result is not None and not difference(result.settings, settings)


def is_replaced(study: EndedStudy, unit: Unit) -> bool:
    """Return whether a unit's first predictions are kept, and its newest differ or are gone."""
    workspace = study.workspace
    kept, standing = (
        read_result(place(unit.fold, unit.seed, unit.arm.slug), UnitMetrics)
        for place in (workspace.registered_dir, workspace.unit_dir)
    )
    if kept is None:
        return False
    return standing is None or kept.metrics.test != standing.metrics.test


def _has_reference(study: EndedStudy) -> bool:
    folds = {fold.name for fold in study.plan.folds}
    return any(unit.arm.name == REAL and unit.fold in folds for unit in study.finished)


def _confirmatory(registered: ProtocolEntry, planned: EndedStudy, newest: ProtocolEntry) -> str:
    sentence = f"confirmatory: as registered on {when_registered(registered)}, before any look"
    looks = registered.question.looks
    if looks:
        place = looks.index(planned.config.ablation.repeats) + 1
        sentence += f"; planned look {place} of {len(looks)} (O'Brien-Fleming spending)"
    if registered.other_reads:
        sentence += f"; other commands had read test images {_times(registered.other_reads)} before"
    summary = ledger_summary(of_ablation(read_ledger(planned.workspace.ledger_dir)))
    if summary.read_again:
        sentence += f"; {len(summary.read_again)} classifiers read their test images more than once"
    if newest.forced:
        sentence += (
            f"; trained again after {_looks(newest.reads)}, but these are the first predictions"
        )
    return f"{sentence}."


def registration_record(
    protocol: Protocol, status: Status, sentence: str, label: str, *, kept: bool = False
) -> Registration:
    """Return the record of a status, with all entries of the protocol."""
    registered = protocol.registered
    return Registration(
        status=status,
        sentence=sentence,
        label=label,
        hash=protocol.hash,
        time=None if registered is None else registered.time,
        reads=protocol.newest.reads,
        entries=tuple(
            Amendment(time=entry.time, reads=entry.reads, changes=_changes(entry), hash=entry.hash)
            for entry in protocol.entries
        ),
        runs=REGISTERED_RUNS if kept else "runs/units",
    )


def _changes(entry: ProtocolEntry) -> str:
    found = [sentence_of_changes(entry.changes)] if entry.changes else []
    found += ["all trained again (--force)"] if entry.forced else []
    return "; ".join(found) or "first entry"


def _exploratory(metrics: AblateMetrics, label: str) -> AblateMetrics:
    """Return a comparison without claims: the words of claims become `exploratory`."""
    arms = {}
    for name, arm in metrics.arms.items():
        mine = arm.verdict
        if isinstance(mine, ArmVerdict) and mine.word in _CLAIMS:
            sentence = f"Exploratory, no claim. By these runs: {mine.sentence}"
            mine = mine.model_copy(update={"word": EXPLORATORY, "sentence": sentence})
        arms[name] = arm.model_copy(update={"verdict": mine})
    found = metrics.verdict
    word = EXPLORATORY if found.word in _CLAIMS else found.word
    start = no_claim(found.caps)
    rest = found.sentence.removeprefix(start)
    sentence = f"{start}{label}. No claim is made. By these runs: {rest}"
    verdict = found.model_copy(update={"word": word, "sentence": sentence})
    return metrics.model_copy(update={"arms": arms, "verdict": verdict})


def _unfinished(metrics: AblateMetrics, missing: int, total: int) -> AblateMetrics:
    """Return a comparison without words, since runs are missing that were registered."""
    sentence = (
        f"The registered study is not finished, so it has no answer yet: {missing} of its {total} "
        "runs are missing; run `balancer ablate` with the registered settings."
    )
    arms = {}
    for name, arm in metrics.arms.items():
        verdict = arm.verdict
        if isinstance(verdict, ArmVerdict):
            update = {"word": INCONCLUSIVE, "uncapped": INCONCLUSIVE, "p_holm": None,
                      "sentence": sentence}  # fmt: skip
            verdict = verdict.model_copy(update=update)
        arms[name] = arm.model_copy(update={"verdict": verdict})
    caps = metrics.verdict.caps
    headline = Headline(word=INCONCLUSIVE, sentence=no_claim(caps) + sentence)
    if caps:
        headline = headline.model_copy(update={"caps": caps})
    return metrics.model_copy(update={"arms": arms, "verdict": headline})


def when_registered(entry: ProtocolEntry) -> str:
    """Return the time of an entry for readers."""
    return f"{datetime.fromisoformat(entry.time):%Y-%m-%d %H:%M} UTC"


def _looks(n: int) -> str:
    return f"{n} look{'s' * (n != 1)}"


def _times(n: int) -> str:
    return "once" if n == 1 else f"{n} times"
