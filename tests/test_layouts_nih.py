"""NIH ChestX-ray14, and the RSNA's challenge, which uses its images."""

from pathlib import Path

import pytest

from balancer.errors import DataError
from support import made_archives as made


@pytest.mark.parametrize("scattered", [False, True])
def test_nih_takes_films_of_one_finding(tmp_path: Path, scattered: bool) -> None:
    scan = made.scanned(made.nih(tmp_path, scattered=scattered))
    assert scan.layout == "nih-chestxray14"
    assert scan.labels == ("Cardiomegaly", "No Finding")
    assert len(scan.images) == 6
    folder = "images_001/images" if scattered else "images"
    known = scan.metadata[f"{folder}/00000001_000.png"]
    assert (known.patient_id, known.view) == ("1", "PA")
    assert len(set(made.patients_of(scan).values())) == 3
    assert scan.ignored == {"image with several findings": 1}


def test_columns_of_nih_are_kept_for_subgroups(tmp_path: Path) -> None:
    scan = made.scanned(made.nih(tmp_path), target="Cardiomegaly")
    kept = [one.columns for one in scan.metadata.values()]
    assert {(one["sex"], one["age"]) for one in kept} == {("M", "58")}
    assert sorted(one["finding:Mass"] for one in kept) == ["no"] * 6 + ["yes"]


def test_nih_with_a_combination_that_is_asked_for(tmp_path: Path) -> None:
    root = made.nih(tmp_path)
    classes = {"Cardiomegaly": "heart", "Infiltration|Mass": "lung", "No Finding": "none"}
    assert made.scanned(root, classes=classes, layout="nih-chestxray14", min_classes=1).labels == (
        "heart",
        "lung",
        "none",
    )


def test_the_later_table_of_nih_counts(tmp_path: Path) -> None:
    root = made.nih(tmp_path)
    text = (root / "Data_Entry_2017.csv").read_text().replace("Cardiomegaly", "Nodule")
    (root / "Data_Entry_2017_v2020.csv").write_text(text.replace("Gender", "Sex"))
    assert made.scanned(root).labels == ("No Finding", "Nodule")


def test_a_part_of_nih_that_was_not_downloaded(tmp_path: Path) -> None:
    root = made.nih(tmp_path, scattered=True)
    (root / "images_001" / "images" / "00000001_000.png").unlink()
    scan = made.scanned(root)
    assert [file.reason for file in scan.refused] == [
        "it is missing, though Data_Entry_2017.csv, row 2, lists it"
    ]


def test_rsna_reads_a_row_per_box_as_one_image(tmp_path: Path) -> None:
    scan = made.scanned(made.rsna(tmp_path))
    assert scan.layout == "rsna-pneumonia"
    assert scan.labels == ("Lung Opacity", "No Lung Opacity - Not Normal", "Normal")
    assert len(scan.images) == 9
    # What it calls patientId is an image.
    assert made.patients_of(scan) == {}
    assert not scan.ignored


def test_rsna_knows_patients_by_the_mapping_to_nih(tmp_path: Path) -> None:
    patients = made.patients_of(made.scanned(made.rsna(tmp_path, mapped=True)))
    assert len(patients) == 9
    assert len(set(patients.values())) == 5
    first = f"stage_2_train_images/{made.UID.format(0)}.png"
    assert patients[first] == "00000001"


def test_rsna_by_its_targets_where_the_classes_are_not_there(tmp_path: Path) -> None:
    root = made.rsna(tmp_path)
    (root / "stage_2_detailed_class_info.csv").unlink()
    assert made.scanned(root).labels == ("No Pneumonia", "Pneumonia")
    with (root / "stage_2_train_labels.csv").open("a") as file:
        file.write("x,,,,,2\n")
    with pytest.raises(DataError, match=r"labels\.csv"):
        made.scanned(root)


def test_an_image_of_rsna_has_one_class(tmp_path: Path) -> None:
    root = made.rsna(tmp_path)
    with (root / "stage_2_detailed_class_info.csv").open("a") as file:
        file.write(f"{made.UID.format(0)},Normal\n")
    with pytest.raises(DataError):
        made.scanned(root)


def test_a_mapping_of_another_form(tmp_path: Path) -> None:
    root = made.rsna(tmp_path, mapped=True)
    (root / "pneumonia-challenge-dataset-mappings_2018.json").write_text('[{"img_id": "1"}]')
    with pytest.raises(DataError, match=r"mappings_2018\.json.*subset_img_id"):
        made.scanned(root)
