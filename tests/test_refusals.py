"""Every way in which a finished run can be spoilt, and the refusal it meets."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from balancer.config import BalancerConfig
from balancer.errors import BalancerError, ConfigurationError, EnvironmentFault, IntegrityError
from balancer.manifest import ImageRecord, fingerprint, read_table, table_bytes
from balancer.results import MissingStage
from balancer.stages import classify, gan_train, prepare, quality, report, synthesize
from balancer.stages import run as everything
from balancer.workspace import Workspace
from support.tiny_pipeline import config_for, metrics_of, tree


def _edit_index(workspace: Workspace) -> None:
    path = workspace.index_dir / "index.csv"
    path.write_text(path.read_text().replace(",test,", ",train,", 1))


def _edit_manifest(workspace: Workspace) -> None:
    path = workspace.synthetic_dir / "manifest.csv"
    path.write_text(path.read_text().replace(",train,", ",val,", 1))


def _drop_manifest(workspace: Workspace) -> None:
    (workspace.synthetic_dir / "manifest.csv").unlink()


def _alter_image(workspace: Workspace) -> None:
    path = next(workspace.synthetic_dir.glob("COVID/*.png"))
    Image.new("L", (32, 32), 7).save(path)


def _add_image(workspace: Workspace) -> None:
    folder = workspace.synthetic_dir / "COVID"
    shutil.copy(folder / "000000.png", folder / "more.png")


def _remove_image(workspace: Workspace) -> None:
    (workspace.synthetic_dir / "COVID" / "000003.png").unlink()


def _plant_test_image_in_lineage(workspace: Workspace) -> None:
    path = workspace.synthetic_dir / "lineage.json"
    lineage = json.loads(path.read_text())
    lineage["COVID"]["training_ids"].append(_id_of(workspace, "test"))
    path.write_text(json.dumps(lineage))


def _id_of(workspace: Workspace, split: str) -> str:
    index = read_table(workspace.index_dir / "index.csv", ImageRecord)
    return next(record.image_id for record in index if record.split == split)


@pytest.mark.fault(27, 29)
@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (_edit_index, "as prepare wrote it, but was changed"),
        (_edit_manifest, "was changed"),
        (_drop_manifest, "is missing"),
        (_alter_image, r"00000\d\.png was changed"),
        (_add_image, r"more\.png was added"),
        (_remove_image, r"000003\.png is missing"),
        (_plant_test_image_in_lineage, "1 image.*of today's validation or test split"),
    ],
)
def test_classify_refuses_foreign_or_changed_files(
    copied: Workspace,
    config: BalancerConfig,
    damage: Callable[[Workspace], None],
    message: str,
) -> None:
    damage(copied)
    with pytest.raises(IntegrityError, match=message):
        classify.run(config, copied, force=True, with_synthetic=True)


def test_up_to_date_is_not_said_of_changed_files(copied: Workspace, config: BalancerConfig) -> None:
    _alter_image(copied)
    (copied.gan_dir("COVID") / "generator.safetensors").unlink()
    _edit_index(copied)
    with pytest.raises(IntegrityError, match=r"index\.csv"):
        prepare.run(config, copied)
    prepare.run(config, copied, force=True)
    with pytest.raises(IntegrityError, match=r"gan/COVID.*gan-train --force"):
        gan_train.run(config, copied)
    gan_train.run(config, copied, force=True)
    with pytest.raises(IntegrityError, match="was changed"):
        synthesize.run(config, copied)


def test_the_report_compares_only_what_was_trained_alike(copied: Workspace, data: Path) -> None:
    longer = config_for(data, "classifier.epochs=2")
    classify.run(longer, copied, force=True)
    with pytest.raises(IntegrityError, match=r"classifier\.epochs"):
        report.run(longer, copied)


def test_the_report_refuses_predictions_changed_after_the_test(
    copied: Workspace, config: BalancerConfig
) -> None:
    path = copied.classify_dir("real") / "predictions.csv"
    path.write_text(path.read_text().replace(",COVID,", ",Normal,", 1))
    with pytest.raises(IntegrityError, match=r"predictions\.csv"):
        report.run(config, copied)


def test_the_report_refuses_other_images_than_those_trained_on(
    copied: Workspace, data: Path
) -> None:
    closer = config_for(data, "synthesis.ratio=1:1")
    synthesize.run(closer, copied, force=True)
    with pytest.raises(IntegrityError, match=r"--with-synthetic"):
        report.run(closer, copied)
    classify.run(closer, copied, with_synthetic=True)
    with pytest.raises(IntegrityError):
        report.run(closer, copied)
    quality.run(closer, copied)
    report.run(closer, copied)


def test_real_images_sharper_than_synthetic_ones_are_refused(copied: Workspace, data: Path) -> None:
    forgotten = config_for(data, "gan.image_size=64")
    with pytest.raises(ConfigurationError, match=r"gan\.image_size"):
        classify.run(forgotten, copied, with_synthetic=True, force=True)
    before = metrics_of(copied.quality_dir)
    quality.run(forgotten, copied, force=True)
    assert metrics_of(copied.quality_dir) == before


def test_a_wrong_class_or_model_is_refused_before_the_gan(tmp_path: Path, data: Path) -> None:
    for change in ("evaluation.positive_class=covid", "classifier.model=resnet1800"):
        copied = Workspace(tmp_path / "work")
        with pytest.raises(ConfigurationError):
            everything.run(config_for(data, change), copied)
        assert not (copied.root / "gan").exists()


def test_force_goes_on_with_an_unfinished_training_of_the_same_settings(
    copied: Workspace, config: BalancerConfig, data: Path
) -> None:
    standing, unfinished = copied.gan_dir("COVID"), copied.unfinished_gan_dir("COVID")
    expected = (standing / "generator.safetensors").read_bytes()
    standing.replace(unfinished)
    (unfinished / "result.json").unlink()
    other = config_for(data, "seed=9")
    with pytest.raises(IntegrityError, match=r"COVID\.unfinished.*--force"):
        gan_train.run(other, copied)
    log = (unfinished / "metrics.csv").stat().st_mtime_ns
    gan_train.run(config, copied, force=True)
    assert (standing / "metrics.csv").stat().st_mtime_ns == log  # nothing was trained again
    assert (standing / "generator.safetensors").read_bytes() == expected


@pytest.mark.fault(26)
@pytest.mark.parametrize("split", ["val", "test"])
def test_a_generator_that_saw_a_held_out_image_is_refused(
    copied: Workspace, config: BalancerConfig, split: str
) -> None:
    path = copied.gan_dir("COVID") / "generator.json"
    card = json.loads(path.read_text())
    card["training_ids"].append(_id_of(copied, split))
    path.write_text(json.dumps(card))
    with pytest.raises(IntegrityError):
        synthesize.run(config, copied, force=True)


@pytest.mark.fault(27)
def test_a_generator_of_another_split_is_refused(copied: Workspace, data: Path) -> None:
    other = config_for(data, "seed=5")
    prepare.run(other, copied, force=True)
    with pytest.raises(IntegrityError, match=r"--force"):
        synthesize.run(other, copied, force=True)
    with pytest.raises(IntegrityError, match=r"--force"):
        classify.run(other, copied, force=True, with_synthetic=True)


@pytest.mark.fault(43)
@pytest.mark.parametrize("kind", ["truncated", "flipped", "empty", "classifier", "missing"])
def test_damaged_checkpoints_are_refused_whole(
    copied: Workspace, config: BalancerConfig, kind: str
) -> None:
    path = copied.gan_dir("COVID") / "generator.safetensors"
    content = bytearray(path.read_bytes())
    if kind == "truncated":
        path.write_bytes(content[: len(content) // 2])
    elif kind == "flipped":
        content[-5] ^= 1
        path.write_bytes(content)
    elif kind == "empty":
        path.write_bytes(b"")
    elif kind == "classifier":
        shutil.copy(copied.classify_dir("real") / "classifier.safetensors", path)
    else:
        path.unlink()
    before = tree(copied.synthetic_dir)
    with pytest.raises(IntegrityError, match=r"gan/COVID.*gan-train --force"):
        synthesize.run(config, copied, force=True)
    assert tree(copied.synthetic_dir) == before


@pytest.mark.fault(28)
def test_a_synthetic_folder_is_no_data(tmp_path: Path, finished: Workspace, data: Path) -> None:
    root = shutil.copytree(data, tmp_path / "films")
    for path in finished.synthetic_dir.glob("COVID/*.png"):
        shutil.copy(path, root / "COVID" / f"more-{path.name}")
    with pytest.raises(IntegrityError, match=r"[Ss]ynthetic"):
        prepare.run(config_for(root), Workspace(tmp_path / "work"))


def test_a_synthetic_row_in_the_index_never_reaches_an_evaluation(
    copied: Workspace, config: BalancerConfig
) -> None:
    path = copied.index_dir / "index.csv"
    records = read_table(path, ImageRecord)
    forged = [
        ImageRecord(**{f: getattr(r, f) for f in r.__slots__} | {"origin": "synthetic"})
        if r.split == "test"
        else r
        for r in records
    ]
    table = table_bytes(forged, ImageRecord)
    path.write_bytes(table)
    result = json.loads((copied.index_dir / "result.json").read_text())
    result["metrics"]["index_sha256"] = fingerprint(table)
    (copied.index_dir / "result.json").write_text(json.dumps(result))
    with pytest.raises(IntegrityError):
        classify.run(config, copied, force=True)


def test_a_failed_classify_leaves_the_earlier_result(
    copied: Workspace, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("boom")

    before = tree(copied.classify_dir("real"))
    monkeypatch.setattr(classify, "write_performance", fail)
    with pytest.raises(RuntimeError, match="boom"):
        classify.run(config_for(data, "seed=0"), copied, force=True)
    assert tree(copied.classify_dir("real")) == before
    assert not list(copied.root.rglob("*.partial"))


@pytest.mark.parametrize("stage", [gan_train, synthesize, quality, classify, report])
def test_without_an_index_each_stage_names_prepare(
    tmp_path: Path, config: BalancerConfig, stage: Any
) -> None:
    with pytest.raises(MissingStage) as caught:
        stage.run(config, Workspace(tmp_path / "new"))
    assert (caught.value.stage, caught.value.cheap) == ("prepare", True)


def test_without_a_generator_the_error_names_the_command(
    copied: Workspace, config: BalancerConfig
) -> None:
    shutil.rmtree(copied.gan_dir("COVID"))
    with pytest.raises(MissingStage, match="`balancer gan-train`") as caught:
        synthesize.run(config, copied, force=True)
    assert not caught.value.cheap


def test_a_class_that_does_not_exist_is_refused(copied: Workspace, config: BalancerConfig) -> None:
    with pytest.raises(ConfigurationError, match="COVID, Normal"):
        gan_train.run(config, copied, classes=["covid"])


@pytest.mark.fault(47)
def test_a_gpu_that_is_not_there_is_refused_before_any_work(
    copied: Workspace, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(EnvironmentFault, match="--accelerator"):
        gan_train.run(config_for(data, "hardware.accelerator=cuda"), copied)


@pytest.mark.fault(54)
def test_absent_inception_weights_are_named(
    copied: Workspace, data: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "hub"))
    config = config_for(data, "quality.extractors=[inception]")
    with pytest.raises(EnvironmentFault, match="6726825d"):
        quality.run(config, copied, force=True)


def test_every_fault_has_an_exit_code_of_the_design() -> None:
    codes = {kind.__name__: kind.exit_code for kind in BalancerError.__subclasses__()}
    assert codes | {"Interrupted": 1} == {
        "ConfigurationError": 2,
        "DataError": 3,
        "IntegrityError": 4,
        "EnvironmentFault": 5,
        "Interrupted": 1,
    }
