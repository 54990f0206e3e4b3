"""The public face of the classifier: its names, their examples, and five lines in a notebook."""

import ast
import doctest
import importlib
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

import classifier
from classifier import (
    ArrayTable,
    BalancedBatchSampler,
    ClassifierConfig,
    Phase,
    StepPlan,
    evaluate,
    load,
    plan_steps,
    predict,
    train,
)
from support.tiny_training import TINY, skewed, spied_batches, table, weights


@pytest.mark.parametrize("name", ["", *classifier.__all__])
def test_each_public_name_has_an_example_that_is_true(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    target = getattr(classifier, name) if name else classifier
    [example] = doctest.DocTestFinder(recurse=False).find(target, name or "classifier", globs={})
    assert example.examples, f"{name} has no example"
    assert doctest.DocTestRunner().run(example).failed == 0


def test_the_names_are_sorted_listed_and_known_to_mypy() -> None:
    assert classifier.__all__ == sorted(classifier.__all__)
    assert set(classifier.__all__) <= set(dir(classifier))
    [guarded] = [node for node in ast.parse(_source()).body if isinstance(node, ast.If)]
    imported = {
        alias.name: node.module
        for node in guarded.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert sorted(imported) == classifier.__all__
    for name, module in imported.items():
        assert getattr(classifier, name) is getattr(importlib.import_module(str(module)), name)
    with pytest.raises(AttributeError, match="colour"):
        _ = classifier.colour


def _source() -> str:
    return Path(str(classifier.__file__)).read_text(encoding="utf-8")


def test_the_package_and_its_settings_load_no_torch() -> None:
    code = "import classifier, classifier.config, sys; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False"]


def test_plain_arrays_train_in_five_lines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    batches = spied_batches(monkeypatch)
    images, labels = np.stack([skewed()[row][0] for row in range(20)]), skewed().labels.tolist()
    rows = ArrayTable.of(images, labels)
    config = ClassifierConfig(model="bam-cnn", batch_size=8, epochs=2, batches="balanced")
    result = train(rows, rows, config, out_dir=str(tmp_path / "out"))
    probabilities = predict(load(str(tmp_path / "out")), images)
    metrics = evaluate(probabilities, labels, n_bootstrap=20)
    assert probabilities.shape == (20, 2)
    assert metrics["class_names"] == ["0", "1"]
    assert result.n_steps == 6
    assert all(labels.tolist() == [0] * 4 + [1] * 4 for _, labels in batches)
    assert capfd.readouterr() == ("", "")


def test_a_balanced_sampler_serves_any_loader_of_a_table() -> None:
    rows = skewed()
    sampler = BalancedBatchSampler(rows.labels, batch_size=4, n_batches=5)
    dataset: Any = rows
    for images, labels in DataLoader(dataset, batch_sampler=sampler):
        assert images.shape == (4, 16, 16)
        assert labels.tolist() == [0, 0, 1, 1]


def test_a_library_prints_no_warnings_of_its_own() -> None:
    """Batches smaller than asked for are a warning, which only a handler of the caller's shows."""
    code = (
        "import numpy as np, tempfile\n"
        "from classifier import *\n"
        "table = ArrayTable.of(np.zeros((4, 32, 32), np.uint8), [0, 1, 0, 1])\n"
        "config = ClassifierConfig(model='bam-cnn', epochs=1, members=1)\n"
        "with tempfile.TemporaryDirectory() as folder:\n"
        "    train(table, table, config, out_dir=folder)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("", "")


def test_steps_come_from_the_epochs(tmp_path: Path) -> None:
    assert plan_steps(ClassifierConfig(batch_size=8, epochs=3), 20) == StepPlan(9, 3)
    assert plan_steps(ClassifierConfig(batch_size=8, epochs=3), 5) == StepPlan(3, 1)
    phases = (Phase(epochs=1), Phase(epochs=4))
    assert plan_steps(ClassifierConfig(batch_size=10, phases=phases), 20) == StepPlan(10, 2)
    short = TINY.model_copy(update={"epochs": 2})
    rows, val = table(20, 1), table(10, 2)
    implied = train(rows, val, short, out_dir=tmp_path / "a")
    stated = train(rows, val, short, out_dir=tmp_path / "b", n_steps=6, steps_per_epoch=3)
    assert [row["step"] for row in implied.history] == [3, 6]
    for name, value in weights(implied).items():
        assert torch.equal(value, weights(stated)[name])


def test_a_joined_table_has_the_rows_of_its_parts() -> None:
    first, second = table(4, 1), skewed(8)
    joined = ArrayTable.join(first, second, first)
    expected = [part[row] for part in (first, second, first) for row in range(len(part))]
    assert len(joined) == len(expected) == 16
    for row, (image, label) in enumerate(expected):
        assert np.array_equal(joined[row][0], image)
        assert joined[row][1] == label == joined.labels[row]
    joined[0][0][:] = 0
    assert first[0][0].any()  # an item is a copy


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"epochs": 0}, "epochs"),
        ({"epoch": 3}, "epochs"),
        ({"augment": {"shift": 3}}, r"augment\.shift"),
        ({"phases": [{}]}, r"phases\.0\.epochs"),
        ({"views": ()}, "views"),
        ({"lowest_learning_rate": 0.5}, "lowest_learning_rate"),
    ],
)
def test_a_wrong_setting_is_one_sentence(changes: dict[str, Any], word: str) -> None:
    with pytest.raises(ValueError, match=word) as caught:
        ClassifierConfig(**changes)
    _is_one_sentence(caught.value)


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"train_table": (np.zeros((2, 16, 16), np.uint8), [0, 1])}, "ArrayTable"),
        ({"val_table": None}, "ArrayTable"),
        ({"n_steps": 0}, "n_steps"),
        ({"config": TINY.model_copy(update={"model": "resnet19"})}, r"classifier\.model"),
        ({"class_names": ["one"]}, "training table"),
        ({"train_table": ArrayTable.of(table(4, 0).sources[0], [1] * 4)}, "two classes"),
        ({"config": {"epochs": 1}}, "config"),
        ({"hardware": "cpu"}, "hardware"),
        ({"pretrain": 0.5}, "pretrain"),
        ({"seed": 1.5}, "seed"),
        ({"seed": -1}, "seed"),
    ],
)
def test_wrong_input_is_one_sentence(tmp_path: Path, changes: dict[str, Any], word: str) -> None:
    arguments: dict[str, Any] = {"train_table": table(4, 0), "val_table": table(4, 0)}
    with pytest.raises(ValueError, match=word) as caught:
        train(**(arguments | {"config": TINY, "out_dir": tmp_path / "out"} | changes))
    _is_one_sentence(caught.value)
    assert not (tmp_path / "out").exists()


def test_negative_labels_are_refused() -> None:
    with pytest.raises(ValueError, match="-1") as caught:
        ArrayTable.of(table(2, 0).sources[0], [0, -1])
    _is_one_sentence(caught.value)


def test_wrong_images_to_predict_are_one_sentence(tmp_path: Path) -> None:
    rows = table(8, 0)
    loaded = load(train(rows, rows, TINY, out_dir=tmp_path, n_steps=1).checkpoint)
    for images in (np.zeros((2, 16, 16)), np.zeros((2, 16), np.uint8), rows.sources[0][:0]):
        with pytest.raises(ValueError, match="images") as caught:
            predict(loaded, images)
        _is_one_sentence(caught.value)


def _is_one_sentence(error: ValueError) -> None:
    assert "\n" not in str(error)
    assert "pydantic" not in str(error)
    assert str(error).endswith((".", "?"))


def test_only_a_loaded_classifier_predicts() -> None:
    with pytest.raises(ValueError, match=r"classifier\.load"):
        predict("folder", np.zeros((2, 32, 32), np.uint8))  # type: ignore[arg-type]
