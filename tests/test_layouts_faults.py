"""Archives with common faults: errors and warnings, and nothing left out in silence."""

import logging
import zipfile
from pathlib import Path

import numpy as np
import pytest

from balancer.data.layouts.recognition import recognise
from balancer.data.split import split_groups
from balancer.errors import DataError
from support import made_archives as made
from support.radiograph_folders import class_folders, film, save


def listed(root: Path, header: str, *rows: str, name: str = "table.csv") -> Path:
    for number in range(6):
        save(root / "films" / f"{number}.png", film(number))
    (root / name).write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    return root


def test_images_below_a_class_folder_are_counted(tmp_path: Path) -> None:
    root = class_folders(tmp_path, {"COVID": 3, "Normal": 3})
    for number in range(5):
        save(root / "Normal" / "batch" / "deep" / f"{number}.png", film(number))
    (root / "Normal" / "empty").mkdir()
    scan = made.scanned(root)
    assert len(scan.images) == 6
    assert dict(scan.ignored) == {
        "image in a folder inside the class folder 'Normal'": 5,
        "folder": 1,
    }


@pytest.mark.parametrize("name", ["metadata.csv", "Metadata.csv", "METADATA.CSV"])
def test_the_table_of_class_folders_in_any_case(tmp_path: Path, name: str) -> None:
    root = class_folders(tmp_path, {"COVID": 2, "Normal": 2})
    path = next((root / "COVID").iterdir()).relative_to(root).as_posix()
    (root / name).write_text(f"path,patient_id\n{path},p7\n")
    assert made.scanned(root).metadata[path].patient_id == "p7"


@pytest.mark.parametrize("empty", ["nan", "NA", "N/A", "None", "null", "<NA>"])
def test_what_programs_write_into_empty_cells_is_no_patient(tmp_path: Path, empty: str) -> None:
    rows = [f"films/{number}.png,{'ab'[number % 2]},{empty}" for number in range(6)]
    scan = made.scanned(listed(tmp_path, "path,label,patient_id", *rows))
    assert {known.patient_id for known in scan.metadata.values()} == {""}


@pytest.mark.parametrize(
    ("header", "column"),
    [("path,label,label", "label"), ("path,label,Label", "label"), ("Path,path,label", "path")],
)
def test_a_column_that_is_used_occurs_once(tmp_path: Path, header: str, column: str) -> None:
    root = listed(tmp_path, header, "films/0.png,a,b", "films/1.png,b,a")
    with pytest.raises(DataError, match=rf"table\.csv.*\b{column}\b"):
        made.scanned(root, layout="manifest")


@pytest.mark.parametrize("blank", ["  ", ",", " , "])
def test_blank_rows_are_no_rows(tmp_path: Path, blank: str) -> None:
    rows = [f"films/{number}.png,{'ab'[number % 2]}" for number in range(6)]
    assert len(made.scanned(listed(tmp_path, "path,label", *rows, blank)).images) == 6


def test_excels_lock_file_is_no_workbook(tmp_path: Path) -> None:
    root = class_folders(tmp_path, {"COVID": 2, "Normal": 2})
    (root / "~$COVID.metadata.xlsx").write_bytes(b"locked")
    assert recognise(root)[0].name == "class-folders"


def test_half_a_part_of_a_medmnist_file_is_refused(tmp_path: Path) -> None:
    images = np.zeros((3, 28, 28), np.uint8)
    labels = np.array([[0], [1], [0]], np.uint8)
    file = tmp_path / "pneumoniamnist.npz"
    np.savez(file, train_images=images, train_labels=labels, val_images=images)
    with pytest.raises(DataError, match=r"pneumoniamnist\.npz.*val_labels.*val_images"):
        made.scanned(tmp_path)


@pytest.mark.parametrize(
    ("text", "form"),
    [
        (b"path;label\nfilms/0.png;a\n", "semicolons"),
        (b"path\tlabel\nfilms/0.png\ta\n", "tabs"),
        ("path,label\nfilms/0.png,a\n".encode("utf-16"), "UTF-16"),
    ],
)
def test_a_table_in_another_form_is_named(tmp_path: Path, text: bytes, form: str) -> None:
    listed(tmp_path, "x")
    (tmp_path / "table.csv").write_bytes(text)
    with pytest.raises(DataError, match=rf"table\.csv.*{form}"):
        recognise(tmp_path)


def test_two_tables_are_named(tmp_path: Path) -> None:
    for name in ("one.csv", "two.csv"):
        listed(tmp_path, "path,label", "films/0.png,a", name=name)
    with pytest.raises(DataError, match=r"one\.csv, two\.csv"):
        recognise(tmp_path)


def test_a_zip_file_is_to_be_unpacked(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "archive.zip", "w") as archive:
        archive.writestr("COVID/1.png", b"")
    with pytest.raises(DataError, match=r"archive\.zip"):
        recognise(tmp_path / "archive.zip")


def test_a_linked_class_folder_is_named(tmp_path: Path) -> None:
    root = class_folders(tmp_path / "archive", {"COVID": 2, "Normal": 2})
    outside = class_folders(tmp_path / "elsewhere", {"Pneumonia": 2})
    (root / "Pneumonia").symlink_to(outside / "Pneumonia")
    with pytest.raises(DataError, match="Pneumonia"):
        recognise(root)


def test_an_archive_two_levels_down_is_pointed_out(tmp_path: Path) -> None:
    class_folders(tmp_path / "dataset" / "v1", {"COVID": 2, "Normal": 2})
    with pytest.raises(DataError, match="v1'"):
        recognise(tmp_path)
    (tmp_path / "none").mkdir()
    with pytest.raises(DataError, match="none'"):
        recognise(tmp_path / "none")


def test_images_without_a_mask_are_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    root = class_folders(tmp_path, {"COVID": 2, "Normal": 2})
    first = sorted((root / "COVID").iterdir())[0]
    save(root / "Masks" / "COVID" / first.name, film(0))
    with caplog.at_level(logging.WARNING):
        scan = made.scanned(root)
    assert scan.masks == {f"COVID/{first.name}": f"Masks/COVID/{first.name}"}
    assert "3 of 4 images have no lung mask" in caplog.text


@pytest.mark.parametrize("seed", range(5))
def test_three_patients_of_equal_size_are_enough(seed: int) -> None:
    groups = [f"{label}{patient}" for label in "ab" for patient in range(4) for _ in range(2)]
    labels = [group[0] for group in groups]
    split_of = split_groups(groups, labels, shares=(0.7, 0.15, 0.15), seed=seed)
    for label in "ab":
        assert {split_of[group] for group in groups if group[0] == label} == {
            "train",
            "val",
            "test",
        }
