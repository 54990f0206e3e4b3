"""Curves of an arm over all its runs, with bands that hold both sources of variance.

A band is a bootstrap in two steps: runs are drawn with replacement, and so are groups (patients)
over the whole data set, a group drawn twice counting twice in every run that tested it.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from balancer.report.units import Floats, Unit

GRID = np.linspace(0, 1, 101)
N_RESAMPLES = 200
_PERCENTILES = (2.5, 97.5)
_MAX_BINS, _LEAST_IN_BIN = 10, 10
_Curve = Callable[[Floats, NDArray[np.bool_], Floats], Floats]


@dataclass(frozen=True, slots=True)
class Band:
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
class Share:
    """An observed share and its 95 % interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Bin:
    """Predictions of about one size, and how often they came true.

    Attributes:
        predicted: Mean predicted probability.
        observed: Share of the positive class.
        n: Predictions in the bin, over all runs.
    """

    predicted: float
    observed: Share
    n: int


def roc_band(units: Sequence[Unit], positive: int, seed: int) -> Band | None:
    """Sensitivity at each false positive rate; None where no run tested both classes."""
    return _band([unit for unit in units if _has_both(unit, positive)], positive, seed, _roc)


def precision_recall_band(units: Sequence[Unit], positive: int, seed: int) -> Band | None:
    """Precision at each recall; None where no run tested both classes."""
    return _band([unit for unit in units if _has_both(unit, positive)], positive, seed, _precision)


def reliability(
    units: Sequence[Unit], positive: int, seed: int, deployed: Floats | None = None
) -> list[Bin] | None:
    """Observed shares in bins that hold about as many predictions each, pooled over the runs.

    Args:
        units: Runs of one arm.
        positive: Number of the positive class.
        seed: Of the resampling.
        deployed: Class shares to correct to first; see `Unit.corrected_scores`.

    Returns:
        At most ten bins; None where a correction is wanted but cannot be made.
    """
    given = [
        unit.scores(positive) if deployed is None else unit.corrected_scores(positive, deployed)
        for unit in units
    ]
    scores = [score for score in given if score is not None]
    if len(scores) < len(units) or not scores:
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
    is_positive = [unit.positives(positive) for unit in units]
    shares = _shares(units, places, is_positive, size, seed)
    return [
        Bin(float(total[bin_] / n[bin_]), shares[bin_], int(n[bin_]))
        for bin_ in range(size)
        if n[bin_]
    ]


def confusion(units: Sequence[Unit], positive: int, seed: int) -> list[list[Share | None]]:
    """Of each true class, the shares predicted as each class, pooled over the runs.

    Returns:
        (C, C), rows: true class; a class that no run tested has None.
    """
    labels = [unit.predictions.labels for unit in units]
    n_classes = len(units[0].predictions.class_names)
    table: list[list[Share | None]] = []
    for predicted in range(n_classes):
        hits = [unit.predicted(positive) == predicted for unit in units]
        column = _shares(units, labels, hits, n_classes, seed)
        table.append([None if np.isnan(share.value) else share for share in column])
    return [list(row) for row in zip(*table, strict=True)]


def mean_counts(units: Sequence[Unit], positive: int) -> Floats:
    """Mean confusion matrix of a run, float64 (C, C); rows: true class."""
    n_classes = len(units[0].predictions.class_names)
    total = np.zeros((n_classes, n_classes))
    for unit in units:
        np.add.at(total, (unit.predictions.labels, unit.predicted(positive)), 1)
    return total / len(units)


def _has_both(unit: Unit, positive: int) -> bool:
    is_positive = unit.positives(positive)
    return bool(is_positive.any() and not is_positive.all())


def _resamples(units: Sequence[Unit], seed: int) -> tuple[NDArray[np.float64], list[Floats]]:
    """Weights of the runs, (B, R), and of the images of each run, (B, N) each."""
    rng = np.random.default_rng(seed)
    names = sorted({group for unit in units for group in unit.predictions.groups})
    number = {name: place for place, name in enumerate(names)}
    runs = rng.multinomial(len(units), np.full(len(units), 1 / len(units)), N_RESAMPLES)
    drawn = rng.integers(len(names), size=(N_RESAMPLES, len(names)))
    drawn += np.arange(N_RESAMPLES)[:, None] * len(names)
    counts = np.bincount(drawn.ravel(), minlength=N_RESAMPLES * len(names))
    of_groups = counts.reshape(N_RESAMPLES, len(names)).astype(np.float64)
    members = [[number[group] for group in unit.predictions.groups] for unit in units]
    return runs.astype(np.float64), [of_groups[:, member] for member in members]


def _band(units: Sequence[Unit], positive: int, seed: int, curve: _Curve) -> Band | None:
    if not units:
        return None
    runs, weights = _resamples(units, seed)
    total, counted = np.zeros((N_RESAMPLES, len(GRID))), np.zeros((N_RESAMPLES, 1))
    means = []
    for number, unit in enumerate(units):
        scores, is_positive = unit.scores(positive), unit.positives(positive)
        means.append(curve(scores, is_positive, np.ones((1, len(scores))))[0])
        sampled = curve(scores, is_positive, weights[number])
        defined = ~np.isnan(sampled).any(axis=1, keepdims=True)
        weight = runs[:, [number]] * defined
        total += weight * np.nan_to_num(sampled)
        counted += weight
    usable = counted[:, 0] > 0
    low, high = np.percentile(total[usable] / counted[usable], _PERCENTILES, axis=0)
    return Band(GRID, np.mean(means, axis=0), low, high)


def _ranked(
    scores: Floats, is_positive: NDArray[np.bool_], weights: Floats
) -> Iterator[tuple[Floats, Floats]]:
    """Found and false alarms at each distinct score from the top, per resample, each (U + 1,)."""
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
        # The first threshold that reaches a recall; between two points there is no straight line.
        place = np.searchsorted(found / found[-1], np.maximum(GRID, 1e-9) - 1e-12)
        rows.append(found[place] / (found[place] + alarms[place]))
    return np.array(rows)


def _shares(
    units: Sequence[Unit],
    cells: Sequence[NDArray[np.int64]],
    hits: Sequence[NDArray[np.bool_]],
    n_cells: int,
    seed: int,
) -> list[Share]:
    """Per cell the share of hits among its images, pooled over runs; NaN where it is empty."""
    runs, weights = _resamples(units, seed)
    above, below = np.zeros((2, N_RESAMPLES, n_cells))
    plain_above, plain_below = np.zeros((2, n_cells))
    for number, (cell, hit) in enumerate(zip(cells, hits, strict=True)):
        member = np.eye(n_cells)[cell]
        weighted = weights[number] * runs[:, [number]]
        below += weighted @ member
        above += weighted @ (member * hit[:, None])
        plain_below += member.sum(axis=0)
        plain_above += (member * hit[:, None]).sum(axis=0)
    shares = []
    for place in range(n_cells):
        kept = below[:, place] > 0
        if not plain_below[place] or not kept.any():
            shares.append(Share(np.nan, np.nan, np.nan))
            continue
        low, high = np.percentile(above[kept, place] / below[kept, place], _PERCENTILES)
        shares.append(Share(plain_above[place] / plain_below[place], float(low), float(high)))
    return shares
