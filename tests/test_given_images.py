"""Images and labels as people hold them in Python: read as meant, or refused in one sentence."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

import balancer
from balancer.data.config import DataConfig
from balancer.errors import ConfigurationError, DataError
from balancer.given_images import given_collection, given_files

IMAGES = np.random.default_rng(0).integers(0, 256, (4, 48, 48), np.uint8)
COLOUR = np.random.default_rng(1).integers(0, 256, (2, 48, 48, 3), np.uint8)
PALETTE = Image.fromarray(COLOUR[0]).quantize(16)


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    paths = [tmp_path / "own" / f"{number}.png" for number in range(len(IMAGES))]
    paths[0].parent.mkdir()
    for image, path in zip(IMAGES, paths, strict=True):
        Image.fromarray(image).save(path)
    return paths


@pytest.mark.parametrize("kind", ["array", "objects", "series", "folder"])
def test_paths_are_taken_in_any_container(files: list[Path], tmp_path: Path, kind: str) -> None:
    given: dict[str, Any] = {
        "array": np.array([str(path) for path in files]),
        "objects": np.array(files, dtype=object),
        "series": pd.Series(files, index=[9, 8, 7, 6]),
        "folder": {"COVID": str(files[0].parent)},
    }
    found, labels = given_files(given[kind], tmp_path / "drawn")
    assert found == files
    assert labels == ["COVID" if kind == "folder" else ""] * len(files)


def test_pixels_are_those_that_were_given(tmp_path: Path) -> None:
    series = pd.Series([*IMAGES], index=[3, 2, 1, 0])  # by position, whatever the rows are called
    trained = torch.from_numpy(IMAGES / np.float64(255)).requires_grad_()
    for number, given in enumerate((series, trained, [Image.fromarray(one) for one in IMAGES])):
        found, _ = given_files(given, tmp_path / str(number))
        assert np.array_equal([np.asarray(Image.open(path)) for path in found], IMAGES)
    (found,), _ = given_files([PALETTE], tmp_path / "palette")
    assert np.array_equal(Image.open(found).convert("RGB"), PALETTE.convert("RGB"))


@pytest.mark.parametrize(
    "wrong",
    [
        np.zeros((3, 48, 48, 4), np.uint8),
        np.zeros((3, 48, 48, 2), np.uint8),
        np.zeros((3, 4, 48, 48), np.uint8),
        np.zeros((3, 0, 48), np.uint8),
        np.zeros((3, 48, 48), np.uint16),
        np.full((3, 48, 48), np.nan),
        np.full((3, 48, 48), 200.0),
        np.full((3, 48, 48), -0.5),
        [Image.new("CMYK", (48, 48))],
        pd.DataFrame({"path": ["a.png"]}),
        {"a.png", "b.png"},  # in no order
        {"COVID": "absent"},
    ],
)
def test_what_is_no_image_is_refused(wrong: Any) -> None:
    with pytest.raises(ConfigurationError):
        balancer.audit(wrong)


def collected(tmp_path: Path, labels: Any, groups: Any = None) -> tuple[list[str], list[str]]:
    side, number_of = given_collection(IMAGES, labels, groups, DataConfig(), tmp_path)
    assert [number_of[image.path] for image in side.images] == [*range(len(IMAGES))]
    return [image.label for image in side.images], side.patients


@pytest.mark.parametrize(
    "labels",
    [
        torch.tensor([1, 0, 0, 1]),
        np.array([[1], [0], [0], [1]]),
        pd.Series([1, 0, 0, 1], index=[5, 6, 7, 8]),
        pd.Series([1, 0, 0, 1], dtype="category"),
    ],
)
def test_labels_are_words_whatever_holds_them(tmp_path: Path, labels: Any) -> None:
    assert collected(tmp_path, labels)[0] == ["1", "0", "0", "1"]


def test_a_data_set_gives_the_same_labels(tmp_path: Path) -> None:
    table = torch.utils.data.TensorDataset(torch.from_numpy(IMAGES), torch.tensor([1, 0, 0, 1]))
    assert given_files(table, tmp_path)[1] == ["1", "0", "0", "1"]


def test_an_unknown_patient_is_nobody_else(tmp_path: Path) -> None:
    groups = pd.Series([np.nan, None, 7, "p"], dtype=object)
    assert collected(tmp_path, [*"abab"], groups)[1] == ["", "", "7", "p"]


@pytest.mark.parametrize(
    "labels", [[1, np.nan, 0, 1], [*"ab", None, "a"], pd.array([1, pd.NA, 0, 1])]
)
def test_an_image_without_a_label_is_refused(labels: Any) -> None:
    with pytest.raises(DataError):
        balancer.audit(IMAGES, labels)


@pytest.mark.parametrize("name", ["..", "a/b"])
def test_a_class_that_no_file_can_be_called_after_is_refused(name: str) -> None:
    with pytest.raises(DataError):
        balancer.audit(IMAGES, ["a", "a", "a", name])


def test_several_classes_of_one_image_are_refused() -> None:
    with pytest.raises(ConfigurationError):
        balancer.audit(IMAGES, np.eye(4))
