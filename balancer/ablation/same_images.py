"""Means over the runs of each arm on the very same images, with the spread that these cause.

For data sets that all runs are tested on whole: those from elsewhere, and sources left out. The
spread of the splits is in the main comparison.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from balancer.ablation.paired_bootstrap import draw, mean_over_runs, percentile_interval
from balancer.ablation.run_scores import COMPARED, TITLES, score_run
from balancer.ablation.runs import REAL, Question, Run


def compare_on_same_images(runs: Sequence[Run], question: Question) -> dict[str, Any]:
    """Tabulate runs that were tested on one set of images.

    Returns:
        Per arm in `arms`, `metrics` and `difference_to_real` as `{"value", "low", "high"}`.
    """
    scored = [score_run(run, question) for run in runs]
    drawn = draw(scored, question.n_bootstrap, question.seed)
    rows = {
        arm: [row for row, run in enumerate(runs) if run.arm == arm]
        for arm in dict.fromkeys(run.arm for run in runs)
    }

    def interval(key: str, own: Sequence[int], other: Sequence[int] = ()) -> dict[str, Any]:
        values = [scored[row].values[key] for row in own]
        base = [scored[row].values[key] for row in other]
        if np.isnan([*values, *base]).any():
            reason = next(
                (scored[row].reasons[key] for row in own if key in scored[row].reasons),
                "it is undefined for a run",
            )
            return {"value": None, "low": None, "high": None, "reason": reason}
        place = COMPARED.index(key)
        draws = _mean_draws(drawn, runs, own, place)
        value = float(np.mean(values))
        if other:
            draws = draws - _mean_draws(drawn, runs, other, place)
            value -= float(np.mean(base))
        return {"value": value} | percentile_interval(draws)

    arms: dict[str, Any] = {}
    for arm, own in rows.items():
        arms[arm] = {"metrics": {key: interval(key, own) for key in TITLES}, "n_runs": len(own)}
        if arm != REAL and REAL in rows:
            paired = _paired(runs, own, rows[REAL])
            arms[arm]["difference_to_real"] = {
                key: interval(key, [row for row, _ in paired], [row for _, row in paired])
                for key in TITLES
            }
    return {"arms": arms}


def _mean_draws(
    drawn: Sequence[np.ndarray], runs: Sequence[Run], rows: Sequence[int], place: int
) -> np.ndarray:
    return mean_over_runs(
        np.stack([drawn[row][place] for row in rows]), [runs[row].fold for row in rows]
    )


def _paired(runs: Sequence[Run], own: Sequence[int], other: Sequence[int]) -> list[tuple[int, int]]:
    of = {(runs[row].fold, runs[row].seed): row for row in other}
    keys = {row: (runs[row].fold, runs[row].seed) for row in own}
    return [(row, of[key]) for row, key in keys.items() if key in of]
