"""The comparison of arms on studies made up so that the truth is known."""

import json
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import (
    average_precision_score,
    balanced_accuracy_score,
    brier_score_loss,
    matthews_corrcoef,
    roc_auc_score,
)

from balancer.ablation.compare import compare
from balancer.ablation.run_scores import COMPARED, TITLES
from balancer.ablation.runs import Run
from balancer.evaluation.predictions import Predictions
from balancer.statistics.delong import delong_test
from balancer.statistics.mcnemar import mcnemar_exact
from balancer.statistics.resampled_t import resampled_t
from classifier.bootstrap import group_weights
from classifier.metrics import evaluate
from support.planted_studies import QUESTION, as_json, changed, facts, study

MACRO = {"macro_auroc", "macro_average_precision", "macro_f1"}
ARMS = ("real", "oversample", "gan ratio=2:1", "focal", "held-back-real")


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


@pytest.fixture(scope="module")
def runs() -> list[Run]:
    return study(rng(), dict.fromkeys(ARMS, 0.0))


@pytest.fixture(scope="module")
def found(runs: list[Run]) -> dict[str, Any]:
    return as_json(compare(runs, facts(*ARMS), replace(QUESTION, n_bootstrap=400)))


def of(runs: list[Run], arm: str) -> list[Run]:
    return sorted((run for run in runs if run.arm == arm), key=lambda run: (run.fold, run.seed))


def aurocs(runs: list[Run], arm: str) -> np.ndarray:
    return np.array(
        [roc_auc_score(run.test.labels, run.test.probabilities[:, 1]) for run in of(runs, arm)]
    )


def test_the_result_has_the_agreed_shape_and_is_json(found: dict[str, Any]) -> None:
    json.dumps(found, allow_nan=False)
    assert set(found) == {"question", "arms", "caps", "verdict", "control"}
    assert list(found["arms"]) == list(ARMS)
    assert found["question"]["primary_title"] == "AUROC"
    assert found["question"]["positive_class"] == "COVID"
    assert found["question"]["deployment_prior"] == {"Normal": 0.8, "COVID": 0.2}
    for name, arm in found["arms"].items():
        assert set(arm["metrics"]) == {*TITLES, "log_loss"} - MACRO
        assert set(arm["against"]) == {"real", "oversample"} - {name}
        assert len(arm["per_run"]) == arm["n_runs"] == 6
        for tests in arm["against"].values():
            assert set(tests["metrics"]) == set(COMPARED) - MACRO - {"brier_corrected"}
    assert found["arms"]["real"]["verdict"]["word"] == "reference"


def test_each_run_is_scored_as_others_score_it(runs: list[Run], found: dict[str, Any]) -> None:
    for run, row in zip(of(runs, "focal"), found["arms"]["focal"]["per_run"], strict=True):
        labels, positive = run.test.labels, run.test.probabilities[:, 1]
        predicted = (positive >= 0.5).astype(int)
        assert (row["fold"], row["seed"]) == (run.fold, run.seed)
        assert row["auroc"] == pytest.approx(roc_auc_score(labels, positive))
        assert row["average_precision"] == pytest.approx(average_precision_score(labels, positive))
        assert row["balanced_accuracy"] == pytest.approx(balanced_accuracy_score(labels, predicted))
        assert row["mcc"] == pytest.approx(matthews_corrcoef(labels, predicted))
        assert row["brier_raw"] == pytest.approx(brier_score_loss(labels, positive))
        known = evaluate(
            run.test.probabilities,
            labels,
            class_names=run.test.class_names,
            positive=1,
            threshold=0.5,
            groups=run.test.groups,
            n_bootstrap=2,
            seed=0,
        )
        for key in ("sensitivity", "specificity", "accuracy", "f1"):
            assert row[key] == pytest.approx(known[key]["value"], abs=1e-6)
        assert row["ece_raw"] == pytest.approx(known["ece"]["value"], abs=1e-6)
        others = run.validation.probabilities[run.validation.labels == 0, 1]
        cut = np.quantile(others, QUESTION.specificity, method="inverted_cdf")
        highest = run.validation.probabilities[:, 1]
        cut = (cut + highest[highest > cut].min()) / 2
        assert row["sensitivity_at_specificity"] == pytest.approx(
            (positive[labels == 1] >= cut).mean()
        )


