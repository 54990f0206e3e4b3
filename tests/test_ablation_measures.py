"""The measures of a study: recalibration, harm, costs, decisions, ceiling, order of tests."""

import math
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import log_loss, roc_auc_score

from balancer.ablation.compare import compare
from balancer.ablation.decision_curve import DECISION_GRID
from balancer.ablation.harms import harms
from balancer.ablation.runs import Run
from balancer.evaluation.predictions import Predictions
from balancer.statistics.calibration import correct_prior, squared_errors
from balancer.statistics.platt import fit_platt
from balancer.statistics.resampled_t import ResampledT, resampled_t
from support.planted_studies import QUESTION, as_json, facts, study


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def result(effects: dict[str, float], *, seed: int = 0, **options: Any) -> dict[str, Any]:
    return as_json(compare(study(rng(seed), effects, **options), facts(*effects), QUESTION))


def redrawn(run: Run, change: Any) -> Run:
    """The run with other log odds of the positive class, in both tables."""

    def table(old: Predictions) -> Predictions:
        p = 1 / (1 + np.exp(-change(np.log(old.probabilities[:, 1] / old.probabilities[:, 0]))))
        return replace(old, probabilities=np.stack([1 - p, p], 1))

    return replace(run, test=table(run.test), validation=table(run.validation))


# Recalibration


@pytest.fixture(scope="module")
def alike() -> list[Run]:
    """Two arms of equal skill; one was trained on balanced classes, with odds twice too small."""
    runs = study(rng(5), {"real": 0.0, "oversample": 0.0}, n_groups=800, own_sd=0.3, n_splits=8)
    return [
        replace(redrawn(run, lambda odds: 0.5 * odds - 0.3), training_prior=np.array([0.5, 0.5]))
        if run.arm == "oversample"
        else run
        for run in runs
    ]


def test_the_correction_of_the_prior_alone_makes_a_harm_that_is_not_there(
    alike: list[Run],
) -> None:
    """Raw probabilities moved by the prior of training say harm; recalibrated ones do not."""
    by_split: dict[str, dict[str, float]] = {}
    for run in alike:
        moved = correct_prior(run.test.probabilities, run.training_prior, np.array([0.75, 0.25]))
        by_split.setdefault(run.fold, {})[run.arm] = squared_errors(moved, run.test.labels).mean()
    differences = np.array([one["oversample"] - one["real"] for one in by_split.values()])
    assert (resampled_t(differences, 0.25).p_greater() or 1) < 0.01
    arm = as_json(compare(alike, facts("real", "oversample"), QUESTION))["arms"]["oversample"]
    for key in ("brier_recalibrated", "log_loss"):
        cell = arm["against"]["real"]["metrics"][key]
        assert cell["low"] < 0 < cell["high"]
        assert abs(cell["value"]) < abs(differences.mean()) / 3
    assert arm["verdict"]["harms"] == []


def test_scores_after_recalibration_by_hand(alike: list[Run]) -> None:
    found = as_json(compare(alike, facts("real", "oversample"), QUESTION))
    run = next(one for one in alike if one.arm == "oversample" and one.fold == "split-00")
    fitted = fit_platt(run.validation.probabilities, run.validation.labels)
    assert fitted is not None
    p = fitted.apply(run.test.probabilities)[:, 1]
    row = found["arms"]["oversample"]["per_run"][0]
    assert row["log_loss"] == pytest.approx(log_loss(run.test.labels, p))
    assert row["brier_recalibrated"] == pytest.approx(((p - run.test.labels) ** 2).mean())
    assert "brier_corrected" not in row
    assert found["question"]["co_primary"] == "log_loss"
    calibration = found["arms"]["oversample"]["calibration"]
    assert set(calibration) == {"raw", "recalibrated"}
    assert abs(calibration["recalibrated"]["slope"]["value"] - 1) < 0.3
    assert calibration["raw"]["slope"]["value"] > 1.5


