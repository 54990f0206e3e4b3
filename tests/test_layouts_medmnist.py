"""Rows of MedMNIST files, read like files."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from balancer.data.index import load_index
from balancer.data.io import (
    UnusableImageError,
    decode_radiograph,
    file_size,
    read_bytes,
    read_radiograph,
)
from balancer.errors import DataError
from balancer.shortcuts.file_facts import file_facts
from balancer.stages import prepare
from support import made_archives as made
from support.radiograph_folders import configured, film, in_workspace


def test_pneumoniamnist_has_its_names(tmp_path: Path) -> None:
    scan = made.scanned(made.medmnist(tmp_path / "pneumoniamnist_224.npz"))
    assert scan.layout == "medmnist"
    assert scan.labels == ("normal", "pneumonia")
    assert len(scan.images) == 12
    assert made.labels_of(scan)["train/00001"] == "pneumonia"


def test_rows_of_chestmnist_with_one_finding_or_none_are_read(tmp_path: Path) -> None:
    scan = made.scanned(made.medmnist(tmp_path / "chestmnist.npz", several=True))
    assert scan.labels == ("no finding", "pneumonia")
    assert scan.ignored == {"image with several findings": 1}
    assert len(scan.images) == 11


def test_the_name_of_a_set_gives_its_classes_names_and_other_sets_have_numbers(
    tmp_path: Path,
) -> None:
    place = made.medmnist(tmp_path / "breastmnist_64.npz")
    assert made.scanned(place).labels == ("malignant", "normal-or-benign")
    # A folder that holds one such file will do too, and its paths name the file.
    assert "breastmnist_64.npz/val/00000" in made.labels_of(made.scanned(tmp_path))
    other = made.medmnist(tmp_path / "other" / "own_64.npz")
    assert made.scanned(other).labels == ("class-0", "class-1")


def test_a_row_is_read_like_a_file(tmp_path: Path) -> None:
    file = made.medmnist(tmp_path / "x.npz")
    path = file / "val" / "00001"
    assert (read_radiograph(path) == film(101, 32)).all()
    data = read_bytes(path)
    assert data == b"P5\n32 32\n255\n" + film(101, 32).tobytes()
    assert file_size(path) == len(data)
    with ThreadPoolExecutor(8) as pool:
        rows = list(pool.map(read_bytes, [file / "train" / f"{n:05}" for n in range(8)] * 4))
    assert rows[:8] == rows[8:16]
    assert len(set(rows)) == 8


def test_a_row_of_colour(tmp_path: Path) -> None:
    grey = film(3, 32)
    np.savez(tmp_path / "x.npz", train_images=np.stack([grey] * 3, axis=-1)[None])
    path = tmp_path / "x.npz" / "train" / "00000"
    image = decode_radiograph(read_bytes(path), path)
    assert (image.pixels == grey).all()
    assert image.colour == 0


@pytest.mark.parametrize("row", ["val/00002", "val/x", "other/00000", "val", "val/0/0"])
def test_a_row_that_is_not_there(tmp_path: Path, row: str) -> None:
    made.medmnist(tmp_path / "x.npz")
    with pytest.raises(UnusableImageError):
        read_bytes(tmp_path / "x.npz" / row)


def test_an_array_of_something_else(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", train_images=np.zeros((2, 8, 8), np.float32))
    with pytest.raises(UnusableImageError, match="train_images"):
        read_bytes(tmp_path / "x.npz" / "train" / "00000")
    (tmp_path / "y.npz").write_bytes(b"no archive")
    with pytest.raises(UnusableImageError, match=r"\.npz"):
        read_bytes(tmp_path / "y.npz" / "train" / "00000")


def test_arrays_of_objects_are_never_unpickled(tmp_path: Path) -> None:
    np.savez(
        tmp_path / "x.npz",
        train_images=np.zeros((2, 32, 32), np.uint8),
        train_labels=np.array([{}, {}], dtype=object),
    )
    with pytest.raises(DataError, match=r"x\.npz"):
        made.scanned(tmp_path / "x.npz", layout="medmnist")


def test_labels_that_do_not_fit_the_images(tmp_path: Path) -> None:
    np.savez(
        tmp_path / "x.npz",
        train_images=np.zeros((3, 32, 32), np.uint8),
        train_labels=np.zeros((2, 1), np.uint8),
    )
    with pytest.raises(DataError, match=r"x\.npz.*train_images.*train_labels"):
        made.scanned(tmp_path / "x.npz")


@pytest.mark.parametrize("labels", [[0.0, np.nan], [0, -1], [0.5, 1], [[0, 2], [1, 0]]])
def test_labels_that_are_no_classes(tmp_path: Path, labels: list[float]) -> None:
    images = np.zeros((2, 32, 32), np.uint8)
    np.savez(tmp_path / "x.npz", train_images=images, train_labels=np.array(labels))
    with pytest.raises(DataError, match=r"x\.npz.*train_labels"):
        made.scanned(tmp_path / "x.npz")


def test_a_damaged_file_is_called_so(tmp_path: Path) -> None:
    place = made.medmnist(tmp_path / "x.npz")
    place.write_bytes(place.read_bytes()[:2000])
    for given in (place, tmp_path):
        with pytest.raises(DataError, match=r"damaged") as caught:
            made.scanned(given)
        assert len(str(caught.value)) < 300 + len(str(place))
    np.savez(place, other=np.zeros(3))
    with pytest.raises(DataError, match=r"x\.npz.* other\b"):
        made.scanned(place)


def test_images_beside_the_file_are_counted(tmp_path: Path) -> None:
    made.medmnist(tmp_path / "x.npz")
    made.films(tmp_path, ["a/1.png", "2.jpg"])
    assert made.scanned(tmp_path).ignored == {"image beside the MedMNIST file": 2}


def test_a_folder_of_two_files_needs_a_choice(tmp_path: Path) -> None:
    made.medmnist(tmp_path / "a.npz")
    made.medmnist(tmp_path / "b.npz")
    with pytest.raises(DataError, match=r"a\.npz, b\.npz"):
        made.scanned(tmp_path, layout="medmnist")


def test_an_index_of_rows(tmp_path: Path) -> None:
    place = made.medmnist(tmp_path / "pneumoniamnist.npz")
    workspace = in_workspace(tmp_path)
    prepare.run(configured(place, "data.min_images=3"), workspace)
    index = load_index(workspace.index_dir)
    assert index.classes == ("normal", "pneumonia")
    first = next(record for record in index.records if record.path == "train/00000")
    pixels = index.image_set(32).pixels[index.records.index(first)]
    assert (pixels == film(0, 32)).all()
    assert np.isfinite(file_facts(index, 32).values).all()
    before = prepare.run(configured(place, "data.min_images=3"), workspace)
    made.medmnist(place, side=40)
    after = prepare.run(configured(place, "data.min_images=3"), workspace)
    assert before.inputs != after.inputs
