from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

import balancer.ablation.pilot
from balancer.ablation.arms import read_arms
from balancer.ablation.frozen_head import STRENGTH, Head, fit_head, ranking_score
from balancer.ablation.frozen_tier import (
    FrozenFold,
    FrozenImages,
    frozen_folds,
    frozen_images,
    n_shown,
    train_arm,
    train_on,
)
from balancer.ablation.frozen_worth import arms_of_tier
from balancer.ablation.pilot import run_pilot
from balancer.ablation.plan import Plan, make_plan
from balancer.config import BalancerConfig
from balancer.data.index import Index, load_index
from balancer.evaluation.ledger import read_ledger
from balancer.workspace import Workspace
from classifier.config import ClassifierConfig
from support.tiny_pipeline import config_for, tree

SPLITS = ("ablation.frozen_splits=4", "ablation.repeats=3")
PLAIN = ClassifierConfig()


@pytest.fixture(scope="module")
def study(data: Path) -> BalancerConfig:
    return config_for(data, *SPLITS)


@pytest.fixture(scope="module")
def index(finished: Workspace) -> Index:
    return load_index(finished.index_dir)


@pytest.fixture(scope="module")
def images(study: BalancerConfig, finished: Workspace, index: Index) -> FrozenImages:
    return frozen_images(study, finished, index)


@pytest.fixture(scope="module")
def folds(study: BalancerConfig, finished: Workspace, images: FrozenImages) -> list[FrozenFold]:
    return frozen_folds(study, finished, images, "COVID", seed=study.seed)


@pytest.fixture
def plan(study: BalancerConfig, index: Index) -> Plan:
    return make_plan(study, index)