def test_a_given_prior_comes_after_recalibration(alike: list[Run]) -> None:
    """At 1:1 in use the scores are those of test images in these shares."""
    question = replace(QUESTION, deployment_prior=np.array([0.5, 0.5]), prior_is_given=True)
    found = as_json(compare(alike, facts("real", "oversample"), question))
    run = next(one for one in alike if one.arm == "oversample" and one.fold == "split-00")
    fitted = fit_platt(run.validation.probabilities, run.validation.labels)
    assert fitted is not None
    shares = np.bincount(run.validation.labels) / len(run.validation.labels)
    p = correct_prior(fitted.apply(run.test.probabilities), shares, np.array([0.5, 0.5]))[:, 1]
    labels = run.test.labels
    row = found["arms"]["oversample"]["per_run"][0]
    weights = np.where(labels == 1, 0.5 / (labels == 1).mean(), 0.5 / (labels == 0).mean())
    assert row["log_loss"] == pytest.approx(log_loss(labels, p, sample_weight=weights))
    assert row["brier_corrected"] == pytest.approx(np.average((p - labels) ** 2, weights=weights))
    arm = found["arms"]["oversample"]["against"]["real"]["metrics"]
    assert arm["log_loss"]["low"] < 0 < arm["log_loss"]["high"]


def test_validation_images_of_one_class_leave_log_loss_undefined(alike: list[Run]) -> None:
    def poor(run: Run) -> Run:
        one = replace(run.validation, labels=np.zeros_like(run.validation.labels))
        return replace(run, validation=one)

    runs = [poor(run) for run in alike]
    arm = as_json(compare(runs, facts("real", "oversample"), QUESTION))["arms"]["oversample"]
    assert arm["metrics"]["log_loss"]["value"] is None
    assert arm["metrics"]["log_loss"]["reason"]
    assert arm["metrics"]["auroc"]["value"] is not None
    assert "decision" in arm
    assert arm["decision"] == []


# Harm


def test_the_interval_of_a_harm_is_that_of_its_test() -> None:
    """A one-sided p of 0.037: the 95 % interval reaches 0, the 90 % interval does not."""
    t = ResampledT(mean=0.012, se=0.005, k=5)
    pairs: Any = {"gan": SimpleNamespace(t=lambda key: t)}
    (harm,) = harms(pairs, {"gan": "main"}, ["log_loss"], 0.05)["gan"]
    assert harm.confidence == pytest.approx(0.9)
    assert (t.interval() or (0.0,))[0] < 0 < (harm.difference.low or 0)
    assert harm.p_holm == pytest.approx(0.037, abs=0.001)


def test_harm_beside_an_equal_ranking_is_told_in_the_answer() -> None:
    """Probabilities of two values only: ranks are as before, but not how sure they are."""
    runs = study(rng(2), {"real": 0.0, "oversample": 0.0, "gan": 0.0}, n_groups=600, own_sd=0.1)

    def spoiled(run: Run) -> Run:
        if run.arm != "gan":
            return run
        return redrawn(run, lambda odds: np.where(odds > 0, 1.0, -1.0) + 1e-3 * odds)

    found = as_json(
        compare([spoiled(run) for run in runs], facts("real", "oversample", "gan"), QUESTION)
    )
    gan = found["arms"]["gan"]["verdict"]
    assert gan["word"] != "hurts"
    assert [harm["metric"] for harm in gan["harms"]] == ["log_loss"]
    assert gan["harms"][0]["difference"]["low"] > 0
    assert "Harm: log loss after recalibration" in found["verdict"]["sentence"]
    question = replace(QUESTION, secondary=("brier_recalibrated", "auroc"))
    more = as_json(
        compare([spoiled(run) for run in runs], facts("real", "oversample", "gan"), question)
    )
    assert {harm["metric"] for harm in more["arms"]["gan"]["verdict"]["harms"]} == {
        "log_loss", "brier_recalibrated",
    }  # fmt: skip


# Decisions


