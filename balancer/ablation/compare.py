"""All arms of a study against real images alone and against repeated real ones.

Runs are paired by fold and seed. Seeds of one split are averaged first, so that k, the number of
values of an interval, is the number of splits.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from balancer.ablation.arm_records import (
    ArmVerdict,
    MarginShares,
    ReferenceVerdict,
)
from balancer.ablation.arm_results import arm_result
from balancer.ablation.caps import control_caps
from balancer.ablation.ceilings import ceiling_of, room_above
from balancer.ablation.cheapest import as_good_as_gan
from balancer.ablation.differences import ArmRuns, PairedRuns, adjusted, paired, tests_of
from balancer.ablation.harms import harms, watched_metrics
from balancer.ablation.headline import control, headline, positive_control
from balancer.ablation.paired_bootstrap import draw
from balancer.ablation.records import AblateMetrics, AskedQuestion
from balancer.ablation.run_scores import (
    CO_PRIMARY,
    TITLES,
    align,
    compared_keys,
    score_run,
)
from balancer.ablation.runs import GAN_IMAGES, REAL, ArmFacts, Question, Run
from balancer.ablation.subgroups import subgroups
from balancer.errors import ConfigurationError, IntegrityError
from balancer.evaluation.records import Scalar
from balancer.statistics.looks import PlannedLook, information
from balancer.statistics.power import sd_factors
from balancer.statistics.resampled_t import ResampledT
from balancer.statistics.verdict import REFERENCE, Evidence, Verdict, judge


def compare(
    runs: Sequence[Run],
    arms: Sequence[ArmFacts],
    question: Question,
    *,
    caps: Sequence[str] = (),
    n_held_back: float | None = None,
    columns: Mapping[str, Mapping[str, str]] | None = None,
) -> AblateMetrics:
    """Compare every arm with its references.

    Args:
        runs: All finished runs; arms that lack some are compared on those that both have.
        arms: Every arm of the study, `real` among them, in the order of the tables.
        question: The question.
        caps: Reasons why no difference can be trusted, found without the runs; those of the
            negative controls are added.
        n_held_back: Number of different held-back images, mean over the splits.
        columns: Columns of `details.csv` that name subgroups: column to image to cell.

    Returns:
        `question`, `arms`, `caps`, `verdict` and `control`, and `subgroups` where there are
        columns; nothing else.

    Raises:
        ConfigurationError: The primary metric is unknown, or `real` is not among the arms.
        IntegrityError: There is no run, or runs do not belong together.
    """
    _check(runs, arms, question)
    scored = [score_run(run, question) for run in align(list(runs))]
    drawn = draw(scored, question.n_bootstrap, question.seed)
    ratio = _size_ratio(runs)
    by_name: dict[str, ArmRuns] = {}
    for facts in arms:
        mine = sorted(
            (i for i, run in enumerate(scored) if run.run.arm == facts.name),
            key=lambda i: (scored[i].run.fold, scored[i].run.seed),
        )
        by_name[facts.name] = ArmRuns(facts, [scored[i] for i in mine], [drawn[i] for i in mine])
    pairs = {
        name: {
            other: paired(arm, by_name[other], ratio) for other in _references(arm.facts, by_name)
        }
        for name, arm in by_name.items()
    }
    keys = compared_keys(len(runs[0].test.class_names), prior_is_given=question.prior_is_given)
    against = adjusted(
        {
            name: {other: tests_of(pair, keys, question.alpha) for other, pair in mine.items()}
            for name, mine in pairs.items()
        },
        [facts.name for facts in arms if facts.kind == "control"],
    )
    evidence = _evidence(by_name, pairs, question.primary, ratio)
    look = _planned_look(question, ratio)
    caps = [*caps, *_control_caps(arms, evidence, question, look)]
    verdicts = _verdicts(evidence, pairs, question, caps, keys, look)
    results = {
        name: arm_result(arm, against[name], verdicts[name], pairs[name].get(REAL), keys, ratio)
        for name, arm in by_name.items()
    }
    main = next((facts.name for facts in arms if facts.kind == "gan"), None)
    images = next((facts.images for facts in arms if facts.name == main), "")
    asked = _asked(runs[0], question, ratio, main, images)
    as_good: list[str] = []
    if main is not None:
        as_good = as_good_as_gan(
            main,
            {
                facts.name: paired(by_name[facts.name], by_name[main], ratio).t(question.primary)
                for facts in arms
                if facts.kind in ("reference", "cheap")
            },
            margin=question.margin,
            alpha=question.alpha,
        )
    found = AblateMetrics(
        question=asked,
        arms=results,
        caps=tuple(caps),
        verdict=headline(
            results,
            asked,
            caps,
            as_good=as_good,
            blind=positive_control(results, arms, n_held_back, images or GAN_IMAGES),
        ),
        control=control(results, asked, arms, n_held_back),
    )
    if not columns:
        return found
    split = subgroups(by_name, pairs, columns, question.primary, ratio)
    return found.model_copy(update={"subgroups": split})


def _size_ratio(runs: Sequence[Run]) -> float:
    """Return n_test / n_train of Nadeau and Bengio, mean over the runs.

    Their training set is everything outside the test set. Validation images choose the weights, so
    they belong to it; without them, repeated splits of 70/15/15 would claim too little.
    """
    return float(np.mean([run.test_to_train for run in runs]))


def _planned_look(question: Question, ratio: float) -> PlannedLook | None:
    if not question.looks:
        return None
    return PlannedLook(information(question.looks, ratio), question.look)


def _check(runs: Sequence[Run], arms: Sequence[ArmFacts], question: Question) -> None:
    names = [arm.name for arm in arms]
    if question.primary not in TITLES:
        raise ConfigurationError(
            f"The primary metric should be one of {', '.join(TITLES)}, but is {question.primary!r}."
        )
    if REAL not in names or len(set(names)) != len(names):
        raise ConfigurationError(
            f"A study compares arms of different names with {REAL!r}, but has {names}."
        )
    if not runs:
        raise IntegrityError("A comparison takes finished runs, but there are none; run the arms.")
    units = [(run.arm, run.fold, run.seed) for run in runs]
    if len(set(units)) != len(units) or not {run.arm for run in runs} <= set(names):
        raise IntegrityError(
            "Each run should be the only one of its arm, fold and seed, and its arm one of the "
            "study's, but some are not; remove the units of other studies."
        )
    kinds = {(tuple(run.test.class_names), run.positive) for run in runs}
    if len(kinds) != 1:
        raise IntegrityError(
            f"Runs should share classes and the positive class, but there are {sorted(kinds)}; "
            "remove the units of other studies."
        )


def _asked(
    run: Run, question: Question, ratio: float, main: str | None, images: str
) -> AskedQuestion:
    names = run.test.class_names
    shares = map(float, question.deployment_prior.tolist())
    asked = AskedQuestion(
        primary=question.primary,
        primary_title=TITLES[question.primary],
        margin=question.margin,
        alpha=question.alpha,
        specificity=question.specificity,
        positive_class=names[run.positive],
        class_names=tuple(names),
        deployment_prior=dict(zip(names, shares, strict=True)),
        test_to_train=ratio,
        co_primary=CO_PRIMARY,
        secondary=question.secondary,
        prior_is_given=question.prior_is_given,
        decision_threshold=question.acting_at(run.positive),
        main_arm=main,
    )
    more: dict[str, Any] = {}
    if question.looks:
        more = {"looks": question.looks, "look": question.look}
    if question.verdict_on is not None:
        more |= {"verdict_on": question.verdict_on, "verdict_images": len(run.test.labels)}
    if question.rare_images is not None:
        more |= {"rare_images": question.rare_images}
    if images:
        more |= {"main_images": images}
    return asked.model_copy(update=more)


def _references(facts: ArmFacts, arms: dict[str, ArmRuns]) -> list[str]:
    wanted = dict.fromkeys((REAL, facts.duplicates))
    return [name for name in wanted if name is not None and name in arms and name != facts.name]


def _evidence(
    arms: Mapping[str, ArmRuns],
    pairs: Mapping[str, Mapping[str, PairedRuns]],
    primary: str,
    ratio: float,
) -> dict[str, Evidence]:
    """Return the differences that the verdict of each arm but `real` rests on."""
    room = room_above(arms[REAL], primary, ratio)
    controls = [arm for arm in arms.values() if arm.facts.must_not_help]
    return {
        name: Evidence(
            generated=arm.facts.kind == "gan" or arm.facts.beyond_duplicates,
            to_real=pairs[name][REAL].t(primary),
            to_duplicates=next(
                (pair.t(primary) for other, pair in pairs[name].items() if other != REAL), None
            ),
            to_controls={
                other.facts.name: paired(arm, other, ratio).t(primary)
                for other in controls
                if arm.facts.kind == "gan"
            },
            is_control=arm.facts.kind == "control",
            ceiling=ceiling_of(pairs[name][REAL], primary),
            unverified=arm.facts.lineage == "unknown",
            room=room,
        )
        for name, arm in arms.items()
        if name != REAL
    }


def _control_caps(
    arms: Sequence[ArmFacts],
    evidence: Mapping[str, Evidence],
    question: Question,
    look: PlannedLook | None,
) -> list[str]:
    title = TITLES[question.primary]
    judged = judge(
        list(evidence.values()),
        margin=question.margin,
        alpha=question.alpha,
        title=title,
        look=look,
    )
    return control_caps(
        arms,
        dict(zip(evidence, judged, strict=True)),
        {name: one.to_real for name, one in evidence.items()},
        title,
    )


def _verdicts(
    evidence: Mapping[str, Evidence],
    pairs: Mapping[str, Mapping[str, PairedRuns]],
    question: Question,
    caps: Sequence[str],
    keys: Sequence[str],
    look: PlannedLook | None,
) -> dict[str, ArmVerdict | ReferenceVerdict]:
    judged = judge(
        list(evidence.values()),
        margin=question.margin,
        alpha=question.alpha,
        title=TITLES[question.primary],
        caps=caps,
        look=look,
    )
    roles = {name: one.role for name, one in zip(evidence, judged, strict=True)}
    to_real = {name: pairs[name][REAL] for name in evidence}
    harmed = harms(to_real, roles, watched_metrics(question, keys), question.alpha)
    verdicts: dict[str, ArmVerdict | ReferenceVerdict] = {
        name: ArmVerdict(
            word=verdict.word,
            uncapped=verdict.uncapped,
            difference=_as_scalar(evidence[name].to_real),
            p_holm=verdict.p_holm,
            p_helps=verdict.p_helps,
            p_hurts=verdict.p_hurts,
            p_equivalent=verdict.p_equivalent,
            detectable=verdict.detectable,
            sentence=verdict.sentence,
            role=verdict.role,
            **_detectable_ends(verdict, evidence[name]),
            shares=_shares(evidence[name], question.margin),
            nothing_to_gain=evidence[name].ceiling is not None,
            harms=harmed[name],
            **_to_controls(evidence[name]),
        )
        for name, verdict in zip(evidence, judged, strict=True)
    }
    verdicts[REAL] = ReferenceVerdict(
        p_holm=None,
        p_helps=None,
        p_hurts=None,
        p_equivalent=None,
        detectable=None,
        word=REFERENCE,
        uncapped=REFERENCE,
        difference=Scalar(value=None, low=None, high=None, reason="the reference itself"),
        sentence="Reference: the other arms are compared with this one.",
    )
    return verdicts


def _detectable_ends(verdict: Verdict, evidence: Evidence) -> dict[str, Any]:
    if verdict.detectable is None or evidence.to_real is None:
        return {}
    low, high = sd_factors(evidence.to_real.df)
    return {
        "detectable_low": low * verdict.detectable,
        "detectable_high": high * verdict.detectable,
    }


def _shares(evidence: Evidence, margin: float) -> MarginShares | None:
    found = None if evidence.to_real is None else evidence.to_real.shares(margin)
    if found is None:
        return None
    return MarginShares(better=found.better, within=found.within, worse=found.worse)


def _to_controls(evidence: Evidence) -> dict[str, Any]:
    """Return the differences to the negative controls as a field; nothing where there are none."""
    found = {name: _as_scalar(t) for name, t in evidence.to_controls.items()}
    return {"to_controls": found} if found else {}


def _as_scalar(t: ResampledT | None) -> Scalar:
    if t is None:
        return Scalar(value=None, low=None, high=None, reason="no run of both arms defines it")
    low, high = t.interval() or (None, None)
    return Scalar(value=t.mean, low=low, high=high)
