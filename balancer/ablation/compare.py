"""All arms of a study against real images alone and against repeated real ones.

Runs are paired by fold and seed. Seeds of one split are averaged first, so that k, the number of
values of an interval, is the number of splits.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from balancer.ablation.arm_records import (
    ArmResult,
    ArmVerdict,
    Calibration,
    Level,
    ReferenceTests,
    ReferenceVerdict,
    RunScores,
)
from balancer.ablation.caps import control_caps
from balancer.ablation.differences import ArmRuns, PairedRuns, adjusted, paired, tests_of
from balancer.ablation.headline import control, headline, positive_control
from balancer.ablation.paired_bootstrap import draw
from balancer.ablation.records import AblateMetrics, AskedQuestion
from balancer.ablation.run_scores import CALIBRATION, COMPARED, TITLES, align, score_run
from balancer.ablation.runs import REAL, ArmFacts, Question, Run
from balancer.errors import ConfigurationError, IntegrityError
from balancer.evaluation.records import Scalar
from balancer.statistics.resampled_t import ResampledT, mean_by_split, resampled_t
from balancer.statistics.verdict import REFERENCE, Evidence, judge

_RANGES = {"mcc": (-1.0, 1.0)} | {
    f"{name}_{state}": (-np.inf, np.inf)
    for name in ("slope", "intercept")
    for state in ("raw", "corrected")
}
"""Range of a metric, default 0 to 1; it bounds the interval of a mean."""


def compare(
    runs: Sequence[Run],
    arms: Sequence[ArmFacts],
    question: Question,
    *,
    caps: Sequence[str] = (),
    n_held_back: float | None = None,
) -> AblateMetrics:
    """Compare every arm with its references.

    Args:
        runs: All finished runs; arms that lack some are compared on those that both have.
        arms: Every arm of the study, `real` among them, in the order of the tables.
        question: The question, fixed before any run.
        caps: Reasons why no difference can be trusted, found without the runs; those of the
            negative controls are added.
        n_held_back: Number of different held-back images, mean over the splits.

    Returns:
        `question`, `arms`, `caps`, `verdict` and `control`; nothing else.

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
    against = adjusted(
        {
            name: {other: tests_of(pair, question.alpha) for other, pair in mine.items()}
            for name, mine in pairs.items()
        }
    )
    evidence = _evidence(by_name, pairs, question.primary, ratio)
    caps = [*caps, *_control_caps(arms, evidence, question)]
    verdicts = _verdicts(evidence, question, caps)
    results = {
        name: _arm_result(arm, against[name], verdicts[name], ratio)
        for name, arm in by_name.items()
    }
    asked = _asked(runs[0], question, ratio)
    return AblateMetrics(
        question=asked,
        arms=results,
        caps=tuple(caps),
        verdict=headline(results, asked, caps, positive_control(results, arms, n_held_back)),
        control=control(results, asked, arms, n_held_back),
    )


def _size_ratio(runs: Sequence[Run]) -> float:
    """Return n_test / n_train of Nadeau and Bengio, mean over the runs.

    Their training set is everything outside the test set. Validation images choose the weights, so
    they belong to it; without them, repeated splits of 70/15/15 would claim too little.
    """
    return float(np.mean([len(run.test.labels) / run.n_outside for run in runs]))


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


def _asked(run: Run, question: Question, ratio: float) -> AskedQuestion:
    names = run.test.class_names
    shares = map(float, question.deployment_prior.tolist())
    return AskedQuestion(
        primary=question.primary,
        primary_title=TITLES[question.primary],
        margin=question.margin,
        alpha=question.alpha,
        specificity=question.specificity,
        positive_class=names[run.positive],
        class_names=tuple(names),
        deployment_prior=dict(zip(names, shares, strict=True)),
        test_to_train=ratio,
    )


def _references(facts: ArmFacts, arms: dict[str, ArmRuns]) -> list[str]:
    wanted = dict.fromkeys((REAL, facts.duplicates))
    return [name for name in wanted if name is not None and name in arms and name != facts.name]


