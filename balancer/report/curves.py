"""Curves of an arm over all its runs, with bands for both sources of variance.

A band is a bootstrap in two steps: runs are drawn with replacement, and so are groups (patients)
over the whole data set, a group drawn twice counting twice in every run that tested it.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from balancer.ablation.run_predictions import Floats, RunPredictions

GRID = np.linspace(0, 1, 101)
N_RESAMPLES = 200
_PERCENTILES = (2.5, 97.5)
_MAX_BINS, _LEAST_IN_BIN = 10, 10
_Curve = Callable[[Floats, NDArray[np.bool_], Floats], Floats]


@dataclass(frozen=True, slots=True)
class CurveBand:
    """A curve over a grid.

    Attributes:
        x: float64 (G,).
        mean: float64 (G,), the mean over the runs.
        low: float64 (G,), 2.5th percentile of the resamples.
        high: float64 (G,), 97.5th.
    """

    x: Floats
    mean: Floats
    low: Floats
    high: Floats


@dataclass(frozen=True, slots=True)
class ObservedShare:
    """An observed share with its 95 % interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Bin:
    """Predictions of similar size, and the share of the positive class among them.

    Attributes:
        predicted: Mean predicted probability.
        observed: ObservedShare of the positive class.
        n: Number of predictions in the bin, over all runs.
    """

    predicted: float
    observed: ObservedShare
    n: int


def roc_band(runs: Sequence[RunPredictions], positive: int, seed: int) -> CurveBand | None:
    """Compute sensitivity at each false positive rate; None where no run tested both classes."""
    return _band([run for run in runs if _has_both(run, positive)], positive, seed, _roc)


def precision_recall_band(
    runs: Sequence[RunPredictions], positive: int, seed: int
) -> CurveBand | None:
    """Compute precision at each recall; None where no run tested both classes."""
    return _band([run for run in runs if _has_both(run, positive)], positive, seed, _precision)


