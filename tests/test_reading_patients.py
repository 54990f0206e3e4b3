"""Patients from columns and names of files, at the command."""

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from support.radiograph_folders import class_folders, film, save
from support.reading_command import groups, images_of, prepared, refused


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return class_folders(tmp_path / "data", {"COVID": 10, "Normal": 12})


@pytest.mark.parametrize("given", ["folder", "table"])
def test_columns_of_other_names_are_named_once(data: Path, given: str) -> None:
    place = data.parent / "table"
    for number in range(20):
        save(place / "images" / f"{number}.png", film(number))
    rows = "\n".join(f"{number}.png,{'ab'[number % 2]}" for number in range(20))
    (place / "labels.csv").write_text(f"filename,class\n{rows}\n")
    told = refused(place if given == "folder" else place / "labels.csv", 3)
    assert "rename filename to path and class to label" in told
    (place / "labels.csv").write_text(f"path,label\n{rows}\n")
    _, metrics = prepared(place)
    assert images_of(metrics) == {"a": 10, "b": 10}


@pytest.mark.parametrize(
    "column", ["Patient ID", "patientid", "PatientID", "subject_id", "case_id", "MRN", "Patient_No"]
)
def test_patients_under_any_usual_name(data: Path, column: str) -> None:
    paths = sorted(path.relative_to(data).as_posix() for path in data.rglob("*.png"))
    rows = [f"{path},S{number // 2}" for number, path in enumerate(paths)]
    (data / "metadata.csv").write_text(f"path,{column}\n" + "\n".join(rows))
    _, metrics = prepared(data)
    assert metrics["groups"]["kind"] == "patient"
    assert metrics["groups"]["number"] == 11
    assert any(repr(column) in told and "patient_id" in told for told in metrics["warnings"])


def test_a_column_of_patients_that_cannot_be_used_is_named(data: Path) -> None:
    (data / "people.csv").write_text("Patient ID,age\n" + "\n".join(f"P{n},4" for n in range(9)))
    _, metrics = prepared(data)
    assert metrics["groups"]["kind"] != "patient"
    told = next(told for told in metrics["warnings"] if "people.csv" in told)
    assert "'Patient ID' is not read" in told
    assert "patient_id" in told


@pytest.mark.parametrize("word", ["unknown", "None", "nan", "-", "N/A", "0000", "anonymous", "0"])
@pytest.mark.parametrize("table", ["metadata.csv", "all.csv"])
def test_placeholders_of_patients_are_no_patients(data: Path, word: str, table: str) -> None:
    paths = sorted(path.relative_to(data).as_posix() for path in data.rglob("*.png"))
    rows = [
        f"{path},{path.split('/')[0]},{f'P{number}' if number < 4 else word}"
        for number, path in enumerate(paths)
    ]
    (data / table).write_text("path,label,patient_id\n" + "\n".join(rows))
    _, metrics = prepared(data)
    assert metrics["groups"]["images_without_patient"] == len(paths) - 4
    assert metrics["groups"]["number"] == len(paths)


def test_the_first_of_numbered_patients_is_one(data: Path) -> None:
    paths = sorted(path.relative_to(data).as_posix() for path in data.rglob("*.png"))
    rows = [f"{path},{number // 2}" for number, path in enumerate(paths)]
    (data / "metadata.csv").write_text("path,patient_id\n" + "\n".join(rows))
    _, metrics = prepared(data)
    assert metrics["groups"]["number"] == 11
    assert metrics["groups"]["images_without_patient"] == 0


