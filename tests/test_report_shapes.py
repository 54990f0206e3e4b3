"""Reports of studies that lack something: arms, runs, images, audits, predictions."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from balancer.config import BalancerConfig
from balancer.data.index import load_index
from balancer.errors import IntegrityError
from balancer.results import MissingStage
from balancer.stages import prepare, report
from balancer.workspace import Workspace
from support.made_ablation import FACTS, PLAIN, read_json, write_ablation
from support.tiny_pipeline import config_for

FEW = tuple(facts for facts in FACTS if facts.name in ("real", "oversample", "gan ratio=2:1"))
CHEAP = tuple(facts for facts in FACTS if facts.name in ("real", "oversample"))


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory, config: BalancerConfig) -> Path:
    workspace = Workspace(tmp_path_factory.mktemp("prepared") / "work")
    prepare.run(config, workspace)
    return workspace.root


@pytest.fixture
def prepared(tmp_path: Path, index: Path) -> Workspace:
    shutil.copytree(index, tmp_path / "work")
    return Workspace(tmp_path / "work")


def reported(config: BalancerConfig, workspace: Workspace, **changes: Any) -> tuple[str, Any]:
    """Page and JSON of a small study."""
    settings: dict[str, Any] = {"arms": FEW, "n_folds": 2, "n": 60} | changes
    write_ablation(workspace, load_index(workspace.index_dir).index_hash, **settings)
    report.run(config, workspace)
    page = (workspace.report_dir / "report.html").read_text(encoding="utf-8")
    return page, read_json(workspace.report_dir / "report.json")


def sections(found: Any) -> list[str]:
    return [section["id"] for section in found["sections"]]


def test_an_ablation_alone_makes_a_page(prepared: Workspace, config: BalancerConfig) -> None:
    page, found = reported(config, prepared)
    assert "comparison" not in sections(found)
    assert "The quality of synthetic images was not measured" not in page  # the splits were
    assert found["comparison"] is None
    assert (prepared.report_dir / "forest-narrow.png").is_file()
    assert (prepared.report_dir / "report.md").stat().st_size > 10_000


def test_without_a_gan_the_question_is_another(prepared: Workspace, config: BalancerConfig) -> None:
    page, found = reported(config, prepared, arms=CHEAP, extras=False)
    assert found["question"].startswith("Does balancing the classes help")
    assert "control" not in sections(found)
    assert set(found["curves"]["roc"]) == {"real", "oversample"}
    assert "not every GAN" not in page
    assert "No probe was run" in page


def test_one_run_has_no_intervals_and_says_so(prepared: Workspace, config: BalancerConfig) -> None:
    page, found = reported(config, prepared, n_folds=1, extras=False)
    assert "One data set and one run per arm" in " ".join(found["limits"])
    arms = found["ablation"]["metrics"]["arms"]
    assert arms["oversample"]["against"]["real"]["metrics"]["auroc"]["low"] is None
    assert "undefined" in page
    for word in ("nan", "None", "NaN"):
        assert f">{word}<" not in page


def test_three_classes_have_no_threshold(prepared: Workspace, config: BalancerConfig) -> None:
    page, found = reported(config, prepared, names=("COVID", "Normal", "Pneumonia"))
    shares = found["curves"]["confusion"]["real"]["shares"]
    assert [len(row) for row in shares] == [3, 3, 3]
    for row in shares:
        assert sum(share["value"] for share in row) == pytest.approx(1)
    assert "as Pneumonia" in page


def test_undefined_values_are_words_with_reasons(
    prepared: Workspace, config: BalancerConfig
) -> None:
    metrics = write_ablation(
        prepared, load_index(prepared.index_dir).index_hash, arms=FEW, n_folds=2, n=60
    )
    none = {"value": None, "low": None, "high": None, "reason": "no | image was of <it>"}
    arm = metrics["arms"]["gan ratio=2:1"]
    level = none | {"sd_runs": None, "sd_cases": None, "n": 0}
    arm["metrics"]["auroc"] = arm["calibration"]["raw"]["slope"] = level
    arm["against"]["real"]["metrics"]["auroc"] = none | {
        "p": None, "p_holm": None, "bootstrap": {"low": None, "high": None}, "n": 0
    }  # fmt: skip
    arm["against"]["real"]["delong"] = {
        "median_p": None, "n_significant": None, "combined_p": None, "p": [None],
        "reason": "no variance",
    }  # fmt: skip
    record = read_json(prepared.ablation_dir / "result.json") | {"metrics": metrics}
    (prepared.ablation_dir / "result.json").write_text(json.dumps(record))
    report.run(config, prepared)
    page = (prepared.report_dir / "report.html").read_text(encoding="utf-8")
    assert "no | image was of &lt;it&gt;" in page
    assert "no variance" in page
    assert ">undefined<" in page
    assert ">None<" not in page


def test_an_arm_without_runs_is_undefined(prepared: Workspace, config: BalancerConfig) -> None:
    hash_ = load_index(prepared.index_dir).index_hash
    write_ablation(prepared, hash_, arms=FEW, n_folds=2, n=60, idle=("gan ratio=2:1",))
    report.run(config, prepared)
    found = read_json(prepared.report_dir / "report.json")
    assert "gan ratio=2:1" not in found["curves"]["roc"]
    page = (prepared.report_dir / "report.html").read_text(encoding="utf-8")
    reason = found["ablation"]["metrics"]["arms"]["gan ratio=2:1"]["metrics"]["auroc"]["reason"]
    assert reason
    assert reason in page


def test_caps_are_on_the_first_screen(prepared: Workspace, config: BalancerConfig) -> None:
    cap = "The source of an image gives its class away (Cramer's V 0.97)."
    page, found = reported(config, prepared, caps=[cap])
    assert any(cap in limit for limit in found["limits"])
    assert "without the cap" in page


def test_predictions_that_are_gone_leave_the_tables(
    prepared: Workspace, config: BalancerConfig
) -> None:
    write_ablation(prepared, load_index(prepared.index_dir).index_hash, arms=FEW, n_folds=2, n=60)
    shutil.rmtree(prepared.root / "runs")
    report.run(config, prepared)
    page = (prepared.report_dir / "report.html").read_text(encoding="utf-8")
    assert "predictions of the runs are no longer in the workspace" in page
    assert "Calibration, mean over the runs" in page
    assert not (prepared.report_dir / "roc.png").exists()


def test_an_audit_without_extras_is_enough(prepared: Workspace, config: BalancerConfig) -> None:
    (prepared.index_dir / "audit.json").unlink()
    page, _ = reported(config, prepared, extras=False)
    assert "Source by class: not known" in page
    assert "How the images were split was not recorded" in page


def test_changed_predictions_are_refused(prepared: Workspace, config: BalancerConfig) -> None:
    write_ablation(prepared, load_index(prepared.index_dir).index_hash, arms=FEW, n_folds=2, n=60)
    path = next((prepared.root / "runs" / "units").rglob("test.csv"))
    path.write_text(path.read_text().replace("0.", "0.1", 1))
    with pytest.raises(IntegrityError, match=path.name):
        report.run(config, prepared)


def test_predictions_of_another_comparison_are_refused(
    prepared: Workspace, config: BalancerConfig
) -> None:
    metrics = write_ablation(
        prepared, load_index(prepared.index_dir).index_hash, arms=FEW, n_folds=2, n=60
    )
    metrics["arms"]["real"]["per_run"][0]["auroc"] -= 0.01
    record = read_json(prepared.ablation_dir / "result.json") | {"metrics": metrics}
    (prepared.ablation_dir / "result.json").write_text(json.dumps(record))
    with pytest.raises(IntegrityError):
        report.run(config, prepared)


def test_an_ablation_of_another_index_is_refused(
    prepared: Workspace, config: BalancerConfig
) -> None:
    write_ablation(prepared, "of another split", arms=FEW, n_folds=2, n=60)
    with pytest.raises(IntegrityError, match=r"--force"):
        report.run(config, prepared)


def test_with_nothing_to_tell_both_ways_are_named(
    prepared: Workspace, config: BalancerConfig
) -> None:
    with pytest.raises(MissingStage, match="balancer classify") as caught:
        report.run(config, prepared)
    assert caught.value.stage == "ablate"
    assert not caught.value.cheap


def test_two_classifiers_alone_make_a_page_too(finished: Workspace) -> None:
    page = (finished.report_dir / "report.html").read_text(encoding="utf-8")
    found = read_json(finished.report_dir / "report.json")
    assert found["ablation"] is None
    assert sections(found) == [
        "comparison", "images", "sharing", "audit", "ledger", "methods", "checklist",
        "recipes",
    ]  # fmt: skip
    assert found["question"] in page
    assert any("balancer ablate" in limit for limit in found["limits"])


def test_half_a_comparison_is_left_out(finished: Workspace, tmp_path: Path, data: Path) -> None:
    shutil.copytree(finished.root, tmp_path / "work")
    workspace = Workspace(tmp_path / "work")
    shutil.rmtree(workspace.classify_dir("real+synthetic"))
    write_ablation(workspace, load_index(workspace.index_dir).index_hash, arms=FEW, n_folds=2, n=60)
    report.run(config_for(data), workspace, force=True)
    assert "comparison" not in sections(read_json(workspace.report_dir / "report.json"))


def test_plain_names_are_shown_as_they_are(prepared: Workspace, config: BalancerConfig) -> None:
    page, _ = reported(config, prepared, names=PLAIN)
    assert "Do GAN images help a classifier to find COVID" in page
