"""Small classifiers on frozen features: what tells sets apart, and what training on one is worth.

All are logistic regressions on standardised features, fast enough to be trained many times. They
measure; the classifier that users ask for is trained elsewhere.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import numpy.typing as npt
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score, roc_auc_score
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

FloatArray = npt.NDArray[np.float64]
Features = npt.NDArray[np.floating[Any]]

_FOLDS = 5
_RESAMPLES = 500


@dataclass(frozen=True, slots=True)
class Separation:
    """How well two sets can be told apart.

    Attributes:
        auroc: Cross-validated; 0.5 where they cannot be.
        interval: 95 %, percentile bootstrap of the images under fixed scores.
        n: Images of each set.
    """

    auroc: float
    interval: tuple[float, float]
    n: int

    def as_json(self) -> dict[str, Any]:
        """For `result.json`."""
        return {"value": self.auroc, "interval": list(self.interval), "n": self.n}


@dataclass(frozen=True, slots=True)
class Judge:
    """A classifier of frozen features, trained on real training images alone.

    Attributes:
        classes: Class names, in the order of its probabilities.
    """

    classes: tuple[str, ...]
    model: Pipeline

    def probabilities(self, features: Features) -> FloatArray:
        """Probabilities of the classes: (N, d) to float64 (N, C)."""
        return cast(FloatArray, self.model.predict_proba(features))


def train_judge(features: Mapping[str, Features]) -> Judge:
    """Train on the features (N, d) of each class, the classes weighing the same."""
    classes = tuple(sorted(features))
    labels = np.repeat(np.arange(len(classes)), [len(features[name]) for name in classes])
    model = _regression().fit(np.concatenate([features[name] for name in classes]), labels)
    return Judge(classes, model)


def separation(
    first: Features, second: Features, *, seed: int, n: int | None = None
) -> Separation | None:
    """Try to tell two sets apart, by five-fold cross-validation on equally many of each.

    Args:
        first: Features (N, d).
        second: Features (M, d).
        seed: Of the folds, the choice of images and the bootstrap.
        n: Images of each set, at most; None: as many as the smaller one has.

    Returns:
        None where a set has fewer images than there are folds.
    """
    n = min(len(first), len(second), *([] if n is None else [n]))
    if n < _FOLDS:
        return None
    rng = np.random.default_rng(seed)
    chosen = [part[rng.permutation(len(part))[:n]] for part in (first, second)]
    truth = np.repeat([0, 1], n)
    folds = StratifiedKFold(_FOLDS, shuffle=True, random_state=seed)
    scores = cross_val_predict(
        _regression(), np.concatenate(chosen), truth, cv=folds, method="decision_function"
    )
    low, high = np.quantile(_bootstrap_auroc(scores[:n], scores[n:], rng), [0.025, 0.975])
    return Separation(float(roc_auc_score(truth, scores)), (float(low), float(high)), n)


def usefulness(
    label: str,
    synthetic: Features,
    training: Mapping[str, Features],
    validation: Mapping[str, Features],
) -> dict[str, dict[str, float]]:
    """What a classifier learns from synthetic images of a class, and how it sees them.

    Train on synthetic, test on real, and the reverse (Esteban 2017, arXiv 1706.02633), the images
    of the other classes being real throughout.

    Args:
        label: The class of the synthetic images.
        synthetic: Their features (N, d).
        training: Features of real training images, by class.
        validation: Features of real validation images, by class; each class has some.

    Returns:
        `auroc` of the class against all others and `balanced_accuracy` over all classes, of
        `train_real_test_real`, `train_synthetic_test_real` and `train_real_test_synthetic`.
    """
    on_real = train_judge(training)
    on_synthetic = train_judge({**training, label: synthetic})
    return {
        "train_real_test_real": _score(on_real, label, validation),
        "train_synthetic_test_real": _score(on_synthetic, label, validation),
        "train_real_test_synthetic": _score(on_real, label, {**validation, label: synthetic}),
    }


def _bootstrap_auroc(
    negative: FloatArray, positive: FloatArray, rng: np.random.Generator
) -> FloatArray:
    """AUROC of resamples of both sets, from one table of who outscores whom."""
    wins = (positive[:, None] > negative) + (positive[:, None] == negative) / 2
    drawn = [
        rng.multinomial(len(part), np.full(len(part), 1 / len(part)), size=_RESAMPLES)
        for part in (positive, negative)
    ]
    won = ((drawn[0] @ wins) * drawn[1]).sum(axis=1)
    return cast(FloatArray, won / wins.size)


def _score(judge: Judge, label: str, features: Mapping[str, Features]) -> dict[str, float]:
    labels = np.repeat(np.arange(len(judge.classes)), [len(features[c]) for c in judge.classes])
    found = judge.probabilities(np.concatenate([features[name] for name in judge.classes]))
    place = judge.classes.index(label)
    return {
        "auroc": float(roc_auc_score(labels == place, found[:, place])),
        "balanced_accuracy": float(balanced_accuracy_score(labels, found.argmax(axis=1))),
    }


def _regression() -> Pipeline:
    # Standardised features of a network are many and correlated: with C=1 they separate any few.
    model = LogisticRegression(C=0.01, class_weight="balanced", max_iter=1_000)
    return make_pipeline(StandardScaler(), model)