def test_differences_are_the_corrected_t_by_hand(runs: list[Run], found: dict[str, Any]) -> None:
    differences = aurocs(runs, "focal") - aurocs(runs, "oversample")
    ratio = np.mean([len(run.test.labels) / run.n_outside for run in runs])
    expected = resampled_t(differences, float(ratio))
    cell = found["arms"]["focal"]["against"]["oversample"]["metrics"]["auroc"]
    assert cell["value"] == pytest.approx(differences.mean())
    assert (cell["low"], cell["high"]) == pytest.approx(expected.interval())
    assert cell["p"] == pytest.approx(expected.p_two_sided())
    assert found["question"]["test_to_train"] == pytest.approx(ratio)
    level = found["arms"]["focal"]["metrics"]["auroc"]
    assert level["value"] == pytest.approx(aurocs(runs, "focal").mean())
    assert level["sd_runs"] == pytest.approx(aurocs(runs, "focal").std(ddof=1))


def test_holm_is_over_the_arms_of_a_reference(found: dict[str, Any]) -> None:
    for other in ("real", "oversample"):
        control = found["arms"]["held-back-real"]["against"][other]["metrics"]["mcc"]
        assert control["p_holm"] == control["p"]
        cells = [
            arm["against"][other]["metrics"]["mcc"]
            for arm in found["arms"].values()
            if other in arm["against"] and arm["kind"] != "control"
        ]
        assert len(cells) == 3
        least = min(cells, key=lambda cell: cell["p"])
        assert least["p_holm"] == pytest.approx(min(1, 3 * least["p"]))
        for first, second in pairwise(sorted(cells, key=lambda cell: cell["p"])):
            assert first["p_holm"] <= second["p_holm"]


def test_delong_and_mcnemar_of_each_run(runs: list[Run], found: dict[str, Any]) -> None:
    tests = found["arms"]["focal"]["against"]["real"]
    alone = np.zeros(2, int)
    for number, (a, b) in enumerate(zip(of(runs, "focal"), of(runs, "real"), strict=True)):
        positive = a.test.labels == 1
        expected = delong_test(a.test.probabilities[:, 1], b.test.probabilities[:, 1], positive)
        assert tests["delong"]["p"][number] == pytest.approx(expected.p)
        right = [(run.test.probabilities[:, 1] >= 0.5) == positive for run in (a, b)]
        counts = (right[0] & ~right[1]).sum(), (right[1] & ~right[0]).sum()
        alone += counts
        assert tests["mcnemar"]["p"][number] == pytest.approx(mcnemar_exact(*map(int, counts)))
    assert [tests["mcnemar"]["only_arm_right"], tests["mcnemar"]["only_reference_right"]] == list(
        alone
    )
    assert tests["delong"]["median_p"] == pytest.approx(np.median(tests["delong"]["p"]))
    assert tests["delong"]["combined_p"] == pytest.approx(min(1, 2 * tests["delong"]["median_p"]))


def test_the_bootstrap_draws_groups_of_the_whole_data_set_once(
    runs: list[Run], found: dict[str, Any]
) -> None:
    """The accuracy difference by hand: the same weight for a group in every run and arm."""
    names = sorted({group for run in runs for group in run.test.groups})
    (weights,) = group_weights(names, 400, QUESTION.seed)
    of_group = dict(zip(names, weights.T, strict=True))

    def accuracy(run: Run) -> np.ndarray:
        mine = np.stack([of_group[group] for group in run.test.groups], 1)
        right = (run.test.probabilities[:, 1] >= 0.5) == run.test.labels
        return np.asarray(mine @ right / mine.sum(1))

    draws = np.mean(
        [
            accuracy(a) - accuracy(b)
            for a, b in zip(of(runs, "focal"), of(runs, "real"), strict=True)
        ],
        axis=0,
    )
    cell = found["arms"]["focal"]["against"]["real"]["metrics"]["accuracy"]["bootstrap"]
    assert [cell["low"], cell["high"]] == pytest.approx(np.percentile(draws, [2.5, 97.5]))