@pytest.mark.parametrize(
    "names",
    [
        "person{}_bacteria_{}.jpeg",
        "CNV-10{:05}-{}.jpeg",
        "IM-{:04}-{:04}.jpeg",
        "patient{:05}_study{}.png",
        "sub-{}_view-{}.png",
        "SOB_B_A-14-22{:03}AB-40-{:03}.png",
    ],
)
def test_patients_in_known_names(data: Path, names: str) -> None:
    for number, path in enumerate(sorted(data.rglob("*.png"))):
        path.rename(path.with_name(names.format(number // 2, number)))
    _, metrics = prepared(data)
    assert metrics["groups"]["kind"] == "patient"
    assert metrics["groups"]["number"] == 11
    assert any("11 patients" in told for told in metrics["warnings"])


def test_patients_of_train_and_test_given_apart_are_the_same(data: Path) -> None:
    for part, first in (("train", 0), ("test", 40)):
        for number in range(16):
            label = ("NORMAL", "PNEUMONIA")[number % 2]
            name = f"person{number // 2}_virus_{first + number}.jpeg"
            save(data.parent / "xray" / part / label / name, film(first + number))
    folders = [data.parent / "xray" / part for part in ("train", "test")]
    prepared(folders[0], "--data", str(folders[1]))
    by_person: dict[str, set[str]] = {}
    for group, paths in groups().items():
        for path in paths:
            by_person.setdefault(path.split("/")[-1].split("_")[0], set()).add(group)
    assert len(by_person) == 8
    assert all(len(own) == 1 for own in by_person.values())


def described(data: Path, header: str, *cells: Callable[[int], str]) -> dict[str, int]:
    """Write metadata.csv with a cell of each kind per image; return path to number."""
    paths = sorted(path.relative_to(data).as_posix() for path in data.rglob("*.png"))
    rows = [",".join([path, *(cell(n) for cell in cells)]) for n, path in enumerate(paths)]
    (data / "metadata.csv").write_text("\n".join([f"path,{header}", *rows]))
    return {path: number for number, path in enumerate(paths)}


def joined(numbers: Mapping[str, int]) -> set[frozenset[int]]:
    return {frozenset(numbers[path] for path in paths) for paths in groups().values()}


def test_groups_that_are_no_patients_are_named(data: Path) -> None:
    described(data, "visit_id", lambda n: f"V{n // 2}")
    _, metrics = prepared(data)
    assert any(
        "'visit_id' is not read; rename it to patient_id" in one for one in metrics["warnings"]
    )


@pytest.mark.parametrize(
    ("column", "kind"),
    [("lesion_id", "lesion"), ("slide", "slide"), ("WSI", "slide"), ("biopsy_number", "specimen")],
)
def test_images_of_one_lesion_or_slide_stay_together(data: Path, column: str, kind: str) -> None:
    numbers = described(data, column, lambda n: f"L{n // 3}")
    done, metrics = prepared(data, "--set", "data.domain=general")
    wanted = {frozenset(n for n in numbers.values() if n // 3 == k) for k in range(len(numbers))}
    assert joined(numbers) == wanted - {frozenset()}
    assert metrics["groups"]["kind"] == kind
    assert {group.partition("-")[0] for group in groups()} == {kind}
    assert metrics["groups"]["images_without_patient"] == len(numbers)
    assert f"two {kind}s of a patient" in done.stderr
    assert "L1" not in done.stderr


def test_lesions_that_are_numbered_within_patients_join_no_strangers(data: Path) -> None:
    patient = {"p": lambda n: f"P{n // 2}", "lesion": lambda n: f"{n % 2}"}
    numbers = described(data, "patient_id,lesion_id", *patient.values())
    _, metrics = prepared(data)
    assert all(len(one) == 2 for one in joined(numbers))
    assert metrics["groups"]["kind"] == "patient"


def test_a_lesion_that_all_images_share_is_a_placeholder(data: Path) -> None:
    described(data, "lesion_id", lambda _: "unknown 1")
    _, metrics = prepared(data)
    assert metrics["groups"]["kind"] == "near-duplicate cluster"
    described(data, "lesion_id", lambda n: f"L{n // 3}")
    _, metrics = prepared(data, "--force", "--set", "data.patients=ignored")
    assert metrics["groups"]["kind"] == "near-duplicate cluster"


def test_tiles_name_their_slide(data: Path) -> None:
    for number, path in enumerate(sorted(data.rglob("*.png"))):
        path.rename(path.with_name(f"slide-{number // 2:02}_x{number}.png"))
    _, metrics = prepared(data)
    assert metrics["groups"]["kind"] == "slide"
    assert all(len({path.split("_")[0][-2:] for path in of}) == 1 for of in groups().values())


def test_names_give_the_patients_of_a_table_too(data: Path) -> None:
    place = data.parent / "table"
    rows = []
    for number in range(20):
        name = f"person{number // 2}_virus_{number}.png"
        save(place / name, film(number))
        rows.append(f"{name},{'ab'[number % 2]}")
    (place / "all.csv").write_text("path,label\n" + "\n".join(rows))
    _, metrics = prepared(place)
    assert metrics["groups"]["number"] == 10
