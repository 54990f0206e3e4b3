"""Means over runs on the very same images; metrics that are coarse; ledgers of other data sets."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from balancer.ablation.compare import compare
from balancer.ablation.runs import Run
from balancer.ablation.same_images import compare_on_same_images
from balancer.evaluation.ledger import ledger_summary, note_read, read_ledger
from support.planted_studies import QUESTION, as_json, facts, study

ARMS = ("real", "focal")


@pytest.fixture(scope="module")
def runs() -> list[Run]:
    return study(np.random.default_rng(0), {"real": 0.0, "focal": 0.8}, n_splits=1, seeds=3)


def test_intervals_hold_the_mean_that_they_are_of(runs: list[Run]) -> None:
    found = compare_on_same_images(runs, QUESTION)
    for arm in ARMS:
        for entry in found[arm].metrics.values():
            assert entry.low <= entry.value <= entry.high
    differences = found["focal"].difference_to_real
    assert differences is not None
    for key, difference in differences.items():
        both = [found[arm].metrics[key].value for arm in ARMS]
        assert difference.value == pytest.approx(both[1] - both[0])
        assert difference.low <= difference.value <= difference.high


def test_equal_runs_do_not_differ(runs: list[Run]) -> None:
    twins = [run for run in runs if run.arm == "real"]
    twins += [replace(run, arm="focal") for run in twins]
    found = compare_on_same_images(twins, QUESTION)["focal"].difference_to_real
    assert found is not None
    assert all((d.value, d.low, d.high) == (0, 0, 0) for d in found.values())


def test_images_of_one_class_leave_auroc_undefined(runs: list[Run]) -> None:
    alone = []
    for run in runs:
        rows = np.flatnonzero(run.test.labels == 0)
        alone.append(replace(run, test=run.test.take([int(row) for row in rows])))
    metrics = compare_on_same_images(alone, QUESTION)["real"].metrics
    assert metrics["auroc"].value is None
    assert metrics["auroc"].reason
    assert metrics["specificity"].value is not None


def test_a_coarse_metric_that_is_equal_by_chance_shows_nothing() -> None:
    """Sensitivity of a few cases at a threshold that all reach is 1 throughout, in both arms."""
    some = study(np.random.default_rng(1), {"real": 0.0, "focal": 0.0}, n_groups=60, n_splits=5)
    lenient = [replace(run, threshold=0.0) for run in some]
    question = replace(QUESTION, primary="sensitivity")
    found = as_json(compare(lenient, facts("real", "focal"), question))["arms"]["focal"]
    assert found["verdict"]["difference"]["value"] == 0
    assert found["verdict"]["difference"]["low"] is None
    assert found["verdict"]["word"] == "inconclusive"


def test_a_data_set_named_test_is_not_the_test_split(tmp_path: Path) -> None:
    for what in ("test", "external:test"):
        note_read(
            tmp_path, what=what, fold="f", seed=0, arm="real", images=3, images_sha256="0" * 64
        )
    found = ledger_summary(read_ledger(tmp_path))
    assert (found.reads, found.runs) == (1, 1)
    assert found.most_reads_of_a_case_per_arm_and_seed == 1
    assert found.reads_elsewhere == {"test": 1}