def test_both_sources_of_variance_have_the_size_of_theory(found: dict[str, Any]) -> None:
    """Two cases to a group that agree in part: between independent and fully alike cases."""
    level = found["arms"]["real"]["metrics"]["accuracy"]
    independent = np.sqrt(level["value"] * (1 - level["value"]) / 48)
    assert 0.9 * independent < level["sd_cases"] < 1.1 * np.sqrt(2) * independent
    assert level["sd_runs"] > 0


def test_the_order_of_runs_and_images_does_not_matter(
    runs: list[Run], found: dict[str, Any]
) -> None:
    mixed = [
        changed(run, rng(number).permutation(len(run.test.labels)))
        for number, run in enumerate(runs)
    ]
    rng(1).shuffle(mixed)
    again = as_json(compare(mixed, facts(*ARMS), replace(QUESTION, n_bootstrap=400)))

    def same(one: Any, other: Any) -> None:
        if isinstance(one, dict):
            for key in one:
                same(one[key], other[key])
        elif isinstance(one, list):
            for a, b in zip(one, other, strict=True):
                same(a, b)
        elif isinstance(one, float):
            assert other == pytest.approx(one, abs=1e-6)

    same(found, again)


def three_classes(seed: int) -> list[Run]:
    random = rng(seed)
    runs = []
    for fold in range(4):
        labels = np.arange(90) % 3
        for arm in ("real", "focal"):
            logits = random.normal(size=(90, 3)) + 1.5 * np.eye(3)[labels]
            p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
            part = Predictions(
                image_ids=[f"{fold}-{row}" for row in range(90)],
                groups=[f"{fold}-{row // 2}" for row in range(90)],
                labels=labels,
                probabilities=p,
                class_names=["COVID", "Normal", "Pneumonia"],
            )
            runs.append(
                Run(
                    arm=arm,
                    fold=f"fold-{fold}",
                    seed=0,
                    positive=0,
                    threshold=None,
                    training_prior=np.array([0.2, 0.4, 0.4]),
                    n_outside=270,
                    seconds=60.0,
                    test=part,
                    validation=part,
                )
            )
    return runs


def test_three_classes_are_one_against_the_rest_or_their_mean() -> None:
    runs = three_classes(0)
    question = replace(QUESTION, deployment_prior=np.array([0.1, 0.6, 0.3]))
    found = as_json(compare(runs, facts("real", "focal"), question))
    json.dumps(found, allow_nan=False)
    test = of(runs, "real")[0].test
    row = found["arms"]["real"]["per_run"][0]
    known = evaluate(
        test.probabilities,
        test.labels,
        class_names=test.class_names,
        positive=0,
        threshold=None,
        groups=test.groups,
        n_bootstrap=2,
        seed=0,
    )
    for key in TITLES:
        if key in known:
            assert row[key] == pytest.approx(known[key]["value"], abs=1e-6)
    expected = roc_auc_score(test.labels, test.probabilities, multi_class="ovr")
    assert row["macro_auroc"] == pytest.approx(expected)
    assert row["auroc"] == pytest.approx(roc_auc_score(test.labels == 0, test.probabilities[:, 0]))
    assert row["auroc"] != pytest.approx(expected, abs=0.001)
    assert row["brier_raw"] == pytest.approx(
        brier_score_loss(test.labels, test.probabilities, labels=[0, 1, 2])
    )
    assert row["slope_raw"] is not None