def _arm_result(
    arm: ArmRuns,
    against: Mapping[str, ReferenceTests],
    verdict: ArmVerdict | ReferenceVerdict,
    ratio: float,
) -> ArmResult:
    seconds = [run.run.seconds for run in arm.runs]
    return ArmResult(
        kind=arm.facts.kind,
        describes=arm.facts.describes,
        n_runs=len(arm.runs),
        minutes=float(np.mean(seconds)) / 60 if seconds else None,
        metrics={key: _level(arm, key, ratio) for key in TITLES},
        calibration=Calibration(
            raw={name: _level(arm, f"{name}_raw", ratio) for name in CALIBRATION},
            corrected={name: _level(arm, f"{name}_corrected", ratio) for name in CALIBRATION},
        ),
        per_run=tuple(
            RunScores(
                fold=run.run.fold,
                seed=run.run.seed,
                threshold=run.run.threshold,
                **{key: None if np.isnan(v) else v for key, v in run.values.items()},
            )
            for run in arm.runs
        ),
        against=against,
        verdict=verdict,
    )


def _level(arm: ArmRuns, key: str, ratio: float) -> Level:
    """Return the mean of a metric over the runs, with both sources of variance."""
    kept = [run for run in arm.runs if not np.isnan(run.values[key])]
    skipped = next((run.reasons[key] for run in arm.runs if key in run.reasons), None)
    if not kept:
        reason = skipped or "no run of the arm has finished"
        return Level(
            value=None, low=None, high=None, sd_runs=None, sd_cases=None, n=0, reason=reason
        )
    values = np.array([run.values[key] for run in kept])
    t = resampled_t(mean_by_split(values, [run.run.fold for run in kept]), ratio)
    # Equal values on all splits give no estimate of the spread; see `PairedRuns.t`.
    ends = (t.interval() if t.se else None) or (None, None)
    floor, ceiling = _RANGES.get(key, (0.0, 1.0))
    level = Level(
        value=t.mean,
        low=None if ends[0] is None else max(ends[0], floor),
        high=None if ends[1] is None else min(ends[1], ceiling),
        sd_runs=float(values.std(ddof=1)) if len(values) > 1 else None,
        sd_cases=_sd_of_cases(arm, key),
        n=len(kept),
    )
    if len(kept) == len(arm.runs):
        return level
    why = f"{len(arm.runs) - len(kept)} of {len(arm.runs)} runs: {skipped}"
    return level.model_copy(update={"skipped": why})


def _sd_of_cases(arm: ArmRuns, key: str) -> float | None:
    if key not in COMPARED:
        return None
    spreads = []
    for draws in arm.draws:
        defined = draws[COMPARED.index(key)]
        defined = defined[~np.isnan(defined)]
        if len(defined) > 1:
            spreads.append(defined.std(ddof=1))
    return float(np.mean(spreads)) if spreads else None


def _evidence(
    arms: Mapping[str, ArmRuns],
    pairs: Mapping[str, Mapping[str, PairedRuns]],
    primary: str,
    ratio: float,
) -> dict[str, Evidence]:
    """Return the differences that the verdict of each arm but `real` rests on."""
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
        )
        for name, arm in arms.items()
        if name != REAL
    }


def _control_caps(
    arms: Sequence[ArmFacts], evidence: Mapping[str, Evidence], question: Question
) -> list[str]:
    title = TITLES[question.primary]
    judged = judge(
        list(evidence.values()), margin=question.margin, alpha=question.alpha, title=title
    )
    return control_caps(
        arms,
        dict(zip(evidence, judged, strict=True)),
        {name: one.to_real for name, one in evidence.items()},
        title,
    )


def _verdicts(
    evidence: Mapping[str, Evidence], question: Question, caps: Sequence[str]
) -> dict[str, ArmVerdict | ReferenceVerdict]:
    judged = judge(
        list(evidence.values()),
        margin=question.margin,
        alpha=question.alpha,
        title=TITLES[question.primary],
        caps=caps,
    )
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


def _to_controls(evidence: Evidence) -> dict[str, dict[str, Scalar]]:
    """Return the differences to the negative controls as a field; nothing where there are none."""
    found = {name: _as_scalar(t) for name, t in evidence.to_controls.items()}
    return {"to_controls": found} if found else {}


def _as_scalar(t: ResampledT | None) -> Scalar:
    if t is None:
        return Scalar(value=None, low=None, high=None, reason="no run of both arms defines it")
    low, high = t.interval() or (None, None)
    return Scalar(value=t.mean, low=low, high=high)
