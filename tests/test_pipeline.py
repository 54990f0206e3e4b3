"""The main job from a folder of images to the table."""

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from balancer.config import BalancerConfig
from balancer.errors import ConfigurationError, DataError, EnvironmentFault
from balancer.manifest import ImageRecord, SyntheticRecord, read_table
from balancer.stages import classify, gan_train, prepare, synthesize
from balancer.stages import run as everything
from balancer.workspace import Workspace
from support.tiny_pipeline import config_for, draw_folder, metrics_of, tree


@pytest.mark.fault(36)
def test_the_images_bring_the_training_split_to_the_ratio(finished: Workspace) -> None:
    real = read_table(finished.index_dir / "index.csv", ImageRecord)
    made = read_table(finished.synthetic_dir / "manifest.csv", SyntheticRecord)
    counts = {
        label: sum(record.label == label and record.split == "train" for record in [*real, *made])
        for label in ("COVID", "Normal")
    }
    assert counts["COVID"] == -(-counts["Normal"] // 2)
    assert len(made) == len(list(finished.synthetic_dir.glob("COVID/*.png"))) > 0


@pytest.mark.fault(63)
def test_synthetic_images_are_marked_inside_and_outside(finished: Workspace) -> None:
    made = read_table(finished.synthetic_dir / "manifest.csv", SyntheticRecord)
    for record in made:
        with Image.open(finished.synthetic_dir / record.path) as image:
            assert image.info["Synthetic"] == "true"
            assert image.info["Checkpoint"] == record.checkpoint
            assert image.info["Seed"] == str(record.seed)
            assert (image.mode, image.size) == ("L", (32, 32))
        assert (record.origin, record.split, record.accepted) == ("synthetic", "train", True)


def test_both_arms_differ_in_their_training_images_alone(finished: Workspace) -> None:
    real, both = (metrics_of(finished.classify_dir(arm)) for arm in ("real", "real+synthetic"))
    assert real["n_steps"] == both["n_steps"]
    assert real["training_images"]["real"] == both["training_images"]["real"]
    assert (real["training_images"]["synthetic"], both["training_images"]["synthetic"]) == (
        0,
        len(read_table(finished.synthetic_dir / "manifest.csv", SyntheticRecord)),
    )


def test_the_test_split_is_real_and_whole(finished: Workspace) -> None:
    index = read_table(finished.index_dir / "index.csv", ImageRecord)
    test = [record.image_id for record in index if record.split == "test"]
    for arm in ("real", "real+synthetic"):
        with (finished.classify_dir(arm) / "predictions.csv").open() as file:
            rows = list(csv.DictReader(file))
        assert [row["image_id"] for row in rows] == test
        for row in rows:
            assert float(row["p:COVID"]) + float(row["p:Normal"]) == pytest.approx(1)


def test_the_scalars_of_a_test_have_intervals(finished: Workspace) -> None:
    test = metrics_of(finished.classify_dir("real"))["test"]
    for name in ("accuracy", "balanced_accuracy", "auroc", "average_precision", "ece"):
        assert 0 <= test[name]["low"] <= test[name]["value"] <= test[name]["high"] <= 1
    assert np.sum(test["confusion"]) == test["n"]


def test_the_difference_is_that_of_the_arms(finished: Workspace) -> None:
    for row in metrics_of(finished.report_dir)["rows"]:
        if row["difference"]["value"] is not None:
            change = row["real+synthetic"]["value"] - row["real"]["value"]
            assert row["difference"]["value"] == pytest.approx(change, abs=2e-6)


def test_the_generator_knows_its_training_images_and_no_others(finished: Workspace) -> None:
    card = json.loads((finished.gan_dir("COVID") / "generator.json").read_text())
    index = read_table(finished.index_dir / "index.csv", ImageRecord)
    train = {r.image_id for r in index if r.split == "train" and r.label == "COVID"}
    assert set(card["training_ids"]) == train


def test_pictures_are_made(finished: Workspace) -> None:
    for path in (
        "gan/COVID/losses.png",
        "gan/COVID/grid.png",
        "quality/generated-COVID.png",
        "quality/real-COVID.png",
        "classify/real/roc.png",
        "classify/real/precision-recall.png",
        "classify/real/confusion.png",
        "classify/real/learning-curves.png",
        "report/differences.png",
    ):
        with Image.open(finished.root / path) as image:
            low, high = image.convert("L").getextrema()
            assert low != high, f"{path} is blank"


def test_the_report_loads_nothing_and_says_what_it_is(finished: Workspace) -> None:
    page = (finished.report_dir / "report.html").read_text()
    assert "not for diagnosis" in page
    assert "http" not in page.replace("http-equiv", "")
    assert page.count("data:image/png;base64,") >= 8


def test_a_second_run_changes_nothing(finished: Workspace, config: BalancerConfig) -> None:
    before = tree(finished.root)
    everything.run(config, finished)
    assert tree(finished.root) == before


@pytest.mark.fault(51)
def test_the_same_seed_gives_the_same_files_elsewhere(
    tmp_path: Path, finished: Workspace, config: BalancerConfig
) -> None:
    again = Workspace(tmp_path / "again")
    prepare.run(config, again)
    gan_train.run(config, again)
    synthesize.run(config, again)
    for path in ("index/index.csv", "synthetic/manifest.csv", "gan/COVID/generator.safetensors"):
        assert (again.root / path).read_bytes() == (finished.root / path).read_bytes()


def test_other_settings_are_refused_without_force(copied: Workspace, data: Path) -> None:
    before = tree(copied.root)
    longer = config_for(data, "gan.images_shown=80", "classifier.epochs=2", "synthesis.ratio=1:1")
    for stage in (gan_train, classify, synthesize):
        with pytest.raises(ConfigurationError, match="--force"):
            stage.run(longer, copied)
    assert tree(copied.root) == before
    synthesize.run(longer, copied, force=True)
    made = read_table(copied.synthetic_dir / "manifest.csv", SyntheticRecord)
    assert len(made) == metrics_of(copied.synthetic_dir)["made"]
    assert len(list(copied.synthetic_dir.glob("COVID/*.png"))) == len(made)


def test_a_longer_synthesis_begins_with_the_same_images(
    copied: Workspace, finished: Workspace, data: Path
) -> None:
    synthesize.run(config_for(data, "synthesis.ratio=1:1"), copied, force=True)
    for path in finished.synthetic_dir.glob("COVID/*.png"):
        assert (copied.synthetic_dir / "COVID" / path.name).read_bytes() == path.read_bytes()


@pytest.mark.fault(34)
def test_a_ratio_already_met_makes_nothing(copied: Workspace, data: Path) -> None:
    shutil.rmtree(copied.synthetic_dir)
    before = tree(copied.root)
    result = synthesize.run(config_for(data, "synthesis.ratio=9:1"), copied)
    assert [row.to_make for row in result.metrics.plan] == [0, 0]
    assert tree(copied.root) == before


def test_a_dry_run_needs_no_generator_and_writes_nothing(
    copied: Workspace, config: BalancerConfig
) -> None:
    shutil.rmtree(copied.gan_dir("COVID"))
    before = tree(copied.root)
    result = synthesize.run(config, copied, dry_run=True)
    assert sum(row.to_make for row in result.metrics.plan) > 0
    assert tree(copied.root) == before


@pytest.mark.fault(35)
def test_a_plan_beyond_the_limit_is_refused_with_its_number(copied: Workspace, data: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"synthesis\.max_images=3"):
        synthesize.run(config_for(data, "synthesis.max_images=3"), copied)


@pytest.mark.fault(35)
def test_a_plan_beyond_the_disk_is_refused_with_its_number(
    copied: Workspace, config: BalancerConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(copied.root)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=1000))
    with pytest.raises(EnvironmentFault):
        synthesize.run(config, copied, force=True)


