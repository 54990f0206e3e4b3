"""The linear head of the frozen tier: a logistic regression with a fixed L2 penalty.

It is fitted with torch on one thread: the arrays are so small that the threads of a matrix library
wait for each other longer than they work, on a busy machine for minutes.
"""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, roc_auc_score

from balancer.quality.features import Features
from classifier.config import ClassifierConfig
from classifier.losses import adjustment, effective_weights, posthoc_offsets, training_prior

STRENGTH = 0.01
"""C of the penalty per training image; a larger one separates any few images by 1,280 features."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Head:
    """A fitted linear head.

    Attributes:
        mean: Means of the features, (d,).
        scale: Their standard deviations, (d,).
        weights: (d, C).
        offsets: (C,).
        prior: Class shares that its probabilities assume, float64 (C,).
    """

    mean: Floats
    scale: Floats
    weights: Floats
    offsets: Floats
    prior: Floats

    def probabilities(self, features: Features) -> Floats:
        """Predict the probabilities of the classes: (N, d) to float64 (N, C)."""
        standard = torch.from_numpy((features - self.mean) / self.scale)
        with one_thread():
            logits = standard @ torch.from_numpy(self.weights) + torch.from_numpy(self.offsets)
        return np.asarray(torch.softmax(logits, dim=1).numpy(), np.float64)


def fit_head(
    features: Features,
    labels: NDArray[np.int64],
    weights: Floats,
    recipe: ClassifierConfig,
    *,
    budget: int,
) -> Head:
    """Fit a head on the images with a weight.

    Args:
        features: (N, d).
        labels: int64 (N,).
        weights: Number of times that each image is shown, (N,); 0: never.
        recipe: `class_weights`, `posthoc_tau`, `head_retraining` and the adjustment of `loss` are
            used. A head that is trained again on balanced batches is one with balanced weights.
        budget: Total weight of the loss; equal for all arms of a split.
    """
    rows = np.flatnonzero(weights)
    shown, own = features[rows], labels[rows]
    n_classes = int(labels.max()) + 1
    counts = np.bincount(labels, weights, n_classes).astype(np.float64)
    loss = weights[rows].astype(np.float64)
    if recipe.class_weights == "balanced" or recipe.head_retraining:
        loss = loss / counts[own]
    elif recipe.class_weights == "effective":
        loss = loss * effective_weights(counts, recipe.class_weights_beta)[own]
    mean, scale = shown.mean(0, dtype=np.float64), shown.std(0, dtype=np.float64)
    scale[scale < 1e-8] = 1.0
    slopes, offsets = _regression(
        ((shown - mean) / scale).astype(np.float32), own, loss * (budget / loss.sum()), n_classes
    )
    if tau := adjustment(recipe):
        offsets = offsets - tau * np.log(counts / counts.sum())
    whole = np.round(counts).astype(np.int64)
    if recipe.posthoc_tau:
        offsets = offsets + posthoc_offsets(recipe, whole)
    return Head(mean, scale, slopes, offsets, training_prior(recipe, whole))


def _regression(
    standard: Features, labels: NDArray[np.int64], weights: Floats, n_classes: int
) -> tuple[Floats, Floats]:
    """Minimise |slopes|^2 / 2 + C sum of weights x cross-entropy; the offsets are not penalised.

    Two classes have one column of slopes, that of the second, as in the usual logistic regression.

    Returns:
        Slopes, (d, C), and offsets, (C,).
    """
    x, y = torch.from_numpy(standard), torch.from_numpy(labels)
    w = torch.from_numpy((STRENGTH * weights).astype(np.float32))
    free = 1 if n_classes == 2 else n_classes
    slopes = torch.zeros(x.shape[1], free, requires_grad=True)
    offsets = torch.zeros(free, requires_grad=True)
    optimizer = torch.optim.LBFGS(
        [slopes, offsets], max_iter=500, history_size=20, line_search_fn="strong_wolfe",
        tolerance_grad=1e-5, tolerance_change=1e-9,
    )  # fmt: skip

    def loss() -> torch.Tensor:
        optimizer.zero_grad()
        logits = x @ slopes + offsets
        if free == 1:
            logits = F.pad(logits, (1, 0))
        value = (w * F.cross_entropy(logits, y, reduction="none")).sum() + slopes.square().sum() / 2
        value.backward()  # type: ignore[no-untyped-call]
        return value

    with one_thread():
        optimizer.step(loss)  # type: ignore[no-untyped-call]
    missing = (1, 0) if free == 1 else (0, 0)
    columns = F.pad(slopes.detach(), missing), F.pad(offsets.detach(), missing)
    return columns[0].double().numpy(), columns[1].double().numpy()


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """Let torch use one thread."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


RANKING = ("auroc", "average_precision")
"""Metrics that need no threshold, so that validation images can replace test images."""


def ranking_score(
    primary: str, probabilities: Floats, labels: NDArray[np.int64], positive: int
) -> float:
    """Compute a metric of `RANKING` for the positive class against the rest.

    Args:
        primary: Key of the metric.
        probabilities: (N, C).
        labels: int64 (N,); both the positive class and others occur.
        positive: Number of the positive class.
    """
    score = {"auroc": roc_auc_score, "average_precision": average_precision_score}[primary]
    return float(score(labels == positive, probabilities[:, positive]))
