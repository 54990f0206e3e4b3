"""The linear head of the frozen tier: a logistic regression with a fixed L2 penalty."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, roc_auc_score

from balancer.quality.features import Features
from classifier.config import ClassifierConfig
from classifier.losses import training_prior

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
        logits = (features - self.mean) / self.scale @ self.weights + self.offsets
        return np.asarray(softmax(logits, axis=1), np.float64)


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
        recipe: `class_weights`, `loss` and `logit_adjustment_tau` are used.
        budget: Total weight of the loss; equal for all arms of a split.
    """
    rows = np.flatnonzero(weights)
    shown, own = features[rows], labels[rows]
    n_classes = int(labels.max()) + 1
    counts = np.bincount(labels, weights, n_classes)
    loss = weights[rows].astype(np.float64)
    if recipe.class_weights == "balanced":
        loss = loss / counts[own]
    mean, scale = shown.mean(0, dtype=np.float64), shown.std(0, dtype=np.float64)
    scale[scale < 1e-8] = 1.0
    standard = ((shown - mean) / scale).astype(np.float32)
    model = LogisticRegression(C=STRENGTH, tol=1e-6, max_iter=2000)
    model.fit(standard, own, sample_weight=loss * (budget / loss.sum()))
    slopes, offsets = model.coef_.astype(np.float64), model.intercept_.astype(np.float64)
    if n_classes == 2:
        slopes = np.vstack([np.zeros_like(slopes), slopes])
        offsets = np.concatenate([[0.0], offsets])
    if recipe.loss == "logit-adjusted":
        offsets = offsets - recipe.logit_adjustment_tau * np.log(counts / counts.sum())
    prior = training_prior(recipe, np.round(counts).astype(np.int64))
    return Head(mean, scale, slopes.T, offsets, prior)


RANKING = ("auroc", "average_precision")
"""Metrics that need no threshold, so that validation images can stand in for test images."""


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
