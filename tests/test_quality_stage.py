"""`balancer quality` on a finished run: what it measures, with what, and what it refuses."""

import json
import pickle
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from balancer.cli import main
from balancer.config import BalancerConfig
from balancer.data.index import Index
from balancer.errors import IntegrityError
from balancer.quality.choice import choice_sentence, chosen_by
from balancer.quality.records import QualityMetrics
from balancer.quality.snapshot_scorer import Lite0Scorer
from balancer.results import MissingStage, read_result, result_json
from balancer.stages import quality, report, synthesize
from balancer.workspace import Workspace
from support.tiny_pipeline import config_for, metrics_of, tree

ONE = "quality.extractors=[lite0]"


def test_all_extractors_are_measured_and_never_mixed(finished: Workspace) -> None:
    result = read_result(finished.quality_dir, QualityMetrics)
    assert result is not None
    entry = result.metrics.classes["COVID"]
    names = set(entry.against["training"])
    assert {name.partition("[")[2] for name in names} == {"lite2]", "lite0]", "classifier]"}
    assert {name.partition("[")[0] for name in names} >= {"fid", "kid"}
    for name, distance in entry.against["training"].items():
        assert name.endswith(f"[{distance.recipe['extractor']}]")
        assert len(distance.recipe["weights_sha256"]) == 64
    assert set(entry.memorization.distance) == {"lite2", "lite0", "classifier", "edges"}
    assert set(entry.identity.distances) == {"lite2", "edges"}
    assert entry.n == entry.n_made
    assert entry.gate.passed == all(check.passed is not False for check in entry.gate.checks)


def test_the_extractor_that_chose_the_images_is_marked_and_not_asked(
    finished: Workspace, config: BalancerConfig
) -> None:
    result = quality.run(config, finished)
    entry = result.metrics.classes["COVID"]
    chosen = chosen_by("COVID", finished)
    assert chosen == {"lite0": ("snapshot",), "lite1": ("screen",)}
    assert entry.main not in chosen
    assert entry.chosen_by == {"lite0": ("snapshot",)}  # the screen's extractor is not measured
    for metrics in entry.against.values():
        assert {name for name, one in metrics.items() if one.chose} == {
            name for name in metrics if name.endswith("[lite0]")
        }
    asked = {answer.name for answer in entry.gate.checks}
    assert {name for name in asked if "lite0" in name} == set()
    assert {"coverage[lite2]", "coverage[classifier]", "nearest class [lite2]"} <= asked
    sentence = choice_sentence(entry.chosen_by, entry.main)
    assert sentence is not None
    assert sentence in [str(part) for part in quality.summary(result)]
    page = (finished.report_dir / "report.html").read_text()
    assert "lite0 also chose these images" in page
    assert "kid[lite0] ↓ *" in page
    files = json.loads((finished.report_dir / "metrics" / "images-COVID.json").read_text())
    assert files["also chose the images"] == "lite0"


def test_images_of_an_earlier_screen_stay_and_say_what_chose_them(
    copied: Workspace, config: BalancerConfig
) -> None:
    path = copied.synthetic_dir / "result.json"
    record = json.loads(path.read_text())
    del record["inputs"]["extractors"]
    path.write_text(json.dumps(record))
    before = tree(copied.synthetic_dir)
    synthesize.run(config, copied)
    assert tree(copied.synthetic_dir) == before
    assert chosen_by("COVID", copied) == {"lite0": ("snapshot", "screen")}


def test_an_extractor_that_is_named_first_is_asked_though_it_chose(
    copied: Workspace, data: Path
) -> None:
    entry = quality.run(config_for(data, ONE), copied, force=True).metrics.classes["COVID"]
    assert "coverage[lite0]" in {answer.name for answer in entry.gate.checks}
    assert entry.main == "lite0"
    assert entry.against["training"]["kid[lite0]"].chose


def test_images_that_nobody_chose_have_no_mark(copied: Workspace) -> None:
    assert chosen_by("COVID", copied) == {"lite0": ("snapshot",), "lite1": ("screen",)}
    for directory, change in (
        (copied.synthetic_dir, {"settings": {"screen": {"reasons": []}}}),
        (copied.gan_dir("COVID"), {"metrics": {"selected": None}}),
    ):
        content = json.loads((directory / "result.json").read_text())
        for part, values in change.items():
            content[part] |= values
        (directory / "result.json").write_text(json.dumps(content))
    assert chosen_by("COVID", copied) == {}


def test_the_judge_marks_images_that_a_workspace_chose(
    finished: Workspace, data: Path, tmp_path: Path
) -> None:
    made = finished.synthetic_dir / "COVID"
    words = ["--class", "COVID", "--out", str(tmp_path / "out"), "--set", ONE, "--json"]
    done = CliRunner().invoke(main, ["judge", str(finished.root), str(made), *words])
    assert done.exit_code == 0, done.output
    entry = json.loads(done.stdout)["metrics"]["classes"]["COVID"]["quality"]
    assert entry["chosen_by"] == {"lite0": ["snapshot"]}
    assert entry["against"]["training"]["kid[lite0]"]["chose"] is True
    page = (tmp_path / "out" / "judge" / "judge.html").read_text()
    assert "lite0 also chose these images" in page


def test_a_result_of_an_earlier_version_is_read_and_written_back_unchanged(
    copied: Workspace,
) -> None:
    path = copied.quality_dir / "result.json"
    content = json.loads(path.read_text())
    content["metrics"]["classes"]["COVID"]["against"]["training"]["fid[lite0]"]["infinity"] = None
    path.write_text(json.dumps(content))
    found = read_result(copied.quality_dir, QualityMetrics)
    assert found is not None
    assert result_json(found) == content