def test_the_decision_curve_by_hand() -> None:
    runs = study(rng(), {"real": 0.0, "focal": 1.0})
    found = as_json(compare(runs, facts("real", "focal"), QUESTION))
    place = DECISION_GRID.index(0.2)
    values: dict[str, list[float]] = {"real": [], "focal": []}
    for run in runs:
        fitted = fit_platt(run.validation.probabilities, run.validation.labels)
        assert fitted is not None
        acted = fitted.apply(run.test.probabilities)[:, 1] >= 0.2
        positive = run.test.labels == 1
        values[run.arm].append((acted & positive).mean() - (acted & ~positive).mean() * 0.2 / 0.8)
    point = found["arms"]["focal"]["decision"][place]
    assert point["threshold"] == 0.2
    assert point["level"]["value"] == pytest.approx(np.mean(values["focal"]))
    differences = np.array(values["focal"]) - np.array(values["real"])
    expected = resampled_t(differences, found["question"]["test_to_train"])
    change = point["difference_to_real"]
    assert change["value"] == pytest.approx(expected.mean)
    assert (change["low"], change["high"]) == pytest.approx(expected.interval())
    # Without a registered threshold one acts at the share of the positive class.
    assert found["question"]["decision_threshold"] == 0.2
    assert found["arms"]["focal"]["metrics"]["net_benefit"]["value"] == pytest.approx(
        point["level"]["value"]
    )


# Ceiling


def test_perfect_arms_have_nothing_to_gain() -> None:
    effects = {"real": 0.0, "oversample": 0.0, "gan": 0.0}
    found = result(effects, seed=3, n_groups=120, n_splits=5, signal=60.0)
    assert found["arms"]["gan"]["metrics"]["auroc"]["value"] == 1
    verdict = found["arms"]["gan"]["verdict"]
    assert verdict["word"] == found["verdict"]["word"] == "equivalent"
    assert verdict["nothing_to_gain"]
    assert verdict["p_equivalent"] == pytest.approx(0.99 ** (12 * 36))
    assert "othing to gain here" in verdict["sentence"]
    assert "othing to gain here" in found["verdict"]["sentence"]


def test_a_few_perfect_cases_exclude_little() -> None:
    found = result({"real": 0.0, "focal": 0.0}, seed=3, n_groups=40, n_splits=5, signal=60.0)
    verdict = found["arms"]["focal"]["verdict"]
    assert verdict["word"] == "inconclusive"
    assert verdict["nothing_to_gain"]
    assert "repeat" not in verdict["sentence"]


def test_two_splits_without_an_error_are_too_few() -> None:
    found = result({"real": 0.0, "focal": 0.0}, seed=3, n_splits=2, signal=60.0)
    assert found["arms"]["focal"]["verdict"]["word"] == "inconclusive"


# Order of tests


def test_further_arms_cost_the_main_question_nothing() -> None:
    effects = {"real": 0.0, "oversample": 0.0, "gan": 0.35}
    few = study(rng(4), effects, n_groups=300, own_sd=0.4)
    others = [f"other-{number}" for number in range(8)]
    copies = [replace(run, arm=name) for name in others for run in few if run.arm == "oversample"]
    alone = as_json(compare(few, facts(*effects), QUESTION))["arms"]["gan"]["verdict"]
    among = as_json(compare([*few, *copies], facts(*effects, *others), QUESTION))
    assert among["arms"]["gan"]["verdict"] == alone
    assert alone["role"] == "main"
    assert alone["detectable_low"] < alone["detectable"] < alone["detectable_high"]
    assert sum(alone["shares"].values()) == pytest.approx(1)
    assert among["question"]["main_arm"] == "gan"


def test_controls_are_a_family_of_their_own() -> None:
    effects = {"real": 0.0, "oversample": 0.0, "gan": 1.2, "noise": 0.0, "held-back-real": 0.0}
    arms = result(effects, n_groups=400, own_sd=0.4)["arms"]
    roles = {name: arm["verdict"].get("role") for name, arm in arms.items()}
    assert roles == {
        "real": None, "oversample": "after", "gan": "main",
        "noise": "control", "held-back-real": "control",
    }  # fmt: skip


def test_the_first_gan_arm_is_the_main_question_whatever_comes_out() -> None:
    effects = {"real": 0.0, "oversample": 0.0, "gan": 0.0, "gan-filtered": 1.5}
    found = result(effects, n_groups=400, own_sd=0.4)
    assert found["arms"]["gan-filtered"]["verdict"]["word"] == "helps"
    assert found["arms"]["gan-filtered"]["verdict"]["role"] == "exploratory"
    assert found["verdict"]["word"] != "helps"
    assert "gan-filtered (exploratory)" in found["verdict"]["sentence"]


# Cheapest and costs


