"""Results of one arm: means over its runs, their spread, calibration, times and each run."""

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
from balancer.ablation.decision_curve import decision_curve
from balancer.ablation.differences import ArmRuns, PairedRuns
from balancer.ablation.run_scores import (
    CALIBRATION,
    CO_PRIMARY,
    COMPARED,
    LOSSES,
    NET_BENEFIT,
    TITLES,
)

_STATES = ("raw", "recalibrated")
_RANGES = {
    "mcc": (-1.0, 1.0),
    NET_BENEFIT: (-np.inf, 1.0),
    **dict.fromkeys(LOSSES, (0.0, np.inf)),
    **{
        f"{name}_{state}": (-np.inf, np.inf) for name in ("slope", "intercept") for state in _STATES
    },
}
"""Range of a metric, default 0 to 1; it bounds the interval of a mean."""


def arm_result(
    arm: ArmRuns,
    against: Mapping[str, ReferenceTests],
    verdict: ArmVerdict | ReferenceVerdict,
    to_real: PairedRuns | None,
    keys: Sequence[str],
    ratio: float,
) -> ArmResult:
    """Collect the results of one arm.

    Args:
        arm: Its finished runs.
        against: Reference to the tests against it.
        verdict: Its verdict.
        to_real: Its runs paired with `real`; None of `real` itself.
        keys: Keys of the metrics that the study has.
        ratio: Test images per image outside the test split.
    """
    seconds = [run.run.seconds for run in arm.runs]
    calibration: dict[str, dict[str, Level]] = {
        state: {name: _level(arm, f"{name}_{state}", ratio) for name in CALIBRATION}
        for state in _STATES
    }
    if "brier_corrected" in keys:
        calibration["corrected"] = {"brier": _level(arm, "brier_corrected", ratio)}
    return ArmResult(
        kind=arm.facts.kind,
        describes=arm.facts.describes,
        n_runs=len(arm.runs),
        minutes=float(np.mean(seconds)) / 60 if seconds else None,
        metrics={
            key: _level(arm, key, ratio) for key in keys if key in TITLES or key == CO_PRIMARY
        },
        calibration=Calibration(**calibration),
        per_run=tuple(
            RunScores(
                fold=run.run.fold,
                seed=run.run.seed,
                threshold=run.run.threshold,
                **{
                    key: None if np.isnan(v) else v
                    for key, v in run.values.items()
                    if key in keys or key not in COMPARED
                },
            )
            for run in arm.runs
        ),
        against=against,
        verdict=verdict,
        minutes_per_split=_minutes_per_split(arm),
        # On images that all runs share the spread over the splits is too small.
        decision=() if arm.same_cases else decision_curve(arm.runs, to_real, ratio),
    )


def _minutes_per_split(arm: ArmRuns) -> float | None:
    """Return the time of all seeds of a split and of the images they share, mean over splits."""
    trainings: dict[str, float] = {}
    images: dict[str, float] = {}
    for scored in arm.runs:
        run = scored.run
        trainings[run.fold] = trainings.get(run.fold, 0.0) + run.seconds
        images[run.fold] = run.seconds_of_images
    if not trainings:
        return None
    return float(np.mean([trainings[fold] + images[fold] for fold in trainings])) / 60


def _level(arm: ArmRuns, key: str, ratio: float) -> Level:
    """Return the mean of a metric over the runs, with both sources of variance."""
    t = arm.t(key, ratio)
    kept = [run for run in arm.runs if not np.isnan(run.values[key])]
    skipped = next((run.reasons[key] for run in arm.runs if key in run.reasons), None)
    if t is None:
        reason = skipped or "no run of the arm has finished"
        return Level(
            value=None, low=None, high=None, sd_runs=None, sd_cases=None, n=0, reason=reason
        )
    values = np.array([run.values[key] for run in kept])
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
