import json

import numpy as np
import pytest
import sklearn.metrics as sk

from classifier.bootstrap import group_weights, weighted_scores
from classifier.metrics import evaluate, macro_auroc, paired_differences, predict_classes

HEADLINE = (
    "accuracy",
    "balanced_accuracy",
    "sensitivity",
    "specificity",
    "auroc",
    "average_precision",
    "f1",
    "mcc",
    "ece",
)


def example(n: int, n_classes: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities with many ties, and labels that they say something about."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, n_classes, n)
    raw = (
        rng.integers(1, 6, (n, n_classes))
        + 3.0 * (rng.random((n, 1)) < 0.5) * np.eye(n_classes)[labels]
    )
    return raw / raw.sum(1, keepdims=True), labels


def judge(probabilities: np.ndarray, labels: np.ndarray, **changes: object) -> dict:
    n_classes = probabilities.shape[1]
    options: dict = {
        "class_names": [f"c{i}" for i in range(n_classes)],
        "positive": 1,
        "threshold": None,
        "groups": [str(i) for i in range(len(labels))],
        "n_bootstrap": 50,
        "seed": 0,
    }
    return evaluate(probabilities, labels, **{**options, **changes})


def test_two_classes_agree_with_sklearn() -> None:
    probabilities, labels = example(80, 2)
    found = judge(probabilities, labels, threshold=0.4)
    scores = probabilities[:, 1]
    predicted = (scores >= 0.4).astype(int)
    expected = {
        "accuracy": sk.accuracy_score(labels, predicted),
        "balanced_accuracy": sk.balanced_accuracy_score(labels, predicted),
        "sensitivity": sk.recall_score(labels, predicted),
        "specificity": sk.recall_score(labels, predicted, pos_label=0),
        "auroc": sk.roc_auc_score(labels, scores),
        "average_precision": sk.average_precision_score(labels, scores),
        "f1": sk.f1_score(labels, predicted),
        "mcc": sk.matthews_corrcoef(labels, predicted),
    }
    for name, value in expected.items():
        assert found[name]["value"] == pytest.approx(value, abs=1e-6), name
    assert found["confusion"] == sk.confusion_matrix(labels, predicted).tolist()


def test_three_classes_agree_with_sklearn() -> None:
    probabilities, labels = example(120, 3)
    found = judge(probabilities, labels)
    predicted = probabilities.argmax(1)
    expected = {
        "balanced_accuracy": sk.balanced_accuracy_score(labels, predicted),
        "sensitivity": sk.recall_score(labels == 1, predicted == 1),
        "specificity": sk.recall_score(labels != 1, predicted != 1),
        "auroc": sk.roc_auc_score(labels == 1, probabilities[:, 1]),
        "average_precision": sk.average_precision_score(labels == 1, probabilities[:, 1]),
        "f1": sk.f1_score(labels == 1, predicted == 1),
        "macro_auroc": sk.roc_auc_score(labels, probabilities, multi_class="ovr", average="macro"),
        "macro_average_precision": sk.average_precision_score(np.eye(3)[labels], probabilities),
        "macro_f1": sk.f1_score(labels, predicted, average="macro"),
        "mcc": sk.matthews_corrcoef(labels, predicted),
    }
    assert expected["auroc"] != pytest.approx(expected["macro_auroc"], abs=0.01)
    for name, value in expected.items():
        assert found[name]["value"] == pytest.approx(value, abs=1e-6), name
    for number in range(3):
        mine, y, p = found["per_class"][f"c{number}"], labels == number, predicted == number
        assert mine["n"] == y.sum()
        assert mine["precision"]["value"] == pytest.approx(sk.precision_score(y, p), abs=1e-6)
        assert mine["recall"]["value"] == pytest.approx(sk.recall_score(y, p), abs=1e-6)
        assert mine["specificity"]["value"] == pytest.approx(sk.recall_score(~y, ~p), abs=1e-6)
        assert mine["f1"]["value"] == pytest.approx(sk.f1_score(y, p), abs=1e-6)
        area = sk.roc_auc_score(y, probabilities[:, number])
        assert mine["auroc"]["value"] == pytest.approx(area, abs=1e-6)


def test_calibration_error_of_a_known_case() -> None:
    # Confidence 0.8 on all four, three of them right: off by 0.05.
    probabilities = np.tile([0.2, 0.8], (4, 1))
    found = judge(probabilities, np.array([1, 1, 1, 0]))
    assert found["ece"]["value"] == pytest.approx(0.05, abs=1e-6)


@pytest.mark.parametrize("n_classes", [2, 3])
def test_closed_forms_equal_the_metrics_of_the_repeated_images(n_classes: int) -> None:
    probabilities, labels = example(40, n_classes)
    predicted = probabilities.argmax(1)
    groups = [str(i // 2) for i in range(40)]
    weights = np.concatenate(list(group_weights(groups, 20, seed=4)))
    scores = weighted_scores(probabilities, predicted, labels, weights)
    for row, weight in enumerate(weights.astype(int)):
        p, y, q = (
            np.repeat(values, weight, axis=0) for values in (predicted, labels, probabilities)
        )
        point = judge(q, y)
        for name in ("accuracy", "mcc", "ece"):
            assert getattr(scores, name)[row] == pytest.approx(point[name]["value"], abs=1e-6)
        for c in range(n_classes):
            for name in ("precision", "recall", "specificity", "f1", "auroc", "average_precision"):
                value = point["per_class"][f"c{c}"][name]["value"]
                mine = getattr(scores, name)[row, c]
                assert mine == pytest.approx(value, abs=1e-6), name
            area = sk.roc_auc_score(y == c, q[:, c])
            assert scores.auroc[row, c] == pytest.approx(area)
            precision = sk.average_precision_score(y == c, q[:, c])
            assert scores.average_precision[row, c] == pytest.approx(precision)
        assert scores.mcc[row] == pytest.approx(sk.matthews_corrcoef(y, p))


def test_groups_are_drawn_whole_and_as_many_as_there_are() -> None:
    groups = ["a", "b", "a", "c", "c", "c"]
    weights = np.concatenate(list(group_weights(groups, 3000, seed=0)))
    assert weights.shape == (3000, 6)
    assert (weights[:, 0] == weights[:, 2]).all()
    assert (weights[:, 3] == weights[:, 5]).all()
    assert (weights[:, [0, 1, 3]].sum(1) == 3).all()
    np.testing.assert_allclose(weights.mean(0), 1, atol=0.06)


def test_chunks_do_not_change_the_draw(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = np.concatenate(list(group_weights(["a", "b", "c"], 10, seed=0)))
    monkeypatch.setattr("classifier.bootstrap._CHUNK", 9)
    parts = list(group_weights(["a", "b", "c"], 10, seed=0))
    assert len(parts) == 4
    np.testing.assert_array_equal(np.concatenate(parts), whole)


def test_intervals_hold_the_value_and_widen_with_groups() -> None:
    probabilities, labels = example(200, 2)
    order = np.argsort(labels * 10 + (probabilities[:, 1] > 0.5), kind="stable")
    probabilities, labels = probabilities[order], labels[order]
    alone = judge(probabilities, labels, n_bootstrap=500)
    grouped = judge(
        probabilities, labels, n_bootstrap=500, groups=[str(i // 10) for i in range(200)]
    )
    for name in HEADLINE:
        assert 0 <= alone[name]["low"] <= alone[name]["high"] <= 1, name
    for name in ("accuracy", "auroc"):
        assert alone[name]["low"] <= alone[name]["value"] <= alone[name]["high"]
        width = {id(r): r[name]["high"] - r[name]["low"] for r in (alone, grouped)}
        assert width[id(grouped)] > 1.3 * width[id(alone)]
    assert grouped["n"] == 200
    assert grouped["n_groups"] == 20


def test_the_interval_of_accuracy_is_the_binomial_one() -> None:
    labels = np.zeros(400, np.int64)
    labels[:100] = 1
    probabilities = np.tile([0.9, 0.1], (400, 1))  # all negative: 300 of 400 right
    found = judge(probabilities, labels, n_bootstrap=4000)["accuracy"]
    half = 1.96 * np.sqrt(0.75 * 0.25 / 400)
    assert found["low"] == pytest.approx(0.75 - half, abs=0.006)
    assert found["high"] == pytest.approx(0.75 + half, abs=0.006)


@pytest.mark.fault(57)
@pytest.mark.parametrize(
    ("label", "undefined"),
    [
        (1, {"specificity", "auroc", "mcc"}),
        (0, {"sensitivity", "auroc", "average_precision", "mcc"}),
    ],
)
def test_a_test_set_of_one_class_has_null_with_a_reason(label: int, undefined: set[str]) -> None:
    probabilities, _ = example(10, 2)
    found = judge(probabilities, np.full(10, label))
    for name in HEADLINE:
        assert (found[name]["value"] is None) == (name in undefined), name
        assert ("reason" in found[name]) == (name in undefined)
    json.dumps(found, allow_nan=False)


@pytest.mark.fault(57)
def test_constant_and_perfect_scores() -> None:
    labels = np.array([0, 0, 1, 1])
    constant = judge(np.full((4, 2), 0.5), labels)
    assert constant["auroc"]["value"] == 0.5
    assert constant["mcc"]["value"] is None
    assert constant["per_class"]["c1"]["precision"]["value"] is None
    perfect = judge(np.eye(2)[labels], labels)
    for name in HEADLINE:
        assert perfect[name]["value"] == (0 if name == "ece" else 1)
    for found in (constant, perfect):
        json.dumps(found, allow_nan=False)


def test_a_class_that_most_resamples_miss_has_an_interval_all_the_same() -> None:
    probabilities, labels = example(30, 3)
    labels[:] = 0
    labels[0], labels[1] = 1, 2
    found = judge(probabilities, labels, n_bootstrap=200)
    json.dumps(found, allow_nan=False)
    assert found["per_class"]["c2"]["n"] == 1


def test_differences_of_a_classifier_to_itself_are_zero_and_signs_are_b_minus_a() -> None:
    probabilities, labels = example(60, 2)
    options: dict = {
        "class_names": ["no", "yes"],
        "positive": 1,
        "groups": [str(i // 2) for i in range(60)],
        "n_bootstrap": 100,
        "seed": 1,
    }
    same = paired_differences(probabilities, 0.4, probabilities, 0.4, labels, **options)
    assert set(same) == set(HEADLINE)
    assert all(v == {"value": 0, "low": 0, "high": 0} for v in same.values())
    perfect = np.eye(2)[labels]
    gain = paired_differences(probabilities, 0.4, perfect, 0.5, labels, **options)
    first = evaluate(probabilities, labels, threshold=0.4, **options)
    # The second is 1 in every resample, so the interval is the first's, mirrored.
    for name in HEADLINE[:-1]:
        assert gain[name]["value"] == pytest.approx(1 - first[name]["value"])
        assert gain[name]["low"] == pytest.approx(1 - first[name]["high"])
        assert gain[name]["high"] == pytest.approx(1 - first[name]["low"])


def test_same_seed_same_interval() -> None:
    probabilities, labels = example(30, 2)
    assert judge(probabilities, labels) == judge(probabilities, labels)
    assert judge(probabilities, labels) != judge(probabilities, labels, seed=1)


def test_predictions_start_at_the_threshold() -> None:
    probabilities = np.array([[0.7, 0.3], [0.71, 0.29]])
    assert predict_classes(probabilities, positive=1, threshold=0.3).tolist() == [1, 0]
    assert predict_classes(probabilities, positive=0, threshold=0.71).tolist() == [1, 0]


def test_validation_auroc() -> None:
    probabilities, labels = example(50, 2)
    assert macro_auroc(probabilities, labels) == pytest.approx(
        sk.roc_auc_score(labels, probabilities[:, 1]), abs=1e-6
    )
    assert macro_auroc(probabilities, np.zeros(50, np.int64)) is None


GOOD = np.array([[0.5, 0.5], [0.2, 0.8]])


@pytest.mark.fault(60)
@pytest.mark.parametrize(
    ("probabilities", "changes", "message"),
    [
        (np.array([[0.5, 0.5], [np.nan, 0.5]]), {}, "Probabilities"),
        (np.array([[0.5, 0.5], [0.2, 0.2]]), {}, "Probabilities"),
        (np.array([[1.5, -0.5], [0.2, 0.8]]), {}, "Probabilities"),
        (GOOD[:1], {}, r"\(2, 2\)"),
        (GOOD, {"labels": np.array([0, 2])}, "Labels"),
        (GOOD, {"positive": 2}, "positive"),
        (GOOD, {"groups": ["a"]}, "groups"),
        (np.full((2, 3), 1 / 3), {"threshold": 0.5}, "threshold"),
    ],
)
def test_bad_input(probabilities: np.ndarray, changes: dict, message: str) -> None:
    labels = changes.pop("labels", np.array([0, 1]))
    options = {
        "groups": ["a", "b"],
        "class_names": [f"c{i}" for i in range(probabilities.shape[1])],
    }
    with pytest.raises(ValueError, match=message):
        judge(probabilities, labels, **{**options, **changes})
