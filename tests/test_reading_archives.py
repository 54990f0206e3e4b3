"""Parts of archives, tables of classes, labels and names, at the command."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from balancer.cli import main
from balancer.config import load_config
from support.radiograph_folders import class_folders, film, save
from support.reading_command import images_of, prepare, prepared, refused


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return class_folders(tmp_path / "data", {"COVID": 10, "Normal": 12})


@pytest.mark.parametrize(
    "part",
    [
        "part_1",
        "HAM_images_part_2",
        "Fold 3",
        "images_001",
        "batch-4",
        "train",
        "test_images",
        "valid",
        "subset0",
        "dataset (1)",
    ],
)
def test_folders_that_are_parts_are_no_classes(data: Path, part: str) -> None:
    place = data.parent / "parts"
    class_folders(place / part, {"COVID": 8, "Normal": 9})
    class_folders(place / "test", {"COVID": 2, "Normal": 3}, first_seed=50)
    _, metrics = prepared(place)
    assert images_of(metrics) == {"COVID": 10, "Normal": 12}
    assert metrics["parts"] == {part: 17, "test": 5}
    details = Path("w/index/details.csv").read_text().splitlines()
    assert details[0].endswith(",part")
    assert sum(line.endswith(",test") for line in details) == 5


def test_parts_inside_parts_and_inside_classes(data: Path) -> None:
    place = data.parent / "parts"
    class_folders(place / "fold_1" / "train", {"COVID": 8, "Normal": 8})
    for number in range(4):
        save(place / "COVID" / "images_2" / f"{number}.png", film(70 + number))
    _, metrics = prepared(place)
    assert images_of(metrics) == {"COVID": 12, "Normal": 8}
    assert metrics["parts"]["fold_1/train"] == 16


@pytest.mark.parametrize("folders", [("images_part_1", "images_part_2"), ("site a", "site b")])
@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_a_table_of_classes_beside_folders_stops(
    data: Path, folders: tuple[str, str], separator: str
) -> None:
    place = data.parent / "ham"
    rows = [["image_id", "dx", "age"]]
    for number in range(24):
        save(place / folders[number % 2] / f"ISIC_{number:04}.jpg", film(number))
        rows.append([f"ISIC_{number:04}", ("nv", "mel", "bkl")[number % 3], str(20 + number)])
    name = "meta_of_all.csv" if separator != "\t" else "meta_of_all.tsv"
    (place / name).write_text("\n".join(separator.join(row) for row in rows))
    told = refused(place, 3)
    for word in (name, "image_id", "dx", "path", "label"):
        assert word in told
    if folders[0] == "site a":
        assert "--layout class-folders" in told
        prepared(place, "--layout", "class-folders")
    # What is advised works: the names have neither folder nor suffix.
    table = [["path", "label"], *(row[:2] for row in rows[1:])]
    (place / name).unlink()
    (place / "all.csv").write_text("\n".join(",".join(row) for row in table))
    _, metrics = prepared(place, "--force")
    assert images_of(metrics) == {"nv": 8, "mel": 8, "bkl": 8}


def test_a_table_that_agrees_with_the_folders_stops_nothing(data: Path) -> None:
    names = {path: f"{path.parent.name}_{path.name}" for path in data.rglob("*.png")}
    for path, name in names.items():
        path.rename(path.with_name(name))
    rows = [
        f"{name},{path.parent.name},P{number // 2}"
        for number, (path, name) in enumerate(sorted(names.items()))
    ]
    (data / "overview.csv").write_text("file,diagnosis,MRN\n" + "\n".join(rows))
    _, metrics = prepared(data)
    assert metrics["groups"]["kind"] == "patient"
    assert metrics["groups"]["number"] == 11
    assert any("overview.csv" in told and "MRN" in told for told in metrics["warnings"])


def joined(data: Path, labels: list[str]) -> Path:
    place = data.parent / "joined"
    for number in range(len(labels)):
        save(place / "films" / f"{number}.png", film(number))
    rows = "\n".join(f"films/{number}.png,{label}" for number, label in enumerate(labels))
    (place / "all.csv").write_text(f"path,label\n{rows}\n")
    return place


@pytest.mark.parametrize("separator", ["|", ";", "&", "+"])
def test_joined_labels_stop_with_a_choice_that_works(data: Path, separator: str) -> None:
    labels = ["Mass", f"Edema{separator}Mass", "Edema", "No Finding"] * 8
    place = joined(data, labels)
    told = refused(place, 3)
    assert "--set data.target=Mass" in told or "--set data.target=Edema" in told
    _, metrics = prepared(place, "--set", "data.target=Mass")
    assert images_of(metrics) == {"Mass": 16, "not Mass": 16}
    assert "up to date" in prepare(place, "--set", "data.target=Mass").stderr
    wrong = prepare(place, "--set", "data.target=Hernia", "-w", "other")
    assert wrong.exit_code == 2
    assert "Hernia" in wrong.stderr
    both = ("--set", "data.target=Mass", "--set", "data.classes={Mass: M}")
    assert prepare(place, *both).exit_code == 2


def test_names_with_a_comma_are_names(data: Path) -> None:
    (data / "COVID").rename(data / "Pneumonia, viral")
    _, metrics = prepared(data)
    assert images_of(metrics) == {"Pneumonia, viral": 10, "Normal": 12}


def test_numbers_are_names(data: Path) -> None:
    place = class_folders(data.parent / "numbers", {"01": 8, "007": 9, "1": 8, "true": 8})
    classes = "data.classes={01: 08, 007: 1e3, 1: one, true: yes}"
    _, metrics = prepared(place, "--set", classes)
    assert images_of(metrics) == {"08": 8, "1000.0": 9, "one": 8, "yes": 8}
    config = load_config(assignments=["evaluation.positive_class=01", "gan.batch_size=016"])
    assert config.evaluation.positive_class == "01"
    assert config.gan.batch_size == 16
    assert load_config(assignments=["evaluation.positive_class=7"]).evaluation.positive_class == "7"


def test_many_classes_are_readable(data: Path) -> None:
    names = [f"class with a long name {number}" for number in range(30)]
    place = class_folders(data.parent / "many", dict.fromkeys(names, 8))
    done, _ = prepared(place)
    for name in names:
        assert name in done.stdout
    page = Path("w/index/audit.md").read_text()
    assert max(page.splitlines(), key=len).count("|") < 30
    assert Path("w/index/audit.html").read_text().count('scope="col"') < 60


def test_hints_carry_the_options_of_the_user(data: Path) -> None:
    prepared(data)
    words = ["synthesize", "--ratio", "1:1", "-w", "w", "--seed", "0"]
    done = CliRunner().invoke(main, words)
    assert done.exit_code == 2
    assert "`balancer gan-train --ratio 1:1 -w w --seed 0`" in done.stderr


def test_prefixed_parts_and_classes_that_differ_in_parts(data: Path) -> None:
    place = data.parent / "isic"
    for name, first in (("ISIC2018_Training_Input", 0), ("ISIC2018_Test_Input", 30)):
        class_folders(place / name, {"COVID": 8, "Normal": 8}, first_seed=first)
    _, metrics = prepared(place)
    assert images_of(metrics) == {"COVID": 16, "Normal": 16}
    both = class_folders(data.parent / "both", {"covid_train": 8, "covid_test": 8, "healthy": 8})
    done, _ = prepared(both, "--force")
    assert "words for parts" in done.stderr
