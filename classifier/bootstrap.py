"""Test metrics on many resamples of the groups at once, in closed form.

In a resample the weight of an image is the number of times that its group was drawn. Every metric
is then a ratio of weighted counts, and one matrix product computes all resamples.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

Floats = NDArray[np.float64]
ECE_BINS = 15
_CHUNK = 4_000_000  # number of weights in memory at once, 32 MB


@dataclass(frozen=True, slots=True)
class RawMetrics:
    """Metrics as arrays with any leading shape (one test set, or many resamples); undefined is NaN.

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

    @staticmethod
    def concatenate(parts: "Sequence[RawMetrics]") -> "RawMetrics":
        """Return chunks of resamples as one, along the first axis."""
        return RawMetrics(
            **{
                name: np.concatenate([getattr(part, name) for part in parts])
                for name in RawMetrics.__dataclass_fields__
            }
        )


def group_weights(
    groups: Sequence[str], n_resamples: int, seed: int
) -> Iterator[NDArray[np.float64]]:
    """Draw as many groups as there are, with replacement.

    Args:
        groups: Name of each image's group.
        n_resamples: Number of resamples.
        seed: Seed for the draws, which otherwise depend on the groups and their order alone.

    Yields:
        Weights of some resamples at a time, float (B, N): whole numbers.
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
) -> RawMetrics:
    """Compute the metrics of one classifier on weighted images.

    Args:
        probabilities: (N, C), rows that sum to 1.
        predictions: Class numbers (N,).
        labels: Class numbers (N,).
        weights: (B, N), not negative.

    Returns:
        Metrics with leading shape (B,).
    """
    n_classes = probabilities.shape[1]
    cell = np.eye(n_classes * n_classes)[labels * n_classes + predictions]
    confusion = (weights @ cell).reshape(-1, n_classes, n_classes)
    true, predicted = confusion.sum(2), confusion.sum(1)  # (B, C)
    hits = confusion.diagonal(axis1=1, axis2=2)
    total = weights.sum(1)
    rest = total[:, None] - true
    ranks = [_rank_scores(probabilities[:, c], labels == c, weights) for c in range(n_classes)]
    return RawMetrics(
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


def _ratio(above: Floats, below: Floats) -> Floats:
    result = np.full(np.broadcast_shapes(above.shape, below.shape), np.nan)
    np.divide(above, below, out=result, where=below > 0)
    return result


def _mcc(hits: Floats, true: Floats, predicted: Floats, total: Floats) -> Floats:
    """Compute the Matthews correlation of any number of classes (Gorodkin 2004)."""
    covariance = hits.sum(1) * total - (true * predicted).sum(1)
    spread = (total**2 - (true**2).sum(1)) * (total**2 - (predicted**2).sum(1))
    return _ratio(covariance, np.sqrt(spread))


def _ece(probabilities: Floats, labels: NDArray[np.int64], weights: Floats) -> Floats:
    """Compute the calibration error of the most probable class in 15 equal bins (Guo 2017)."""
    confidence = probabilities.max(1)
    error = (probabilities.argmax(1) == labels) - confidence
    # float32, as in torchmetrics: a confidence on an edge is then in the same bin.
    edges = torch.linspace(0, 1, ECE_BINS + 1).numpy()
    number = np.searchsorted(edges, confidence.astype(np.float32), side="right") - 1
    per_bin = weights @ (np.eye(ECE_BINS + 1)[number] * error[:, None])
    return _ratio(np.abs(per_bin).sum(1), weights.sum(1))


def _rank_scores(
    scores: Floats, positive: NDArray[np.bool_], weights: Floats
) -> tuple[Floats, Floats]:
    """Compute AUROC and average precision, each (B,); equal scores are one step."""
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