def reliability(
    runs: Sequence[RunPredictions], positive: int, seed: int, *, recalibrated: bool = False
) -> list[Bin] | None:
    """Compute observed shares in bins of about equal size, pooled over the runs.

    Args:
        runs: Runs of one arm.
        positive: Number of the positive class.
        seed: Seed for the resampling.
        recalibrated: Recalibrate them; see `RunPredictions.recalibrated_scores`.

    Returns:
        At most ten bins; None where a run cannot be recalibrated.
    """
    given = [
        run.recalibrated_scores(positive) if recalibrated else run.scores(positive) for run in runs
    ]
    scores = [score for score in given if score is not None]
    if len(scores) < len(runs) or not scores:
        return None
    pooled = np.concatenate(scores)
    n_bins = int(np.clip(len(pooled) // _LEAST_IN_BIN, 1, _MAX_BINS))
    edges = np.unique(np.quantile(pooled, np.linspace(0, 1, n_bins + 1)))[1:-1]
    places = [np.searchsorted(edges, score, side="right") for score in scores]
    size = len(edges) + 1
    n = np.sum([np.bincount(place, minlength=size) for place in places], axis=0)
    total = np.sum(
        [np.bincount(p, s, minlength=size) for p, s in zip(places, scores, strict=True)], axis=0
    )
    is_positive = [run.positives(positive) for run in runs]
    shares = _shares(runs, places, is_positive, size, seed)
    return [
        Bin(float(total[bin_] / n[bin_]), shares[bin_], int(n[bin_]))
        for bin_ in range(size)
        if n[bin_]
    ]


def confusion(
    runs: Sequence[RunPredictions], positive: int, seed: int
) -> list[list[ObservedShare | None]]:
    """Compute the shares of each true class predicted as each class, pooled over the runs.

    Returns:
        (C, C), rows: true class; None for a class that no run tested.
    """
    labels = [run.predictions.labels for run in runs]
    n_classes = len(runs[0].predictions.class_names)
    table: list[list[ObservedShare | None]] = []
    for predicted in range(n_classes):
        hits = [run.predicted(positive) == predicted for run in runs]
        column = _shares(runs, labels, hits, n_classes, seed)
        table.append([None if np.isnan(share.value) else share for share in column])
    return [list(row) for row in zip(*table, strict=True)]


def mean_counts(runs: Sequence[RunPredictions], positive: int) -> Floats:
    """Compute the mean confusion matrix of a run, float64 (C, C); rows: true class."""
    n_classes = len(runs[0].predictions.class_names)
    total = np.zeros((n_classes, n_classes))
    for run in runs:
        np.add.at(total, (run.predictions.labels, run.predicted(positive)), 1)
    return total / len(runs)


def _has_both(run: RunPredictions, positive: int) -> bool:
    is_positive = run.positives(positive)
    return bool(is_positive.any() and not is_positive.all())


def _resamples(
    runs: Sequence[RunPredictions], seed: int
) -> tuple[NDArray[np.float64], list[Floats]]:
    """Draw weights of the runs, (B, R), and of the images of each run, (B, N) each."""
    rng = np.random.default_rng(seed)
    names = sorted({group for run in runs for group in run.predictions.groups})
    number = {name: place for place, name in enumerate(names)}
    of_runs = rng.multinomial(len(runs), np.full(len(runs), 1 / len(runs)), N_RESAMPLES)
    drawn = rng.integers(len(names), size=(N_RESAMPLES, len(names)))
    drawn += np.arange(N_RESAMPLES)[:, None] * len(names)
    counts = np.bincount(drawn.ravel(), minlength=N_RESAMPLES * len(names))
    of_groups = counts.reshape(N_RESAMPLES, len(names)).astype(np.float64)
    members = [[number[group] for group in run.predictions.groups] for run in runs]
    return of_runs.astype(np.float64), [of_groups[:, member] for member in members]


def _band(
    runs: Sequence[RunPredictions], positive: int, seed: int, curve: _Curve
) -> CurveBand | None:
    if not runs:
        return None
    of_runs, weights = _resamples(runs, seed)
    total, counted = np.zeros((N_RESAMPLES, len(GRID))), np.zeros((N_RESAMPLES, 1))
    means = []
    for number, run in enumerate(runs):
        scores, is_positive = run.scores(positive), run.positives(positive)
        means.append(curve(scores, is_positive, np.ones((1, len(scores))))[0])
        sampled = curve(scores, is_positive, weights[number])
        defined = ~np.isnan(sampled).any(axis=1, keepdims=True)
        weight = of_runs[:, [number]] * defined
        total += weight * np.nan_to_num(sampled)
        counted += weight
    usable = counted[:, 0] > 0
    low, high = np.percentile(total[usable] / counted[usable], _PERCENTILES, axis=0)
    return CurveBand(GRID, np.mean(means, axis=0), low, high)


def _ranked(
    scores: Floats, is_positive: NDArray[np.bool_], weights: Floats
) -> Iterator[tuple[Floats, Floats]]:
    """Yield hits and false alarms at each distinct score from the top, per resample: (U + 1,)."""
    order = np.argsort(-scores, kind="stable")
    ends = np.flatnonzero(np.append(np.diff(scores[order]) != 0, True))
    ranked, truth = weights[:, order], is_positive[order]
    found = np.cumsum(ranked * truth, axis=1)[:, ends]
    alarms = np.cumsum(ranked * ~truth, axis=1)[:, ends]
    for one, other in zip(found, alarms, strict=True):
        yield np.append(0.0, one), np.append(0.0, other)


def _roc(scores: Floats, is_positive: NDArray[np.bool_], weights: Floats) -> Floats:
    rows = []
    for found, alarms in _ranked(scores, is_positive, weights):
        if not (found[-1] and alarms[-1]):
            rows.append(np.full(len(GRID), np.nan))
            continue
        rows.append(np.interp(GRID, alarms / alarms[-1], found / found[-1]))
    return np.array(rows)


def _precision(scores: Floats, is_positive: NDArray[np.bool_], weights: Floats) -> Floats:
    rows = []
    for found, alarms in _ranked(scores, is_positive, weights):
        if not (found[-1] and alarms[-1]):
            rows.append(np.full(len(GRID), np.nan))
            continue
        # The first threshold that reaches a recall: precision is not linear between two points.
        place = np.searchsorted(found / found[-1], np.maximum(GRID, 1e-9) - 1e-12)
        rows.append(found[place] / (found[place] + alarms[place]))
    return np.array(rows)


def _shares(
    runs: Sequence[RunPredictions],
    cells: Sequence[NDArray[np.int64]],
    hits: Sequence[NDArray[np.bool_]],
    n_cells: int,
    seed: int,
) -> list[ObservedShare]:
    """Compute the share of hits among each cell's images, over all runs; NaN where it is empty."""
    of_runs, weights = _resamples(runs, seed)
    above, below = np.zeros((2, N_RESAMPLES, n_cells))
    plain_above, plain_below = np.zeros((2, n_cells))
    for number, (cell, hit) in enumerate(zip(cells, hits, strict=True)):
        member = np.eye(n_cells)[cell]
        weighted = weights[number] * of_runs[:, [number]]
        below += weighted @ member
        above += weighted @ (member * hit[:, None])
        plain_below += member.sum(axis=0)
        plain_above += (member * hit[:, None]).sum(axis=0)
    shares = []
    for place in range(n_cells):
        kept = below[:, place] > 0
        if not plain_below[place] or not kept.any():
            shares.append(ObservedShare(np.nan, np.nan, np.nan))
            continue
        low, high = np.percentile(above[kept, place] / below[kept, place], _PERCENTILES)
        shares.append(
            ObservedShare(plain_above[place] / plain_below[place], float(low), float(high))
        )
    return shares
