"""Comparison of runs that were all tested on the same images: other data sets, left-out sources.

The spread is that of these images alone; that of the splits is in the main comparison.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from balancer.ablation.elsewhere_records import SameImagesArm, SourceTest, SourceTests
from balancer.ablation.folds import Fold
from balancer.ablation.paired_bootstrap import draw, mean_over_runs, percentile_interval
from balancer.ablation.run_scores import CO_PRIMARY, COMPARED, TITLES, compared_keys, score_run
from balancer.ablation.runs import REAL, Question, Run
from balancer.evaluation.records import Scalar


def compare_on_same_images(runs: Sequence[Run], question: Question) -> dict[str, SameImagesArm]:
    """Compute the mean of each metric over the runs of each arm, and its difference to `real`."""
    if not runs:  # all were trained again, so the classifiers of the study are gone
        return {}
    scored = [score_run(run, question) for run in runs]
    drawn = draw(scored, question.n_bootstrap, question.seed)
    n_classes = max((len(run.test.class_names) for run in runs), default=2)
    keys = [
        key
        for key in compared_keys(n_classes, prior_is_given=question.prior_is_given)
        if key in TITLES or key == CO_PRIMARY
    ]
    rows = {
        arm: [row for row, run in enumerate(runs) if run.arm == arm]
        for arm in dict.fromkeys(run.arm for run in runs)
    }

    def interval(key: str, own: Sequence[int], other: Sequence[int] = ()) -> Scalar:
        values = [scored[row].values[key] for row in own]
        base = [scored[row].values[key] for row in other]
        if np.isnan([*values, *base]).any():
            reason = next(
                (scored[row].reasons[key] for row in own if key in scored[row].reasons),
                "it is undefined for a run",
            )
            return Scalar(value=None, low=None, high=None, reason=reason)
        place = COMPARED.index(key)
        draws = _mean_draws(drawn, runs, own, place)
        value = float(np.mean(values))
        if other:
            draws = draws - _mean_draws(drawn, runs, other, place)
            value -= float(np.mean(base))
        bounds = percentile_interval(draws)
        return Scalar(value=value, low=bounds.low, high=bounds.high)

    arms: dict[str, SameImagesArm] = {}
    for arm, own in rows.items():
        metrics = {key: interval(key, own) for key in keys}
        arms[arm] = SameImagesArm(metrics=metrics, n_runs=len(own))
        if arm != REAL and REAL in rows:
            paired = _paired(runs, own, rows[REAL])
            mine, reference = [row for row, _ in paired], [row for _, row in paired]
            differences = {key: interval(key, mine, reference) for key in keys}
            arms[arm] = arms[arm].model_copy(update={"difference_to_real": differences})
    return arms


def compare_sources(
    runs: Sequence[Run], question: Question, folds: Mapping[str, Fold], reasons: Mapping[str, str]
) -> SourceTests:
    """Compare the arms on each source that no training or validation image is from.

    Args:
        runs: Runs of all folds; those that leave a source out are used.
        question: The question.
        folds: Source to fold.
        reasons: Other sources, and why they are not left out.
    """
    tested = {}
    for source, fold in folds.items():
        mine = [run for run in runs if run.fold == fold.name]
        if mine:
            names = mine[0].test.class_names
            counts = np.bincount(mine[0].test.labels, minlength=len(names))
            n = {name: int(count) for name, count in zip(names, counts, strict=True)}
            tested[source] = SourceTest(
                n=n,
                arms=compare_on_same_images(mine, question),
                of_others=_of_others(fold, source),
            )
    return SourceTests(tested=tested, reasons=dict(reasons))


def _of_others(fold: Fold, source: str) -> tuple[str, ...]:
    tested = [record for record in fold.records if record.split == "test"]
    return tuple(sorted({record.label for record in tested if record.source != source}))


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
