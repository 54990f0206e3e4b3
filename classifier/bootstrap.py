"""Test metrics on many resamples of the groups at once, in closed form.

A resample gives each image a weight, the number of times its group was drawn; every metric is then
a ratio of weighted counts, and one matrix product serves all resamples.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

Floats = NDArray[np.float64]
ECE_BINS = 15
_CHUNK = 4_000_000  # weights held at once, 32 MB


@dataclass(frozen=True, slots=True)
class Scores:
    """Raw metrics, with any leading shape (one test set, or many resamples); undefined is NaN.

    `precision`, `recall`, `specificity`, `f1`, `auroc` and `average_precision` are (..., C), one
    class against the rest; the others are (...).
    """

    accuracy: Floats
    mcc: Floats
    ece: Floats
    precision: Floats
    recall: Floats
    specificity: Floats
    f1: Floats
    auroc: Floats
    average_precision: Floats


def group_weights(
    groups: Sequence[str], n_resamples: int, seed: int
) -> Iterator[NDArray[np.float64]]:
    """Draw groups with replacement, as many as there are.

    Args:
        groups: Name of each image's group.
        n_resamples: Number of resamples.
        seed: The draw depends on it, the groups and their order alone.

    Yields:
        Weights of a few resamples at a time, float (B, N): whole numbers.
    """
    names, member = np.unique(np.asarray(groups, str), return_inverse=True)
    rng = np.random.default_rng(seed)
    chunk = max(1, _CHUNK // len(member))
    for start in range(0, n_resamples, chunk):
        size = min(chunk, n_resamples - start)
        drawn = rng.integers(len(names), size=(size, len(names)))
        drawn += np.arange(size)[:, None] * len(names)
        counts = np.bincount(drawn.ravel(), minlength=size * len(names))
        yield counts.reshape(size, len(names))[:, member].astype(np.float64)


def weighted_scores(
    probabilities: Floats,
    predictions: NDArray[np.int64],
    labels: NDArray[np.int64],
    weights: Floats,
) -> Scores:
    """Metrics of one classifier on weighted images.

    Args:
        probabilities: (N, C), rows that sum to 1.
        predictions: Class numbers (N,).
        labels: Class numbers (N,).
        weights: (B, N), not negative.

    Returns:
        Scores with leading shape (B,).
    """
    n_classes = probabilities.shape[1]
    cell = np.eye(n_classes * n_classes)[labels * n_classes + predictions]
    confusion = (weights @ cell).reshape(-1, n_classes, n_classes)
    true, predicted = confusion.sum(2), confusion.sum(1)  # (B, C)
    hits = confusion.diagonal(axis1=1, axis2=2)
    total = weights.sum(1)
    rest = total[:, None] - true
    ranks = [_rank_scores(probabilities[:, c], labels == c, weights) for c in range(n_classes)]
    return Scores(
        accuracy=_ratio(hits.sum(1), total),
        mcc=_mcc(hits, true, predicted, total),
        ece=_ece(probabilities, labels, weights),
        precision=_ratio(hits, predicted),
        recall=_ratio(hits, true),
        specificity=_ratio(rest - (predicted - hits), rest),
        f1=_ratio(2 * hits, true + predicted),
        auroc=np.stack([auroc for auroc, _ in ranks], 1),
        average_precision=np.stack([precision for _, precision in ranks], 1),
    )


def concatenate(parts: Sequence[Scores]) -> Scores:
    """Join chunks of resamples along the first axis."""
    return Scores(
        **{
            name: np.concatenate([getattr(part, name) for part in parts])
            for name in Scores.__dataclass_fields__
        }
    )


def _ratio(above: Floats, below: Floats) -> Floats:
    result = np.full(np.broadcast_shapes(above.shape, below.shape), np.nan)
    np.divide(above, below, out=result, where=below > 0)
    return result


def _mcc(hits: Floats, true: Floats, predicted: Floats, total: Floats) -> Floats:
    """Matthews correlation of any number of classes (Gorodkin 2004)."""
    covariance = hits.sum(1) * total - (true * predicted).sum(1)
    spread = (total**2 - (true**2).sum(1)) * (total**2 - (predicted**2).sum(1))
    return _ratio(covariance, np.sqrt(spread))


def _ece(probabilities: Floats, labels: NDArray[np.int64], weights: Floats) -> Floats:
    """Expected calibration error of the likeliest class in 15 equal bins (Guo 2017)."""
    confidence = probabilities.max(1)
    surprise = (probabilities.argmax(1) == labels) - confidence
    # float32, as torchmetrics does it: a confidence on an edge then falls into the same bin there.
    edges = torch.linspace(0, 1, ECE_BINS + 1).numpy()
    place = np.searchsorted(edges, confidence.astype(np.float32), side="right") - 1
    per_bin = weights @ (np.eye(ECE_BINS + 1)[place] * surprise[:, None])
    return _ratio(np.abs(per_bin).sum(1), weights.sum(1))


def _rank_scores(
    scores: Floats, positive: NDArray[np.bool_], weights: Floats
) -> tuple[Floats, Floats]:
    """AUROC and average precision, tied scores as one step, each (B,)."""
    order = np.argsort(-scores, kind="stable")
    starts = np.flatnonzero(np.diff(-scores[order], prepend=-np.inf) > 0)
    ranked = weights[:, order]
    positives = np.add.reduceat(ranked * positive[order], starts, axis=1)  # (B, U), from the top
    negatives = np.add.reduceat(ranked * ~positive[order], starts, axis=1)
    found, alarms = positives.cumsum(1), negatives.cumsum(1)
    n_positive, n_negative = found[:, -1], alarms[:, -1]
    won = (positives * (n_negative[:, None] - alarms + negatives / 2)).sum(1)
    auroc = _ratio(won, n_positive * n_negative)
    precision = np.nan_to_num(_ratio(found, found + alarms))
    return auroc, _ratio((positives * precision).sum(1), n_positive)
