"""Published studies of older versions are read as today's records, and written back unchanged."""

import json
from pathlib import Path

import pytest

from balancer.ablation.records import AblateMetrics
from support.planted_studies import as_json

RESULTS = Path(__file__).parent.parent / "docs" / "results"


@pytest.mark.parametrize("study", ["ablation-darkcovid", "ablation-radiography-bam"])
def test_a_published_study_comes_back_the_same(study: str) -> None:
    report = json.loads((RESULTS / study / "report.json").read_text(encoding="utf-8"))
    metrics = report["ablation"]["metrics"]
    read = AblateMetrics.model_validate(metrics)
    assert json.dumps(as_json(read)) == json.dumps(metrics)
    assert read.arms["real"].verdict.word == "reference"
