"""Test metrics with bootstrap intervals, of JSON types.

Point values are torchmetrics'; intervals resample whole groups (patients), because images of one
patient are not independent. An undefined value is null with a reason, never NaN.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import torchmetrics.functional.classification as tm
from numpy.typing import NDArray

from classifier.bootstrap import ECE_BINS, Floats, RawMetrics, group_weights, weighted_scores

Labels = NDArray[np.int64]
PER_CLASS = ("precision", "recall", "specificity", "f1", "auroc", "average_precision")
MACRO = ("auroc", "average_precision", "f1")
"""Metrics of one class against the rest whose mean over the classes has a name of its own."""
_NEEDS = {
    "balanced_accuracy": "there is no image",
    "sensitivity": "no image is of the positive class",
    "specificity": "no image is of another class",
    "auroc": "images are not of two classes",
    "average_precision": "no image is of the class",
    "precision": "no image was predicted as the class",
    "recall": "no image is of the class",
    "f1": "the class neither occurs nor was predicted",
    "mcc": "labels or predictions are all of one class",
}


def evaluate(
    probabilities: Floats,
    labels: Labels | Sequence[int],
    *,
    class_names: Sequence[str] | None = None,
    positive: int = 1,
    threshold: float | None = None,
    groups: Sequence[str] | None = None,
    n_bootstrap: int = 1000,
    seed: int = 0,
) -> dict[str, Any]:
    """Compute test metrics with 95 % intervals.

    F1, AUROC and average precision are of the positive class against the rest; with more than two
    classes their means over the classes are given too, as macro metrics. Balanced accuracy is the
    mean recall of the classes that occur; ECE is of the most probable class in 15 bins.

    Example:
        >>> import numpy as np
        >>> from classifier import evaluate
        >>> scores = np.array([0.1, 0.2, 0.7, 0.4, 0.8, 0.9])
        >>> metrics = evaluate(np.stack([1 - scores, scores], axis=1), [0, 0, 0, 1, 1, 1])
        >>> metrics["sensitivity"]["value"], metrics["confusion"]
        (0.666667, [[2, 1], [1, 2]])

    Args:
        probabilities: float (N, C); rows sum to 1.
        labels: Class numbers (N,).
        class_names: C names; None: the class numbers.
        positive: Number of the class of sensitivity and specificity.
        threshold: Probability at or above which an image is positive, for two classes; None: the
            most probable class is predicted, as always with more classes.
        groups: Group of each image, resampled as a whole; None: each image is its own group.
        n_bootstrap: Number of resamples for each 95 % interval (percentiles).
        seed: Seed for the resampling.

    Returns:
        `accuracy, balanced_accuracy, sensitivity, specificity, auroc, average_precision, f1, mcc,
        ece`, with more than two classes `macro_auroc, macro_average_precision, macro_f1`, and, in
        `per_class`, the metrics of each class, as `{"value", "low", "high"}`, with `"reason"` where
        the value is null; `confusion` (rows: true class), `n` and the arguments.

    Raises:
        ValueError: The arguments do not match, or the probabilities are not valid.
    """
    probabilities, labels = np.asarray(probabilities), np.asarray(labels, np.int64)
    if class_names is None:
        class_names = [
            str(number) for number in range(probabilities.shape[-1] if probabilities.ndim else 0)
        ]
    if groups is None:
        groups = [str(number) for number in range(len(labels))]
    probabilities = _checked(probabilities, labels, class_names, positive, threshold, groups)
    predictions = predict_classes(probabilities, positive=positive, threshold=threshold)
    point = _point_scores(probabilities, predictions, labels)
    sampled = RawMetrics.concatenate(
        [
            weighted_scores(probabilities, predictions, labels, weights)
            for weights in group_weights(groups, n_bootstrap, seed)
        ]
    )
    draws = _headline(sampled, positive)
    confusion = tm.multiclass_confusion_matrix(
        torch.from_numpy(predictions), torch.from_numpy(labels), len(class_names)
    )
    return {
        **{
            name: _interval(name, value, draws[name])
            for name, value in _headline(point, positive).items()
        },
        "per_class": {
            class_name: {
                **{
                    name: _interval(
                        name, getattr(point, name)[number], getattr(sampled, name)[:, number]
                    )
                    for name in PER_CLASS
                },
                "n": int((labels == number).sum()),
            }
            for number, class_name in enumerate(class_names)
        },
        "confusion": confusion.tolist(),
        "n": len(labels),
        "n_groups": len(set(groups)),
        "n_bootstrap": n_bootstrap,
        "class_names": list(class_names),
        "positive_class": class_names[positive],
        "threshold": threshold,
    }


def paired_differences(
    probabilities_a: Floats,
    threshold_a: float | None,
    probabilities_b: Floats,
    threshold_b: float | None,
    labels: Labels,
    *,
    class_names: Sequence[str],
    positive: int,
    groups: Sequence[str],
    n_bootstrap: int,
    seed: int,
) -> dict[str, dict[str, Any]]:
    """Compute the difference b - a of each headline metric on the same resamples.

    Args:
        probabilities_a: float (N, C) of the first classifier.
        threshold_a: Threshold of the first, as in `evaluate`.
        probabilities_b: float (N, C) of the second, for the same images in the same order.
        threshold_b: Threshold of the second.
        labels: Class numbers (N,).
        class_names: C names.
        positive: Number of the positive class.
        groups: Group of each image.
        n_bootstrap: Number of resamples.
        seed: Seed for the resampling.

    Returns:
        Metric to `{"value", "low", "high"}`, with `"reason"` where the value is null.

    Raises:
        ValueError: As in `evaluate`.
    """
    points, samples = [], []
    arms = ((probabilities_a, threshold_a), (probabilities_b, threshold_b))
    for probabilities, threshold in arms:
        checked = _checked(probabilities, labels, class_names, positive, threshold, groups)
        predictions = predict_classes(checked, positive=positive, threshold=threshold)
        points.append(_headline(_point_scores(checked, predictions, labels), positive))
        drawn = [
            weighted_scores(checked, predictions, labels, weights)
            for weights in group_weights(groups, n_bootstrap, seed)
        ]
        samples.append(_headline(RawMetrics.concatenate(drawn), positive))
    return {
        name: _interval(
            name, points[1][name] - points[0][name], samples[1][name] - samples[0][name]
        )
        for name in points[0]
    }


def predict_classes(probabilities: Floats, *, positive: int, threshold: float | None) -> Labels:
    """Return class numbers (N,): by the threshold of two classes, else the most probable."""
    if threshold is None:
        return np.asarray(probabilities.argmax(1), np.int64)
    return np.where(probabilities[:, positive] >= threshold, positive, 1 - positive)


def macro_auroc(probabilities: Floats, labels: Labels) -> float | None:
    """Compute the mean one-against-the-rest AUROC of the classes that occur, or None for one."""
    present = np.unique(labels)
    if len(present) < 2:
        return None
    q, y = torch.from_numpy(probabilities), torch.from_numpy(labels)
    return float(np.mean([tm.binary_auroc(q[:, c], (y == c).long()).item() for c in present]))


def _point_scores(probabilities: Floats, predictions: Labels, labels: Labels) -> RawMetrics:
    n_classes = probabilities.shape[1]
    p, y = torch.from_numpy(predictions), torch.from_numpy(labels)
    q = torch.from_numpy(probabilities)
    true = np.bincount(labels, minlength=n_classes)
    predicted = np.bincount(predictions, minlength=n_classes)
    options: dict[str, Any] = {"num_classes": n_classes, "average": None}
    spread = (true > 0).sum() > 1 and (predicted > 0).sum() > 1
    both = (true > 0) & (true < len(labels))
    # torchmetrics returns 0 for a ratio without a denominator; the masks make that undefined.
    return RawMetrics(
        accuracy=_array(tm.multiclass_accuracy(p, y, n_classes, average="micro")),
        mcc=_where(spread, _array(tm.multiclass_matthews_corrcoef(p, y, n_classes))),
        ece=_array(tm.multiclass_calibration_error(q, y, n_classes, n_bins=ECE_BINS)),
        precision=_where(predicted > 0, _array(tm.multiclass_precision(p, y, **options))),
        recall=_where(true > 0, _array(tm.multiclass_recall(p, y, **options))),
        specificity=_where(true < len(labels), _array(tm.multiclass_specificity(p, y, **options))),
        f1=_where(true + predicted > 0, _array(tm.multiclass_f1_score(p, y, **options))),
        auroc=_per_class(tm.binary_auroc, q, y, both),
        average_precision=_per_class(tm.binary_average_precision, q, y, true > 0),
    )


def _per_class(metric: Any, q: torch.Tensor, y: torch.Tensor, defined: NDArray[np.bool_]) -> Floats:
    return np.array(
        [
            metric(q[:, c], (y == c).long()).item() if defined[c] else np.nan
            for c in range(q.shape[1])
        ]
    )


def _array(tensor: torch.Tensor) -> Floats:
    return tensor.double().numpy()


def _where(defined: Any, values: Floats) -> Floats:
    return np.where(defined, values, np.nan)


def _headline(scores: RawMetrics, positive: int) -> dict[str, Floats]:
    by_class = {name: getattr(scores, name) for name in MACRO}
    macro = scores.recall.shape[-1] > 2
    return {
        "accuracy": scores.accuracy,
        "balanced_accuracy": _mean_of_defined(scores.recall),
        "sensitivity": scores.recall[..., positive],
        "specificity": scores.specificity[..., positive],
        **{name: values[..., positive] for name, values in by_class.items()},
        "mcc": scores.mcc,
        "ece": scores.ece,
        **(
            {f"macro_{name}": _mean_of_defined(values) for name, values in by_class.items()}
            if macro
            else {}
        ),
    }


def _mean_of_defined(values: Floats) -> Floats:
    defined = ~np.isnan(values)
    count = defined.sum(-1)
    total = np.where(defined, values, 0).sum(-1)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def _interval(name: str, value: Floats, draws: Floats) -> dict[str, Any]:
    if np.isnan(value):
        return {
            "value": None,
            "low": None,
            "high": None,
            "reason": _NEEDS[name.removeprefix("macro_")],
        }
    # A resample can lack a small class; its metric is then undefined and is ignored.
    low, high = np.nanpercentile(draws, [2.5, 97.5])
    # torchmetrics returns float32: digits after the sixth decimal are rounding.
    ends = {"value": value, "low": low, "high": high}
    return {name: round(float(end), 6) for name, end in ends.items()}


def _checked(
    probabilities: Floats,
    labels: Labels,
    class_names: Sequence[str],
    positive: int,
    threshold: float | None,
    groups: Sequence[str],
) -> Floats:
    wanted = (len(labels), len(class_names))
    if len(labels) == 0 or len(class_names) < 2 or probabilities.shape != wanted:
        raise ValueError(
            f"probabilities should be (images, classes) = {wanted}, at least (1, 2), but are "
            f"{probabilities.shape}; predict every image for every class."
        )
    if len(groups) != len(labels):
        raise ValueError(
            f"groups should name one group for each of {len(labels)} images but has {len(groups)}."
        )
    if labels.min() < 0 or labels.max() >= len(class_names) or not 0 <= positive < len(class_names):
        raise ValueError(
            f"Labels and the positive class should be 0 to {len(class_names) - 1} but labels are "
            f"{labels.min()} to {labels.max()} and the positive class {positive}; name every class."
        )
    if threshold is not None and len(class_names) != 2:
        raise ValueError(
            f"A threshold decides between two classes but there are {len(class_names)}; pass None."
        )
    # Negated, so that NaN fails too.
    if not (probabilities.min() >= 0 and np.abs(probabilities.sum(1) - 1).max() <= 1e-4):
        raise ValueError(
            "Probabilities should be finite, not negative and sum to 1 for each image; "
            "apply softmax, or check the weights for NaN."
        )
    return np.clip(np.asarray(probabilities, np.float64), 0, 1)
