"""The model of the probes: what it is trained on, and its metrics against scikit-learn's."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score, roc_auc_score
from sklearn.preprocessing import StandardScaler

from balancer.shortcuts.records import ProbeScores
from balancer.shortcuts.scoring import FoldRows, ProbeTarget, folds_of, score_folds

RNG = np.random.default_rng(0)
N = 120
ROWS = np.arange(N)


def target(words, positive, needed=None):
    groups = [str(i // 2) for i in range(len(words))]
    return ProbeTarget(
        words, groups, positive, frozenset(words if needed is None else needed), "class"
    )


def signal(words, strength):
    numbers = np.unique(words, return_inverse=True)[1]
    return RNG.normal(size=(len(words), 5)) + strength * np.eye(5)[numbers]


def fold(name="a", train=ROWS[:60], test=ROWS[60:]):
    return FoldRows(name, train, test)


@pytest.mark.parametrize("n_classes", [2, 3])
def test_metrics_are_those_of_scikit_learn(n_classes):
    words = [f"c{i % n_classes}" for i in RNG.permutation(N)]
    table = signal(words, 1.0)
    found = score_folds(table, ROWS, target(words, "c1"), [fold()], c=0.1, seed=0)
    scaler = StandardScaler().fit(table[:60])
    model = LogisticRegression(C=0.1, class_weight="balanced", max_iter=2000)
    model.fit(scaler.transform(table[:60]), words[:60])
    probabilities = model.predict_proba(scaler.transform(table[60:]))
    truth = np.array(words[60:])
    assert found.auroc.value == pytest.approx(
        roc_auc_score(truth == "c1", probabilities[:, 1]), abs=1e-6
    )
    guesses = model.classes_[probabilities.argmax(axis=1)]
    assert found.balanced_accuracy.value == pytest.approx(balanced_accuracy_score(truth, guesses))
    assert (found.auroc_macro is not None) == (n_classes == 3)
    if n_classes == 3:
        macro = roc_auc_score(truth, probabilities, multi_class="ovr")
        assert found.auroc_macro.value == pytest.approx(macro, abs=1e-6)
    assert found.auroc.low < found.auroc.value < found.auroc.high


def test_images_of_no_part_are_never_looked_at():
    words = ["a", "b"] * (N // 2)
    table = signal(words, 2.0)
    table[100:] = np.nan  # scikit-learn would refuse them
    some = fold(test=ROWS[60:100])
    found = score_folds(table, ROWS, target(words, "b"), [some], c=1.0, seed=0)
    assert found.n_images == 100
    assert found.per_fold[0].n_train == 60
    assert found.per_fold[0].n_test == 40


def test_the_training_never_sees_a_test_label():
    words = np.array(["a", "b"] * (N // 2))
    table = signal(words, 2.0)
    swapped = words.copy()
    swapped[60:] = np.where(words[60:] == "a", "b", "a")
    found, other = (
        score_folds(table, ROWS, target(list(w), "b"), [fold()], c=1.0, seed=0)
        for w in (words, swapped)
    )
    assert found.auroc.value == pytest.approx(1 - other.auroc.value)


def test_the_value_is_the_mean_over_folds():
    words = ["a", "b"] * (N // 2)
    table = signal(words, 0.5)
    both = [fold("x"), fold("y", ROWS[60:], ROWS[:60])]
    found = score_folds(table, ROWS, target(words, "b"), both, c=1.0, seed=0)
    assert [part.fold for part in found.per_fold] == ["x", "y"]
    mean = np.mean([part.auroc for part in found.per_fold])
    assert found.auroc.value == pytest.approx(mean)


def test_features_of_some_images_are_enough():
    words = ["a", "b"] * (N // 2)
    table = signal(words, 1.0)
    rows = ROWS[::3]
    part = score_folds(table[rows], rows, target(words, "b"), [fold()], c=1.0, seed=0)
    cut = fold(train=rows[rows < 60], test=rows[rows >= 60])
    whole = score_folds(table, ROWS, target(words, "b"), [cut], c=1.0, seed=0)
    assert part == whole
    assert part.n_images == 40


def test_folds_that_answer_nothing_are_named_with_their_reason():
    words = ["a"] * 60 + ["b"] * 40 + ["c"] * 20
    folds = [
        fold("one", ROWS[:50], ROWS[50:]),
        fold("two", ROWS[::2], ROWS[1:60:2]),
        fold("three", ROWS[::2], ROWS[1::2]),
    ]
    found = score_folds(signal(words, 1.0), ROWS, target(words, "c"), folds, c=1.0, seed=0)
    assert found.n_folds == 1
    assert [(part.fold, part.reason) for part in found.skipped] == [
        ("one", "its training images have none of the class 'b'"),
        ("two", "its test images are of fewer than two classes of the training"),
    ]
    assert score_folds(
        signal(words, 1.0), ROWS, target(words, "c"), folds[:2], c=1.0, seed=0
    ) == ProbeScores(n_folds=0, skipped=found.skipped)


def test_an_untested_positive_class_is_undefined_and_not_nan():
    words = ["a", "b", "c"] * 20 + ["a", "b"] * 30
    found = score_folds(signal(words, 1.0), ROWS, target(words, "c"), [fold()], c=1.0, seed=0)
    assert found.auroc.value is None
    assert "no fold tests both" in found.auroc.reason
    assert found.auroc_macro.value is not None
    assert found.per_fold[0].auroc is None


def test_images_of_unknown_word_take_no_part():
    words = ["a", "b", ""] * 40
    found = score_folds(signal(words, 1.0), ROWS, target(words, None, ()), [fold()], c=1.0, seed=0)
    assert found.n_images == 80


def test_rows_of_a_mapping():
    folds = list(folds_of(["x", "y", "z", "w"], [("f", {"x": "test", "z": "train", "y": "val"})]))
    assert folds[0].name == "f"
    assert folds[0].train.tolist() == [2]
    assert folds[0].test.tolist() == [0]


def test_the_interval_of_several_folds_is_that_of_nadeau_and_bengio():
    words = ["a", "b"] * (N // 2)
    table = signal(words, 0.5)
    single = score_folds(table, ROWS, target(words, "b"), [fold()], c=1.0, seed=0).auroc
    # Three folds of one split have no spread of their own, so that of the cases counts: with as
    # many test as training images the variance of the mean is S^2 (1/3 + 1).
    found = score_folds(table, ROWS, target(words, "b"), [fold()] * 3, c=1.0, seed=0).auroc
    assert found.value == pytest.approx(single.value)
    reach = found.high - found.value
    assert reach == pytest.approx(found.value - found.low)
    deviation = (single.high - single.low) / (2 * 1.96)
    assert reach == pytest.approx(1.96 * deviation * np.sqrt(4 / 3), rel=0.1)


def test_nothing_to_tell_apart_is_covered_by_the_interval():
    covered = 0
    for seed in range(60):
        rng = np.random.default_rng(seed)
        table = rng.normal(size=(N, 20))
        words = ["a", "b"] * (N // 2)
        folds = []
        for number in range(4):
            order = rng.permutation(N)
            folds.append(fold(str(number), order[:80], order[80:]))
        found = score_folds(table, ROWS, target(words, "b"), folds, c=0.01, seed=seed).auroc
        covered += found.low <= 0.5 <= found.high
    assert covered >= 53  # 57 expected; fewer has a chance of 1 in 40
