"""The one door to a trained classifier: what it reads, what it refuses, and what is optional."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from balancer.data.index import load_index
from balancer.data.preprocessing import hash_of_index
from balancer.errors import ConfigurationError, IntegrityError
from balancer.evaluation.records import ClassifyMetrics, UnitMetrics
from balancer.evaluation.trained_classifier import (
    UnreadableClassifier,
    images_seen,
    load_trained,
    trained_arm,
)
from balancer.results import MissingStage, new_result, read_result, write_result
from balancer.workspace import Workspace
from classifier.checkpoint import CARD, WEIGHTS
from support.tiny_pipeline import metrics_of

UNIT = {
    "arm": "real",
    "n_steps": 4,
    "best_epoch": 1,
    "training_prior": [0.25, 0.75],
    "training_images": {"COVID": {"real": 3, "added": 0}, "Normal": {"real": 9, "added": -2}},
    "threshold": 0.5,
    "n": {"all": 20, "val": 4, "test": 4},
    "test": "0" * 64,
    "validation": "1" * 64,
}


def change(path: Path, *keys: str, value: object = None) -> None:
    """Set a value of a JSON file, or remove it."""
    content = json.loads(path.read_text())
    part = content
    for key in keys[:-1]:
        part = part[key]
    if value is None:
        del part[keys[-1]]
    else:
        part[keys[-1]] = value
    path.write_text(json.dumps(content, indent=2) + "\n")


@pytest.mark.parametrize("arm", ["real", "real+synthetic"])
def test_it_is_the_classifier_of_its_result(finished: Workspace, arm: str) -> None:
    directory, index = finished.classify_dir(arm), load_index(finished.index_dir)
    trained, metrics = load_trained(directory), metrics_of(directory)
    assert isinstance(trained.metrics, ClassifyMetrics)
    assert trained.metrics.arm == arm
    assert trained.positive == index.classes.index(metrics["positive_class"])
    assert trained.threshold == metrics["threshold"]
    assert trained.image_size == 32
    assert trained.index_hash == index.index_hash
    assert trained.preprocessing == index.preprocessing
    assert (trained.n_synthetic == 0) == (arm == "real")
    trained.refuse_unlike(index)
    half = np.array([[0.0, 1.0], [1.0, 0.0]])
    assert trained.decide(half).tolist() == [1, 0]


def test_without_a_result_the_card_says_what_is_known(finished: Workspace, tmp_path: Path) -> None:
    for name in (WEIGHTS, CARD):
        shutil.copy(finished.classify_dir("real") / name, tmp_path)
    trained, whole = load_trained(tmp_path), load_trained(finished.classify_dir("real"))
    assert (trained.metrics, trained.positive, trained.threshold) == (None, None, None)
    assert (trained.image_size, trained.index_hash) == (whole.image_size, whole.index_hash)
    probabilities = np.array([[0.4, 0.6]])
    assert trained.decide(probabilities).tolist() == [1]


def test_the_image_size_is_of_the_card_else_of_the_result_else_of_the_recipe(
    copied: Workspace,
) -> None:
    directory = copied.classify_dir("real")
    change(directory / "result.json", "settings", "image_size", value=48)
    assert load_trained(directory).image_size == 32
    change(directory / CARD, "provenance", "image_size")
    assert load_trained(directory).image_size == 48
    (directory / "result.json").unlink()
    change(directory / CARD, "config", "image_size", value=40)
    assert load_trained(directory).image_size == 40
    change(directory / CARD, "config", "image_size")
    assert load_trained(directory).image_size == 32  # of the network


def test_damaged_and_foreign_files_are_refused(copied: Workspace) -> None:
    directory, index = copied.classify_dir("real"), load_index(copied.index_dir)
    change(directory / CARD, "class_names", value=["A", "B"])
    with pytest.raises(IntegrityError, match="A, B"):
        load_trained(directory).refuse_unlike(index)
    with pytest.raises(ConfigurationError, match="A, B"):
        load_trained(directory).refuse_unlike(index, fault=ConfigurationError)
    (directory / WEIGHTS).write_bytes(b"")
    with pytest.raises(UnreadableClassifier, match=WEIGHTS):
        load_trained(directory)
    shutil.rmtree(directory)
    with pytest.raises(MissingStage) as caught:
        trained_arm(directory, "real", index, wanted_by="It")
    assert caught.value.stage == "classify"


def test_a_result_of_an_earlier_version_is_read_and_written_unchanged(copied: Workspace) -> None:
    directory, index = copied.classify_dir("real"), load_index(copied.index_dir)
    change(directory / "result.json", "metrics", "test_reads")
    before = (directory / "result.json").read_bytes()
    result = trained_arm(directory, "real", index, wanted_by="It")
    assert result.metrics.test_reads is None
    write_result(directory, result)
    assert (directory / "result.json").read_bytes() == before


def test_a_result_that_lacks_more_is_refused_and_names_the_file(copied: Workspace) -> None:
    directory = copied.classify_dir("real")
    change(directory / "result.json", "metrics", "threshold")
    with pytest.raises(IntegrityError, match=r"result\.json"):
        load_trained(directory)


@pytest.mark.parametrize("lacking", [None, "training_prior"])
def test_a_unit_is_read_and_written_unchanged(tmp_path: Path, lacking: str | None) -> None:
    content = {key: value for key, value in UNIT.items() if key != lacking}
    result = new_result(
        "ablate",
        settings={"positive_class": "COVID"},
        inputs={},
        seconds=1,
        metrics=UnitMetrics.model_validate(content),
    )
    write_result(tmp_path, result)
    assert metrics_of(tmp_path) == content
    assert list(metrics_of(tmp_path)) == list(content)
    assert read_result(tmp_path, UnitMetrics) == result


def test_a_unit_beside_the_weights_is_known_as_one(copied: Workspace) -> None:
    directory = copied.unit_dir("split-0", 0, "real")
    directory.mkdir(parents=True)
    for name in (WEIGHTS, CARD):
        shutil.copy(copied.classify_dir("real") / name, directory)
    metrics = UnitMetrics.model_validate(UNIT)
    result = new_result("ablate", settings={}, inputs={}, seconds=1, metrics=metrics)
    write_result(directory, result)
    assert load_trained(directory).metrics == metrics


def test_seen_images_are_those_of_the_index_that_it_was_trained_on(
    copied: Workspace, tmp_path: Path
) -> None:
    index = load_index(copied.index_dir)
    unit = copied.unit_dir("split-0", 0, "real")
    shutil.copytree(copied.classify_dir("real"), unit)
    assert images_seen(load_trained(unit), copied, index) == {
        record.image_id for record in index.records if record.split != "test"
    }
    fold = copied.fold("split-0").index_dir
    shutil.copytree(copied.index_dir, fold)
    text = (fold / "index.csv").read_text().replace(",test,", ",aside,").replace(",val,", ",test,")
    (fold / "index.csv").write_text(text)
    change(unit / CARD, "provenance", "index_hash", value=hash_of_index(fold))
    elsewhere = Workspace(tmp_path / "other")
    assert images_seen(load_trained(unit), elsewhere, index) == {
        record.image_id for record in index.records if record.split != "val"
    }
    shutil.rmtree(fold)
    with pytest.raises(IntegrityError, match="split-0"):
        images_seen(load_trained(unit), elsewhere, index)


def test_the_workspace_of_a_path_is_the_nearest_with_an_index(tmp_path: Path) -> None:
    def indexed(folder: Path) -> Path:
        (folder / "index").mkdir(parents=True)
        (folder / "index" / "index.csv").touch()
        return folder

    outer = indexed(tmp_path / "outer")
    inner = indexed(outer / "deep" / "inner")
    fold = indexed(outer / "runs" / "folds" / "split-0")
    alone = indexed(tmp_path / "runs" / "folds" / "split-0")
    (tmp_path / "empty").mkdir()
    for path, root in (
        (outer, outer),
        (outer / "index" / "index.csv", outer),
        (outer / "runs" / "units" / "split-0" / "0" / "real" / "a" / "b" / "c", outer),
        (inner / "classify" / "real", inner),
        (fold / "gan" / "COVID", outer),
        (fold.parent / "split-1" / "index.partial", outer),
        (alone / "index", alone),
    ):
        found = Workspace.containing(path)
        assert found is not None
        assert found.root == root.resolve()
    assert Workspace.containing(tmp_path / "empty") is None
    assert [place.root for place in Workspace(outer).folds()] == [fold]
    assert Workspace(tmp_path / "empty").folds() == []
