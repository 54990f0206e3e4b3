"""Pixels that a pass keeps for the later stages."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from balancer.data import cache
from balancer.data.index import load_index
from balancer.data.io import read_radiograph, resize_square
from balancer.data.row_file import RowFile
from balancer.evaluation.classifier_recipe import image_sizes
from balancer.stages import prepare
from support.radiograph_folders import class_folders, configured, film, in_workspace, save


@pytest.mark.parametrize("rows", [[0, 1, 2, 3, 4], [1, 3, 4], [4, 0, 2], []])
def test_rows_are_closed_up(tmp_path: Path, rows: list[int]) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (5, 7, 7), dtype=np.uint8)
    file = RowFile(tmp_path / "rows.npy", 5, (7, 7))
    for row in (3, 0, 4, 1, 2):
        file.write(row, pixels[row])
    file.keep(rows, tmp_path / "kept.npy")
    np.testing.assert_array_equal(np.load(tmp_path / "kept.npy"), pixels[rows])
    assert not (tmp_path / "rows.npy").exists()


def test_prepare_leaves_the_pixels_that_later_stages_want(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = class_folders(tmp_path / "data", {"COVID": 9, "Normal": 10})
    shutil.copy(root / "COVID" / "003.png", root / "COVID" / "0030.png")
    (root / "COVID" / "005.png").write_bytes(b"no image")
    config = configured(root, "data.skip_bad=true", "gan.image_size=32", "classifier.image_size=48")
    workspace = in_workspace(tmp_path)
    prepare.run(config, workspace)
    assert not workspace.unfinished_index_dir.exists()
    index = load_index(workspace.index_dir)
    monkeypatch.setattr(cache, "decode_radiograph", None)
    assert image_sizes(config) == (32, 48)
    for size in image_sizes(config):
        pixels = index.image_set(size).pixels
        for row, record in zip(pixels, index.records, strict=True):
            expected = resize_square(read_radiograph(index.roots.locate(record.path)), size)
            np.testing.assert_array_equal(row, expected)


@pytest.mark.parametrize("n_larger", [0, 3])
def test_squares_of_a_wanted_size_are_kept_as_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, n_larger: int
) -> None:
    """Of other sizes nothing is stored where all can be made from these."""
    root = class_folders(tmp_path / "data", {"COVID": 9, "Normal": 10})
    for number in range(n_larger):
        save(root / "Normal" / f"larger-{number}.png", film(50 + number, 80))
    config = configured(root, "gan.image_size=32", "classifier.image_size=48")
    workspace = in_workspace(tmp_path)
    prepare.run(config, workspace)
    index = load_index(workspace.index_dir)
    kept = sorted(path.name.partition("-")[0] for path in (index.directory / "cache").iterdir())
    assert kept == (["32", "48"] if n_larger else ["48"])
    expected = {
        size: [
            resize_square(read_radiograph(index.roots.locate(record.path)), size)
            for record in index.records
        ]
        for size in (32, 48)
    }
    shutil.rmtree(root)
    for size in (32, 48):
        np.testing.assert_array_equal(index.image_set(size).pixels, expected[size])