def test_an_arm_is_as_good_only_by_its_interval() -> None:
    same = result({"real": 0.0, "oversample": 0.0, "gan": 0.0}, n_groups=4000, own_sd=0.02)
    assert "not worse than gan by more than 0.01: real images alone" in same["verdict"]["sentence"]
    wide = result({"real": 0.0, "oversample": 0.0, "gan": 0.0})
    assert "In this sample" in wide["verdict"]["sentence"]
    assert "not worse than" not in wide["verdict"]["sentence"]


def test_minutes_of_a_split_include_its_images_once() -> None:
    runs = study(rng(), {"real": 0.0, "gan": 0.0}, seeds=2)
    runs = [replace(run, seconds_of_images=600.0) if run.arm == "gan" else run for run in runs]
    arms = as_json(compare(runs, facts("real", "gan"), QUESTION))["arms"]
    seconds = {run.arm: run.seconds for run in runs}
    assert arms["real"]["minutes_per_split"] == pytest.approx(2 * seconds["real"] / 60)
    assert arms["gan"]["minutes_per_split"] == pytest.approx(10 + 2 * seconds["gan"] / 60)
    assert arms["gan"]["minutes"] == pytest.approx(seconds["gan"] / 60)


# Subgroups


def test_subgroups_have_the_primary_metric_of_their_own_images() -> None:
    runs = study(rng(), {"real": 0.0, "focal": 0.8}, n_groups=300)
    images = sorted({one for run in runs for one in run.test.image_ids})
    sex = {one: "F" if int(one.removeprefix("image")) % 3 else "M" for one in images}
    age = {one: f"{(int(one.removeprefix('image')) * 7) % 90:03d}Y" for one in images}
    rare = dict.fromkeys(images[:1], "only")
    columns = {"sex": sex, "age": age, "site": rare}
    metrics = compare(runs, facts("real", "focal"), QUESTION, columns=columns)
    parts = {(part.column, part.value): part for part in metrics.subgroups}
    assert [value for column, value in parts if column == "age"] == [
        "under 18", "18 to 39", "40 to 64", "65 and older",
    ]  # fmt: skip
    women = parts["sex", "F"]
    labels = {
        one: c for run in runs for one, c in zip(run.test.image_ids, run.test.labels, strict=True)
    }
    assert women.n == {
        "Normal": sum(sex[one] == "F" and labels[one] == 0 for one in images),
        "COVID": sum(sex[one] == "F" and labels[one] == 1 for one in images),
    }

    def areas(arm: str) -> np.ndarray:
        found = []
        for run in sorted((r for r in runs if r.arm == arm), key=lambda r: r.fold):
            mine = np.array([sex[one] == "F" for one in run.test.image_ids])
            found.append(roc_auc_score(run.test.labels[mine], run.test.probabilities[mine, 1]))
        return np.array(found)

    own, change = women.arms["focal"].level, women.arms["focal"].difference_to_real
    assert own.value == pytest.approx(areas("focal").mean())
    assert change is not None
    expected = resampled_t(areas("focal") - areas("real"), metrics.question.test_to_train)
    assert (change.value, change.low, change.high) == pytest.approx(
        (expected.mean, *(expected.interval() or ()))
    )
    lonely = parts["site", "only"].arms["focal"].level
    assert lonely.value is None
    assert lonely.reason
    assert parts["site", "not known"].n["Normal"] > 0
    assert not math.isnan(own.value or 0.0)


def test_a_finding_of_one_class_alone_is_no_subgroup() -> None:
    runs = study(rng(), {"real": 0.0, "focal": 0.0})
    labels = {
        one: c for run in runs for one, c in zip(run.test.image_ids, run.test.labels, strict=True)
    }
    columns = {
        "finding:Edema": {one: "yes" if n % 2 else "no" for n, one in enumerate(labels)},
        "finding:Nothing": {one: "no" if c else "yes" for one, c in labels.items()},
    }
    metrics = compare(runs, facts("real", "focal"), QUESTION, columns=columns)
    assert {part.column for part in metrics.subgroups} == {"finding:Edema"}


def test_a_column_of_names_is_no_subgroup() -> None:
    runs = study(rng(), {"real": 0.0, "focal": 0.0})
    names = {one: one for run in runs for one in run.test.image_ids}
    metrics = compare(runs, facts("real", "focal"), QUESTION, columns={"scanner": names})
    assert metrics.subgroups == ()
