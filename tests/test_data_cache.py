import dataclasses
import shutil
from pathlib import Path

import numpy as np
import pytest

from balancer.data import cache
from balancer.data.cache import open_cache
from balancer.data.index import (
    ImageSet,
    Index,
    evaluation_table,
    load_index,
    training_table,
)
from balancer.data.io import png_bytes, read_radiograph, resize_square
from balancer.data.roots import Roots
from balancer.errors import IntegrityError
from balancer.manifest import SyntheticRecord, fingerprint
from balancer.results import MissingStage
from balancer.stages import prepare
from support.radiograph_folders import class_folders, configured, film, in_workspace, save


@pytest.fixture
def index(tmp_path: Path) -> Index:
    root = class_folders(tmp_path / "data", {"COVID": 8, "Normal": 12})
    workspace = in_workspace(tmp_path)
    prepare.run(configured(root), workspace)
    shutil.rmtree(workspace.index_dir / "cache")  # as if other sizes had been wanted
    return load_index(workspace.index_dir)


def forbid_decoding(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("decoded again")

    monkeypatch.setattr(cache, "decode_radiograph", refuse)


def test_rows_are_the_resized_images(index: Index) -> None:
    pixels = index.image_set(32).pixels
    assert pixels.shape == (20, 32, 32)
    assert not pixels.flags.writeable
    for row, record in zip(pixels, index.records, strict=True):
        expected = resize_square(read_radiograph(index.roots.locate(record.path)), 32)
        np.testing.assert_array_equal(row, expected)


def test_decoded_once_per_size(index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    first = index.image_set(32).pixels
    assert index.image_set(64).pixels.shape == (20, 64, 64)
    forbid_decoding(monkeypatch)
    np.testing.assert_array_equal(index.image_set(32).pixels, first)
    with pytest.raises(AssertionError):
        index.image_set(48)


def test_key_holds_all_that_went_in(index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    directory, records = index.directory, index.records
    open_cache(directory, index.roots, records, 32)
    open_cache(directory, index.roots, records[::-1], 32)
    monkeypatch.setattr(cache, "PIXEL_RECIPE", "another")
    open_cache(directory, index.roots, records, 32)
    assert len(list((directory / "cache").iterdir())) == 3


def test_damaged_cache_is_made_again(index: Index) -> None:
    pixels = np.array(index.image_set(32).pixels)
    (path,) = (index.directory / "cache").iterdir()
    path.write_bytes(path.read_bytes()[:500])
    np.testing.assert_array_equal(index.image_set(32).pixels, pixels)


def test_changed_file_is_named_and_nothing_is_left(index: Index) -> None:
    record = index.records[3]
    save(index.roots.locate(record.path), film(999))
    with pytest.raises(IntegrityError, match=record.path):
        index.image_set(32)
    assert list((index.directory / "cache").iterdir()) == []


def test_missing_file_is_named(index: Index) -> None:
    record = index.records[3]
    (index.roots.locate(record.path)).unlink()
    with pytest.raises(IntegrityError, match=record.path):
        index.image_set(32)


def test_no_index_yet(tmp_path: Path) -> None:
    with pytest.raises(MissingStage):
        load_index(tmp_path)


def test_edited_index_is_refused(index: Index) -> None:
    path = index.directory / "index.csv"
    path.write_bytes(path.read_bytes().replace(b",val,", b",test,", 1))
    with pytest.raises(IntegrityError, match=r"index\.csv"):
        load_index(index.directory)


def synthetic(folder: Path, count: int, **changes: object) -> ImageSet:
    records = []
    for number in range(count):
        content = png_bytes(film(500 + number, 32), {"Synthetic": "true"})
        (folder / f"{number}.png").write_bytes(content)
        record = SyntheticRecord(
            image_id=fingerprint(content),
            path=f"{number}.png",
            label="COVID",
            group=f"synthetic-{number}",
            source="gan",
            width=32,
            height=32,
            split="train",
            origin="synthetic",
            seed=number,
            checkpoint="c",
            accepted=number != 1,
            reason="",
        )
        records.append(dataclasses.replace(record, **changes))
    return ImageSet(records, open_cache(folder, Roots.of([folder]), records, 32))


def test_training_table_is_training_reals_then_accepted_synthetics(
    index: Index, tmp_path: Path
) -> None:
    (tmp_path / "made").mkdir()
    made = synthetic(tmp_path / "made", 3)
    real = index.image_set(32)
    table = training_table(real, index.classes, made)
    train = index.select("train")
    assert [record.path for record in table.records] == [
        *(record.path for record in train),
        "0.png",
        "2.png",
    ]
    assert table.labels.tolist() == [index.classes.index(record.label) for record in table.records]
    pixels, label = table[len(train) + 1]
    np.testing.assert_array_equal(pixels, film(502, 32))
    assert label == 0
    assert pixels.flags.writeable
    assert len(training_table(real, index.classes)) == len(train)


@pytest.mark.parametrize("split", ["val", "test"])
def test_evaluation_table_is_its_split(index: Index, split: str) -> None:
    table = evaluation_table(index.image_set(32), index.classes, split)
    assert {record.path for record in table.records} == {
        record.path for record in index.select(split)
    }
    assert len(table) > 0


@pytest.mark.parametrize("split", ["val", "test"])
def test_synthetic_rows_never_reach_evaluation(index: Index, split: str) -> None:
    real = index.image_set(32)
    planted = dataclasses.replace(index.records[0], origin="synthetic", split=split)
    mixed = ImageSet([planted, *index.records[1:]], real.pixels)
    with pytest.raises(IntegrityError, match=f"synthetic, {split}"):
        evaluation_table(mixed, index.classes, split)
    with pytest.raises(IntegrityError):
        training_table(mixed, index.classes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"split": "val"}, "'val'"),
        ({"split": "test"}, "'test'"),
        ({"origin": "real"}, "synthetic"),
        ({"label": "Martian"}, "'Martian'"),
    ],
)
def test_foreign_synthetic_rows_are_refused(
    index: Index, tmp_path: Path, changes: dict[str, object], message: str
) -> None:
    (tmp_path / "made").mkdir()
    made = synthetic(tmp_path / "made", 2, **changes)
    with pytest.raises(IntegrityError, match=message):
        training_table(index.image_set(32), index.classes, made)


def test_training_split_is_no_evaluation(index: Index) -> None:
    with pytest.raises(IntegrityError):
        evaluation_table(index.image_set(32), index.classes, "train")
