"""Probes: small classifiers on frozen features that separate sets, or measure a set's value.

All are logistic regressions on standardised features, fast enough to be trained many times. They
only measure; the classifier that users ask for is trained elsewhere.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import numpy.typing as npt
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score, roc_auc_score
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from balancer.quality.features import Images
from balancer.quality.figures import ProbeScore, Separation, Tell, Usefulness
from balancer.quality.sets import ClassFeatures

FloatArray = npt.NDArray[np.float64]
Features = npt.NDArray[np.floating[Any]]

_FOLDS = 5
_RESAMPLES = 500


@dataclass(frozen=True, slots=True)
class LinearProbe:
    """A classifier of frozen features.

    Attributes:
        classes: Class names, in the order of its probabilities.
        model: The fitted regression.
    """

    classes: tuple[str, ...]
    model: Pipeline

    def probabilities(self, features: Features) -> FloatArray:
        """Predict the probabilities of the classes: (N, d) to float64 (N, C)."""
        return cast(FloatArray, self.model.predict_proba(features))


def train_probe(features: Mapping[str, Features]) -> LinearProbe:
    """Train on the features (N, d) of each class, all classes with the same weight."""
    classes = tuple(sorted(features))
    labels = np.repeat(np.arange(len(classes)), [len(features[name]) for name in classes])
    model = _regression().fit(np.concatenate([features[name] for name in classes]), labels)
    return LinearProbe(classes, model)


def separation(
    first: Features, second: Features, *, seed: int, n: int | None = None
) -> Separation | None:
    """Separate two sets, by five-fold cross-validation on equally many of each.

    Args:
        first: Features (N, d).
        second: Features (M, d).
        seed: Seed for the folds, the choice of images and the bootstrap.
        n: Largest number of images of each set; None: as many as the smaller one has.

    Returns:
        None if a set has fewer images than there are folds.
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
    return Separation(
        value=float(roc_auc_score(truth, scores)), interval=(float(low), float(high)), n=n
    )


def find_tell(
    sets: ClassFeatures, describe: Callable[[Images], npt.NDArray[np.floating[Any]]]
) -> Tell | None:
    """Separate accepted synthetic images from real ones, and two halves of the real ones.

    Args:
        sets: The images.
        describe: Features of images, uint8 (N, S, S) to (N, d).

    Returns:
        None with too few images.
    """
    images, seed = sets.images, sets.seed
    real = np.concatenate((images.own_training, images.own_validation))
    half = sets.rng(4).permutation(len(real))
    first, second = real[half[::2]], real[half[1::2]]
    n = min(len(second), len(images.accepted))
    found = separation(describe(real), describe(images.accepted), n=n, seed=seed)
    if found is None:
        return None
    floor = separation(describe(first), describe(second), n=n, seed=seed)
    return Tell(value=found.value, interval=found.interval, n=found.n, real_against_real=floor)


def usefulness(
    label: str,
    synthetic: Features,
    training: Mapping[str, Features],
    validation: Mapping[str, Features],
) -> Usefulness | None:
    """Measure what a probe learns from synthetic images of a class, and how it labels them.

    Train on synthetic, test on real, and the reverse (Esteban 2017, arXiv 1706.02633); the images
    of the other classes are always real.

    Args:
        label: Class of the synthetic images.
        synthetic: Features (N, d) of the synthetic images.
        training: Features of real training images, by class.
        validation: Features of real validation images, by class; each class has some.

    Returns:
        None with one class.
    """
    if len(training) < 2:
        return None
    on_real = train_probe(training)
    on_synthetic = train_probe({**training, label: synthetic})
    return Usefulness(
        train_real_test_real=_score(on_real, label, validation),
        train_synthetic_test_real=_score(on_synthetic, label, validation),
        train_real_test_synthetic=_score(on_real, label, {**validation, label: synthetic}),
    )


def _bootstrap_auroc(
    negative: FloatArray, positive: FloatArray, rng: np.random.Generator
) -> FloatArray:
    """Compute the AUROC of resamples of both sets, from one table of all pairs of scores."""
    wins = (positive[:, None] > negative) + (positive[:, None] == negative) / 2
    drawn = [
        rng.multinomial(len(part), np.full(len(part), 1 / len(part)), size=_RESAMPLES)
        for part in (positive, negative)
    ]
    won = ((drawn[0] @ wins) * drawn[1]).sum(axis=1)
    return cast(FloatArray, won / wins.size)


def _score(probe: LinearProbe, label: str, features: Mapping[str, Features]) -> ProbeScore:
    labels = np.repeat(np.arange(len(probe.classes)), [len(features[c]) for c in probe.classes])
    found = probe.probabilities(np.concatenate([features[name] for name in probe.classes]))
    own = probe.classes.index(label)
    return ProbeScore(
        auroc=float(roc_auc_score(labels == own, found[:, own])),
        balanced_accuracy=float(balanced_accuracy_score(labels, found.argmax(axis=1))),
    )


def _regression() -> Pipeline:
    # Standardised features of a network are many and correlated: with C=1 they separate any few.
    model = LogisticRegression(C=0.01, class_weight="balanced", max_iter=1_000)
    return make_pipeline(StandardScaler(), model)