def test_a_result_of_fewer_checks_is_measured_again_without_force(
    copied: Workspace, config: BalancerConfig
) -> None:
    path = copied.quality_dir / "result.json"
    content = json.loads(path.read_text())
    content["inputs"].pop("checks")
    content["metrics"]["classes"]["COVID"].pop("spread")
    path.write_text(json.dumps(content))
    quality.run(config, copied)
    assert "spread" in metrics_of(copied.quality_dir)["classes"]["COVID"]


def test_the_discriminators_membership_figure_is_that_of_the_kept_snapshot(
    finished: Workspace,
) -> None:
    entry = metrics_of(finished.quality_dir)["classes"]["COVID"]
    trained = metrics_of(finished.gan_dir("COVID"))
    assert entry["membership"]["auroc"] == trained["selected"]["membership_auroc"]
    assert 0 <= entry["membership"]["auroc"] <= 1


def test_pictures_can_be_opened_and_show_something(finished: Workspace) -> None:
    names = {path.stem for path in finished.quality_dir.glob("*.png")}
    assert names == {
        f"{name}-COVID"
        for name in (
            "beside", "closest", "generated", "interpolation", "map-classifier", "map-lite0",
            "map-lite2", "real",
        )
    }  # fmt: skip
    for path in finished.quality_dir.glob("*.png"):
        with Image.open(path) as image:
            assert len(np.unique(np.asarray(image.convert("L")))) > 10


def test_no_test_image_is_read(
    copied: Workspace, config: BalancerConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    original, asked = Index.pixels, []

    def pixels(self: Index, size: int, split: str, label: str) -> Any:
        asked.append(split)
        return original(self, size, split, label)

    monkeypatch.setattr(Index, "pixels", pixels)
    quality.run(config, copied, force=True)
    assert set(asked) == {"train", "val"}


def test_a_classifier_that_saw_synthetic_images_is_no_extractor(
    copied: Workspace, config: BalancerConfig
) -> None:
    shutil.rmtree(copied.classify_dir("real"))
    shutil.copytree(copied.classify_dir("real+synthetic"), copied.classify_dir("real"))
    with pytest.raises(IntegrityError, match=r"classify/real "):
        quality.run(config, copied, force=True)


def test_without_a_classifier_the_others_are_measured_and_the_log_says_so(
    copied: Workspace, config: BalancerConfig, data: Path, caplog: pytest.LogCaptureFixture
) -> None:
    shutil.rmtree(copied.classify_dir("real"))
    caplog.set_level("INFO")
    result = quality.run(config, copied)
    assert "balancer classify" in caplog.text
    names = result.metrics.classes["COVID"].against["training"]
    assert {name.partition("[")[2] for name in names} == {"lite2]", "lite0]"}
    with pytest.raises(MissingStage, match="balancer classify"):
        quality.run(config_for(data, "quality.extractors=[classifier]"), copied, force=True)


def test_strict_refuses_after_everything_is_written(copied: Workspace, data: Path) -> None:
    hopeless = config_for(data, ONE, "gate.min_coverage=1", "gate.max_similarity=0")
    passing = config_for(
        data, ONE, "gate.max_trivial_auroc=1", "gate.min_coverage=0", "gate.max_similarity=1",
        "gate.max_twins=1", "gate.max_near_copies=1", "gate.min_own_class=0",
    )  # fmt: skip
    with pytest.raises(IntegrityError, match=r"COVID \("):
        quality.run(hopeless, copied, force=True, strict=True)
    assert metrics_of(copied.quality_dir)["classes"]["COVID"]["gate"]["passed"] is False
    entry = quality.run(passing, copied, force=True).metrics.classes["COVID"]
    decided = {check.name: check.passed for check in entry.gate.checks}
    for name in ("memorization", "diversity", "shortcut"):
        assert decided[name] is not False


def test_the_report_shows_a_failed_gate(copied: Workspace, data: Path) -> None:
    hopeless = config_for(data, ONE, "gate.min_coverage=1", "gate.max_similarity=0")
    quality.run(hopeless, copied, force=True)
    result = report.run(hopeless, copied, force=True)
    assert "fail the quality gate" in result.metrics.sentence
    page = (copied.report_dir / "report.html").read_text()
    assert "fails the gate" in page
    assert page.count("data:image/png") > 8
    assert "cannot be told" in page or "pass" in page


def test_the_summary_names_every_check(finished: Workspace, config: BalancerConfig) -> None:
    result = quality.run(config, finished)
    text = " ".join(str(part) for part in quality.summary(result))
    for check in result.metrics.classes["COVID"].gate.checks:
        assert check.sentence in text
    assert json.dumps(result_json(result), allow_nan=False)


def smooth(n: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (n, 8, 8), dtype=np.uint8)
    return coarse.repeat(4, axis=1).repeat(4, axis=2)


def test_the_scores_of_snapshots_depend_on_quality_collapse_and_copies() -> None:
    training, validation = smooth(30, 0), smooth(20, 1)
    scorer = Lite0Scorer(training, validation)
    honest = scorer(smooth(40, 2))
    noise = scorer(np.random.default_rng(3).integers(0, 256, (40, 32, 32), dtype=np.uint8))
    collapsed = scorer(smooth(2, 4).repeat(20, axis=0))
    copies = scorer(training)
    assert abs(honest.kid) < 0.2 < noise.kid
    assert honest.diversity == pytest.approx(1, abs=0.2)
    assert collapsed.diversity < 0.6
    assert 0.3 < honest.closer_to_training < 0.7 < copies.closer_to_training
    assert pickle.loads(pickle.dumps(scorer))(training) == copies