def blobs(n: int = 80, d: int = 6) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    labels = (np.arange(n) < n // 4).astype(np.int64)
    return (rng.normal(0, 1, (n, d)) + labels[:, None]).astype(np.float32), labels


def test_repeating_an_image_is_a_weight_and_the_budget_is_fixed() -> None:
    features, labels = blobs()
    times = np.where(labels == 1, 3.0, 1.0)
    head = fit_head(features, labels, times, PLAIN, budget=80)
    mean, scale = features.mean(0), features.std(0)
    repeated = np.repeat(np.arange(80), times.astype(int))
    strength = STRENGTH * 80 / len(repeated)
    model = LogisticRegression(C=strength, tol=1e-8, max_iter=5000)
    model.fit(((features - mean) / scale)[repeated], labels[repeated])
    found = model.predict_proba((features - mean) / scale)
    assert head.probabilities(features) == pytest.approx(found, abs=1e-3)


def test_class_weights_are_repeats_until_the_classes_are_equal() -> None:
    features, labels = blobs()
    equal = fit_head(features, labels, np.where(labels == 1, 3.0, 1.0), PLAIN, budget=80)
    balanced = PLAIN.model_copy(update={"class_weights": "balanced"})
    weighted = fit_head(features, labels, np.ones(80), balanced, budget=80)
    assert weighted.weights == pytest.approx(equal.weights, abs=1e-4)


def test_adjusted_logits_rank_as_plain_ones() -> None:
    features, labels = blobs()
    plain = fit_head(features, labels, np.ones(80), PLAIN, budget=80)
    adjusted_recipe = PLAIN.model_copy(update={"loss": "logit-adjusted"})
    adjusted = fit_head(features, labels, np.ones(80), adjusted_recipe, budget=80)
    assert (adjusted.weights == plain.weights).all()
    odds = adjusted.offsets - plain.offsets
    assert odds[1] - odds[0] == pytest.approx(np.log(3))


def test_several_classes_have_probabilities_of_their_own() -> None:
    rng = np.random.default_rng(1)
    labels = np.arange(90) % 3
    features = (rng.normal(0, 1, (90, 5)) + 3 * np.eye(5)[labels]).astype(np.float32)
    found = fit_head(features, labels, np.ones(90), PLAIN, budget=90).probabilities(features)
    assert found.shape == (90, 3)
    assert found.sum(1) == pytest.approx(np.ones(90))
    assert (found.argmax(1) == labels).mean() > 0.9


@pytest.mark.parametrize("primary", ["auroc", "average_precision"])
def test_a_ranking_score_is_of_the_positive_class(primary: str) -> None:
    labels = np.array([0, 0, 1, 2, 2])
    certain = np.eye(3)[labels]
    for positive in range(3):
        assert ranking_score(primary, certain, labels, positive) == 1.0


def test_the_tier_takes_the_arms_that_need_no_generator(
    study: BalancerConfig, folds: Sequence[FrozenFold]
) -> None:
    lines = [
        *("real", "oversample", "undersample", "class-weights", "logit-adjustment", "gan"),
        *("gan-filtered", "noise", "copycat", "mixup", "classic-augmentation of=rare"),
    ]
    arms = arms_of_tier(read_arms(lines, ratio="2:1"), folds, study)
    names = [arm.name for arm in arms]
    assert names == ["real", *lines[1:5], "held-back-real"]
    assert all(fold.data.held_back_rows("COVID") for fold in folds)


def test_an_arm_shows_as_many_images_as_it_does_in_a_study(
    study: BalancerConfig, folds: Sequence[FrozenFold]
) -> None:
    for arm in arms_of_tier(read_arms(["oversample", "undersample"], ratio="2:1"), folds, study):
        for fold in folds:
            counts = {label: n_shown(arm, fold, label) for label in fold.data.index.classes}
            training = fold.data.index.counts("train")
            wanted = arm.images_wanted(fold.data.index)
            rows = arm.rows(fold.data, np.random.default_rng(0))
            assert counts == {label: len(rows[label]) + wanted.get(label, 0) for label in training}


@pytest.mark.parametrize("line", ["smote neighbors=1", "neighbor-mixing neighbors=1"])
def test_partners_are_the_nearest_training_images(folds: Sequence[FrozenFold], line: str) -> None:
    fold = folds[0]
    arm = next(arm for arm in read_arms([line], ratio="2:1") if arm.name == line)
    training = fold.rows("train")
    rare = np.isin(training, fold.data.training_rows("COVID"))
    among = training[rare if line.startswith("smote") else ~rare]
    rows, features = np.repeat(training[rare], 2), fold.all.features.astype(np.float64)
    blend = arm.blend(fold.data, "COVID", rows, fold.all.features, np.random.default_rng(0))
    for row, partner in zip(rows, blend.rows, strict=True):
        others = among[among != row]
        distances = np.linalg.norm(features[others] - features[row], axis=1)
        assert partner == others[distances.argmin()]
    assert 0 <= blend.shares.min() <= blend.shares.max() <= arm.largest_share
    poisoned = fold.all.features.copy()
    poisoned[np.setdiff1d(np.arange(len(poisoned)), training)] = np.nan
    again = arm.blend(fold.data, "COVID", rows, poisoned, np.random.default_rng(0))
    assert (again.rows == blend.rows).all()
    counts = {label: n_shown(arm, fold, label) for label in fold.data.index.classes}
    wanted = arm.images_wanted(fold.data.index)
    training_counts = fold.data.index.counts("train")
    assert counts == {label: n + wanted.get(label, 0) for label, n in training_counts.items()}


def test_subsets_are_nested_and_the_curve_meets_real(folds: Sequence[FrozenFold]) -> None:
    for fold in folds:
        order, base = fold.rare_rows()
        assert sorted(order[:base]) == fold.data.training_rows("COVID")
        assert sorted(order[base:]) == fold.data.held_back_rows("COVID")
        real = train_arm(read_arms(["real"], ratio="2:1")[0], fold)
        assert (train_on(base, fold).weights == real.weights).all()
        assert not np.array_equal(train_on(len(order), fold).weights, real.weights)


def test_the_pilot_has_the_splits_of_the_study(folds: Sequence[FrozenFold], plan: Plan) -> None:
    """Its held-back images included, so that its arms see no more than the study's."""
    for mine, theirs in zip(folds, plan.folds, strict=False):
        assert tuple(mine.data.index.records) == theirs.records


def test_a_pilot_reads_no_test_image_and_writes_caches_alone(
    study: BalancerConfig,
    finished: Workspace,
    index: Index,
    images: FrozenImages,
    folds: list[FrozenFold],
    plan: Plan,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Three times one split, so that its test images are in no other split of the pilot."""
    before, reads = tree(finished.root), read_ledger(finished.ledger_dir)

    def found(features: np.ndarray) -> str:
        same = replace(images, features=features)
        monkeypatch.setattr(
            balancer.ablation.pilot, "frozen_folds",
            lambda *_, **__: [replace(folds[0], all=same)] * 3,
        )  # fmt: skip
        result = run_pilot(study, finished, index, plan)
        return result.model_copy(update={"seconds": 0.0}).model_dump_json()

    plain = found(images.features)
    poisoned = images.features.copy()
    poisoned[folds[0].rows("test")] = np.nan
    assert found(poisoned) == plain
    poisoned[folds[0].rows("val")] += 1 + np.arange(poisoned.shape[1])
    assert found(poisoned) != plain
    after = tree(finished.root)
    assert read_ledger(finished.ledger_dir) == reads
    assert {path for path in after if after[path] != before.get(path)} == set()


def test_a_pilot_is_the_same_again(
    study: BalancerConfig, finished: Workspace, index: Index, plan: Plan
) -> None:
    found = [run_pilot(study, finished, index, plan) for _ in range(2)]
    first, second = (one.model_copy(update={"seconds": 0.0}) for one in found)
    assert first == second
    assert set(first.unknown) == {
        "classic-augmentation of=rare", "gan", "gan-filtered", "noise",
    }  # fmt: skip
    assert first.study_splits == 3
    assert first.pilot_splits == 4
    assert first.arms["logit-adjustment"].sd == 0


def test_a_pilot_says_what_it_did_not_measure(
    data: Path, finished: Workspace, index: Index
) -> None:
    config = config_for(data, *SPLITS, "ablation.primary=sensitivity")
    found = run_pilot(config, finished, index, make_plan(config, index))
    assert found.primary == "auroc"
    assert any("sensitivity" in sentence for sentence in found.sentences)
    assert any("gan-filtered" in sentence for sentence in found.sentences)


def test_a_class_that_is_not_rare_has_no_curve(
    data: Path, finished: Workspace, index: Index
) -> None:
    config = config_for(data, *SPLITS, "evaluation.positive_class=Normal", "ablation.arms=[focal]")
    found = run_pilot(config, finished, index, make_plan(config, index))
    assert found.worth is None
    assert found.arms == {}


def test_heads_are_records_of_their_shapes(folds: Sequence[FrozenFold]) -> None:
    head: Head = train_on(4, folds[0])
    assert head.weights.shape == (1280, 2)
    assert head.prior.sum() == pytest.approx(1)
