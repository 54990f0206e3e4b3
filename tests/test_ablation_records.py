"""Published studies of older versions are read as today's records, and written back unchanged."""

import json
from pathlib import Path

import numpy as np
import pytest

from balancer.ablation.records import AblateMetrics
from balancer.report.records import Study
from balancer.statistics.resampled_t import mean_by_split, resampled_t
from support.planted_studies import as_json

RESULTS = Path(__file__).parent.parent / "docs" / "results"


@pytest.mark.parametrize("study", ["ablation-darkcovid", "ablation-radiography-bam"])
def test_a_published_study_comes_back_the_same(study: str) -> None:
    report = json.loads((RESULTS / study / "report.json").read_text(encoding="utf-8"))
    metrics = report["ablation"]["metrics"]
    read = AblateMetrics.model_validate(metrics)
    assert json.dumps(as_json(read)) == json.dumps(metrics)
    assert read.arms["real"].verdict.word == "reference"


@pytest.mark.parametrize("study", ["ablation-darkcovid", "ablation-radiography-bam"])
def test_the_statistics_of_a_published_study_are_todays(study: str) -> None:
    """Means, corrected t intervals and p values, computed again from the scores of its runs."""
    report = json.loads((RESULTS / study / "report.json").read_text(encoding="utf-8"))
    read = AblateMetrics.model_validate(report["ablation"]["metrics"])
    ratio, n = read.question.test_to_train, 0
    for arm in read.arms.values():
        for key, level in arm.metrics.items():
            values = np.array([run.value(key) for run in arm.per_run])
            t = resampled_t(mean_by_split(values, [run.fold for run in arm.per_run]), ratio)
            low, high = t.interval() or (None, None)
            assert level.value == pytest.approx(t.mean, abs=1e-12)
            assert low is not None
            assert high is not None
            assert (level.low, level.high) == pytest.approx((max(low, 0), min(high, 1)))
        for other, tests in arm.against.items():
            reference = {(run.fold, run.seed): run for run in read.arms[other].per_run}
            pairs = [(run, reference[run.fold, run.seed]) for run in arm.per_run]
            for key, cell in tests.metrics.items():
                differences = np.array(
                    [(a.value(key) or 0) - (b.value(key) or 0) for a, b in pairs]
                )
                t = resampled_t(mean_by_split(differences, [a.fold for a, _ in pairs]), ratio)
                assert cell.value == pytest.approx(t.mean, abs=1e-12)
                assert (cell.low, cell.high) == pytest.approx(t.interval(), abs=1e-12)
                assert cell.p == pytest.approx(t.p_two_sided(), abs=1e-12)
                n += 1
    assert n > 70


def test_the_published_mean_over_three_classes_is_named_macro() -> None:
    report = json.loads((RESULTS / "ablation-darkcovid/report.json").read_text(encoding="utf-8"))
    study = Study(AblateMetrics.model_validate(report["ablation"]["metrics"]))
    assert (study.title, study.titles["f1"]) == ("macro AUROC", "macro F1")
    two = json.loads((RESULTS / "ablation-radiography-bam/report.json").read_text("utf-8"))
    assert Study(AblateMetrics.model_validate(two["ablation"]["metrics"])).title == "AUROC"