@pytest.mark.parametrize("n_covid", [1, 2, 7])
def test_too_few_images_of_a_class_are_refused(tmp_path: Path, n_covid: int) -> None:
    root = draw_folder(tmp_path / "films", n_covid=n_covid, n_normal=20)
    with pytest.raises(DataError, match="COVID"):
        prepare.run(config_for(root), Workspace(tmp_path / "work"))


def test_fewer_images_than_a_batch_train_with_a_smaller_one(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    root = draw_folder(tmp_path / "films", n_covid=9, n_normal=24)
    config, workspace = config_for(root, "gan.batch_size=32"), Workspace(tmp_path / "work")
    prepare.run(config, workspace)
    gan_train.run(config, workspace)
    assert "batch_size is reduced from 32" in caplog.text


def test_several_classes_below_the_target_each_get_their_own(tmp_path: Path) -> None:
    root = draw_folder(tmp_path / "films", n_covid=16, n_normal=48)
    write_third_class(root)
    config, workspace = config_for(root), Workspace(tmp_path / "work")
    everything.run(config, workspace)
    made = read_table(workspace.synthetic_dir / "manifest.csv", SyntheticRecord)
    real = read_table(workspace.index_dir / "index.csv", ImageRecord)
    for label in ("COVID", "Pneumonia"):
        total = sum(r.label == label and r.split == "train" for r in [*real, *made])
        largest = sum(r.label == "Normal" and r.split == "train" for r in real)
        assert total == -(-largest // 2)
    assert metrics_of(workspace.classify_dir("real"))["threshold"] is None


def write_third_class(root: Path) -> None:
    extra = draw_folder(root.parent / "extra", n_covid=30, n_normal=1)
    (root / "Pneumonia").mkdir()
    for path in sorted((extra / "COVID").glob("*.png"))[16:]:
        pixels = np.asarray(Image.open(path)).astype(int)
        Image.fromarray((255 - pixels).astype(np.uint8)).save(root / "Pneumonia" / path.name)
