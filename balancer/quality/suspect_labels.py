"""Labels that the other images contradict: confident learning on frozen features.

Northcutt 2021, Confident learning: estimating uncertainty in dataset labels (arXiv 1911.00068). A
logistic regression predicts each image from images of other groups. Images are ranked by the
probability of their label. The threshold of a class is the mean probability that its own images
have for it; an image whose most probable class is another one and reaches its threshold is suspect.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedGroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from balancer.quality.features import Features

_FOLDS = 5
_STRENGTH = 0.001
"""C of the penalty; a larger one separates a few thousand images by 1,280 features, wrong labels
included (of 0.0001, 0.001 and 0.01 the best on planted flips)."""


@dataclass(frozen=True, slots=True)
class DoubtfulLabel:
    """Doubt in the label of an image.

    Attributes:
        row: Row of the image.
        likely: Number of the most probable class; that of the label if they agree.
        own_probability: Out-of-fold probability of the label.
        likely_probability: Out-of-fold probability of the likely class.
        is_suspect: Whether the likely class is another one, and the image reaches its threshold.
    """

    row: int
    likely: int
    own_probability: float
    likely_probability: float
    is_suspect: bool


def out_of_fold_probabilities(
    features: Features, labels: NDArray[np.int64], groups: Sequence[str]
) -> NDArray[np.float64] | None:
    """Predict each image by a model that saw no image of its group.

    Args:
        features: float32 (N, d).
        labels: Class numbers from 0 to C - 1, int64 (N,).
        groups: Group of each image.

    Returns:
        float64 (N, C), rows sum to 1; None: a class has fewer than two groups.
    """
    names = np.asarray(groups)
    n_groups = [len(np.unique(names[labels == number])) for number in np.unique(labels)]
    folds = min(_FOLDS, *n_groups)
    if folds < 2 or len(n_groups) < 2:
        return None
    found = np.zeros((len(labels), len(n_groups)))
    splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=0)
    for train, test in splitter.split(features, labels, names):
        model = make_pipeline(StandardScaler(), LogisticRegression(C=_STRENGTH, max_iter=1000))
        model.fit(features[train], labels[train])
        found[np.ix_(test, model.classes_)] = model.predict_proba(features[test])
    return found


def rank_labels(
    probabilities: NDArray[np.float64], labels: NDArray[np.int64]
) -> list[DoubtfulLabel]:
    """Rank all images, the most doubtful label first: that of the lowest probability.

    Args:
        probabilities: Out-of-fold probabilities, float64 (N, C).
        labels: Class numbers, int64 (N,).
    """
    rows = np.arange(len(labels))
    own = probabilities[rows, labels]
    classes = range(probabilities.shape[1])
    thresholds = np.array([own[labels == number].mean() for number in classes])
    likely = probabilities.argmax(1)
    reached = probabilities[rows, likely] >= thresholds[likely]
    return [
        DoubtfulLabel(
            row=int(row),
            likely=int(likely[row]),
            own_probability=float(own[row]),
            likely_probability=float(probabilities[row, likely[row]]),
            is_suspect=bool(likely[row] != labels[row] and reached[row]),
        )
        for row in np.argsort(own, kind="stable")
    ]
