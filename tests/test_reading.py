"""Files of other names and formats, and tables beside them, read at the command."""

import io
import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image

from balancer.cli import main
from balancer.config import load_config
from balancer.data.io import read_radiograph
from support.radiograph_folders import class_folders, film, save


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return class_folders(tmp_path / "data", {"COVID": 10, "Normal": 12})


def prepare(place: Path | str, *words: str) -> Result:
    return CliRunner().invoke(main, ["prepare", "--data", str(place), "-w", "w", *words])


def prepared(place: Path | str, *words: str) -> tuple[Result, dict[str, Any]]:
    done = prepare(place, *words)
    assert done.exit_code == 0, done.stderr
    metrics: dict[str, Any] = json.loads(Path("w/index/result.json").read_text())["metrics"]
    return done, metrics


def refused(place: Path | str, code: int, *words: str) -> str:
    done = prepare(place, *words)
    assert done.exit_code == code, done.stderr
    assert not Path("w/index/result.json").exists()
    assert "Traceback" not in done.stderr
    return done.stderr.splitlines()[-1]


def images_of(metrics: Mapping[str, Any]) -> Counter[str]:
    return sum((Counter(counts) for counts in metrics["splits"].values()), Counter[str]())


def groups() -> dict[str, set[str]]:
    """Group to paths of the images of the index."""
    lines = Path("w/index/index.csv").read_text().splitlines()
    header = lines[0].split(",")
    found: dict[str, set[str]] = {}
    for line in lines[1:]:
        cells = dict(zip(header, line.split(","), strict=True))
        found.setdefault(cells["group"], set()).add(cells["path"])
    return found


@pytest.mark.parametrize(
    ("suffix", "saved"),
    [
        (".jfif", "JPEG"),
        (".jpe", "JPEG"),
        ("", "PNG"),
        (".dat", "PNG"),
        (".txt", "JPEG"),
        (".tif", "TIFF"),
        (".TIFF", "TIFF"),
        (".webp", "WEBP"),
        (".bmp", "BMP"),
        (".gif", "GIF"),
        (".scan", "TIFF"),
        (".png", "WEBP"),
    ],
)
def test_content_decides(data: Path, suffix: str, saved: str) -> None:
    for number in range(5):
        options = {"lossless": True} if saved == "WEBP" else {}
        save(data / "COVID" / f"x{number}{suffix}", film(90 + number), format=saved, **options)
    done, metrics = prepared(data)
    assert images_of(metrics) == {"COVID": 15, "Normal": 12}
    assert "left_out" not in metrics
    assert "NOT ALL" not in done.stdout


def test_a_tiff_of_16_bits_whose_white_is_zero(data: Path) -> None:
    deep = film(95).astype(np.uint16) * 257
    for number, (name, tags) in enumerate((("plain", {}), ("reversed", {262: 0}))):
        save(data / "COVID" / f"{name}.tif", deep if number == 0 else 65535 - deep, tiffinfo=tags)
    _, metrics = prepared(data)
    # Equal pixels: both are one film, so they are one group.
    assert {"COVID/plain.tif", "COVID/reversed.tif"} in groups().values()
    assert metrics["images"] == 24


def test_what_is_not_read_is_named_with_its_share(data: Path) -> None:
    for number in range(3):
        (data / "COVID" / f"h{number}.heic").write_bytes(b"\0\0\0\x18ftypheic" + bytes(40))
        (data / "COVID" / f"j{number}").write_bytes(b"\0\0\0\x0cjP  \r\n\x87\n" + bytes(40))
    (data / "COVID" / "notes.md").write_text("words\n")
    save(data / "Normal" / "more" / "deep.png", film(99))
    done, metrics = prepared(data)
    lost = metrics["left_out"]
    assert {label: (one["images"], one["share"]) for label, one in lost.items()} == {
        "COVID": (6, round(6 / 16, 4)),
        "Normal": (1, round(1 / 13, 4)),
    }
    assert sorted(lost["COVID"]["reasons"].values()) == [3, 3]
    assert any("HEIC" in reason for reason in lost["COVID"]["reasons"])
    assert any("JPEG 2000" in reason for reason in lost["COVID"]["reasons"])
    told = "\n".join(metrics["warnings"])
    assert "6 of 16" in told
    assert "6 of 16" in done.stderr
    assert "that is no image" in told  # notes.md
    assert "6 (38 %)" in done.stdout
    last = done.stdout.rstrip().splitlines()[-2:]
    assert "COVID 38 % (6)" in " ".join(last)
    assert prepare(data, "--strict").exit_code == 4


def test_a_class_that_loses_less_than_one_percent_is_no_last_line(data: Path) -> None:
    big = class_folders(data.parent / "big", {"COVID": 120, "Normal": 8})
    (big / "COVID" / "a.heic").write_bytes(b"\0\0\0\x18ftypheic")
    done, metrics = prepared(big)
    assert metrics["left_out"]["COVID"]["images"] == 1
    assert "NOT ALL" not in done.stdout
    assert "under 1 %" in done.stdout


@pytest.mark.parametrize(
    ("content", "word"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "git lfs pull"),
        (b"<!DOCTYPE html><html></html>", "HTML"),
        (b"../store/COVID/1.png", "cp -rL"),
        (b"%PDF-1.7", "PDF"),
        (b"", "empty"),
    ],
)
def test_a_reason_says_what_a_file_is(data: Path, content: bytes, word: str) -> None:
    (data / "COVID" / "x.png").write_bytes(content)
    assert word in refused(data, 3)
    done, metrics = prepared(data, "--skip-bad")
    assert metrics["left_out"]["COVID"]["images"] == 1
    assert "COVID 9 % (1)" in done.stdout


def jpeg(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG")
    return buffer.getvalue()


def test_a_whole_file_with_more_behind_it_is_not_damaged(data: Path) -> None:
    whole = jpeg(film(80))
    scan = whole.index(b"\xff\xda")
    (data / "COVID" / "trailer.jpg").write_bytes(whole + whole[scan : scan + 60])
    (data / "COVID" / "sum.png").write_bytes(
        (data / "COVID" / "000.png").read_bytes()[:-4] + b"\1\2\3\4"
    )
    prepared(data)


def test_a_jpeg_of_12_bits_says_how_to_convert(data: Path) -> None:
    content = bytearray(jpeg(film(80)))
    frame = content.index(b"\xff\xc0")
    content[frame + 1], content[frame + 4] = 0xC1, 12
    (data / "COVID" / "deep.jpg").write_bytes(bytes(content))
    told = refused(data, 3)
    assert "12 bits" in told
    assert "gdcmconv" in told


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


def test_a_limit_names_its_setting_and_the_setting_lifts_it(data: Path) -> None:
    for number in range(9):
        save(data / "Tall" / f"{number}.png", np.tile(film(60 + number), (6, 1)))
    assert "data.max_aspect" in refused(data, 3)
    _, metrics = prepared(data, "--set", "data.max_aspect=7")
    assert images_of(metrics)["Tall"] == 9
    save(data / "Tall" / "small.png", film(1, size=20))
    assert "data.min_side" in prepare(data, "--force", "--set", "data.max_aspect=7").stderr


def test_links_are_followed_on_request(data: Path) -> None:
    place = data.parent / "links"
    for path in sorted(data.rglob("*.png")):
        link = place / path.relative_to(data)
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(path)
    (place / "COVID" / "loop.png").symlink_to("loop.png")
    told = refused(place, 3)
    assert "data.follow_links" in told
    assert "cp -rL" in told
    _, metrics = prepared(place, "--skip-bad", "--set", "data.follow_links=true")
    assert images_of(metrics) == {"COVID": 10, "Normal": 12}
    assert metrics["quarantined"] == 1  # the loop


def test_linked_class_folders_are_followed_on_request(data: Path) -> None:
    place = data.parent / "links"
    place.mkdir()
    for label in ("COVID", "Normal"):
        (place / label).symlink_to(data / label)
    assert "data.follow_links" in refused(place, 3)
    _, metrics = prepared(place, "--set", "data.follow_links=true")
    assert images_of(metrics) == {"COVID": 10, "Normal": 12}


def test_a_circular_link_is_set_aside(data: Path) -> None:
    (data / "COVID" / "loop.png").symlink_to("loop.png")
    _, metrics = prepared(data, "--skip-bad")
    assert metrics["quarantined"] == 1


def test_many_classes_are_readable(data: Path) -> None:
    names = [f"class with a long name {number}" for number in range(30)]
    place = class_folders(data.parent / "many", dict.fromkeys(names, 8))
    done, _ = prepared(place)
    for name in names:
        assert name in done.stdout
    page = Path("w/index/audit.md").read_text()
    assert max(page.splitlines(), key=len).count("|") < 30
    assert Path("w/index/audit.html").read_text().count('scope="col"') < 60


def test_colour_that_is_dropped_is_said_first(data: Path) -> None:
    for number, path in enumerate(sorted(data.rglob("*.png"))):
        tint = np.stack([film(number), film(number) // 2, film(number) // 2], axis=2)
        save(path, tint)
    _, metrics = prepared(data)
    assert "colour is dropped: 22 of 22 images" in metrics["warnings"][0].lower()


def test_grey_images_in_colour_modes_are_not_coloured(data: Path) -> None:
    for number, path in enumerate(sorted(data.rglob("*.png"))):
        save(path, np.repeat(film(number)[..., None], 3, axis=2))
    _, metrics = prepared(data)
    assert not any("colour" in told.lower() for told in metrics["warnings"])


@pytest.mark.parametrize(("bits", "suffix"), [(12, "png"), (10, "png"), (14, "tif"), (8, "png")])
@pytest.mark.parametrize("bright", [False, True])
def test_a_depth_that_is_not_used_is_recognised(
    data: Path, bits: int, suffix: str, bright: bool
) -> None:
    for number in range(8):
        deep = (film(200 + number, size=64) / 255 * (2**bits - 1)).astype(np.uint16)
        if bright:
            deep[0, 0] = 65535
        save(data / "Deep" / f"{number}.{suffix}", deep)
    _, metrics = prepared(data)
    assert any(f"{bits} bits in a file of 16" in told for told in metrics["warnings"])
    assert not any("grey levels" in told for told in metrics["warnings"])


def test_few_levels_are_flagged_whatever_the_extremes(data: Path) -> None:
    posterised = film(80) // 64 * 85
    squeezed = film(81) // 20
    squeezed[0, 0] = 255
    save(data / "COVID" / "tones.png", posterised)
    save(data / "COVID" / "marker.png", squeezed)
    prepared(data)
    flags = json.loads(Path("w/index/audit.json").read_text())["flags"]
    found = [paths for reason, paths in flags.items() if "grey levels in use" in reason]
    assert found == [["COVID/marker.png", "COVID/tones.png"]]


def test_hints_carry_the_options_of_the_user(data: Path) -> None:
    prepared(data)
    words = ["synthesize", "--ratio", "1:1", "-w", "w", "--seed", "0"]
    done = CliRunner().invoke(main, words)
    assert done.exit_code == 2
    assert "`balancer gan-train --ratio 1:1 -w w --seed 0`" in done.stderr


def test_a_large_marker_does_not_decide_the_depth(data: Path) -> None:
    for number in range(8):
        deep = (film(200 + number, size=64) / 255 * 4095).astype(np.uint16)
        deep[:6, :12] = 65535
        save(data / "Deep" / f"{number}.png", deep)
    _, metrics = prepared(data)
    assert any("8 images: 12 bits" in told for told in metrics["warnings"])


def test_true_16_bits_are_read_as_such(tmp_path: Path) -> None:
    deep = np.linspace(0, 65535, 64 * 64).reshape(64, 64).astype(np.uint16)
    for name in ("deep.png", "deep.tif"):
        read = read_radiograph(save(tmp_path / name, deep))
        assert (read == np.round(deep / 257)).all()


def test_a_floating_tiff_is_spread(tmp_path: Path) -> None:
    values = film(3).astype(np.float32) * 0.01 - 1
    values[0, 0] = 1e6
    read = read_radiograph(save(tmp_path / "float.tif", values))
    assert np.corrcoef(read.ravel()[1:], film(3).ravel()[1:])[0, 1] > 0.999


def test_pages_are_refused_and_previews_are_not(data: Path) -> None:
    page = Image.fromarray(film(70))
    other = Image.fromarray(film(71))
    page.save(data / "COVID" / "apng.png", save_all=True, append_images=[other])
    small = Image.fromarray(film(70, size=32))
    small.encoderinfo = {"tiffinfo": {254: 1}}
    page.save(data / "COVID" / "preview.tif", save_all=True, append_images=[small])
    prepared(data)
    page.save(data / "COVID" / "pages.tif", save_all=True, append_images=[other])
    assert "2 pages" in prepare(data, "--force").stderr


def test_prefixed_parts_and_classes_that_differ_in_parts(data: Path) -> None:
    place = data.parent / "isic"
    for name, first in (("ISIC2018_Training_Input", 0), ("ISIC2018_Test_Input", 30)):
        class_folders(place / name, {"COVID": 8, "Normal": 8}, first_seed=first)
    _, metrics = prepared(place)
    assert images_of(metrics) == {"COVID": 16, "Normal": 16}
    both = class_folders(data.parent / "both", {"covid_train": 8, "covid_test": 8, "healthy": 8})
    done, _ = prepared(both, "--force")
    assert "words for parts" in done.stderr


def test_groups_that_are_no_patients_are_named(data: Path) -> None:
    paths = sorted(path.relative_to(data).as_posix() for path in data.rglob("*.png"))
    rows = [f"{path},L{number // 2}" for number, path in enumerate(paths)]
    (data / "metadata.csv").write_text("path,lesion_id\n" + "\n".join(rows))
    _, metrics = prepared(data)
    assert any(
        "'lesion_id' is not read; rename it to patient_id" in one for one in metrics["warnings"]
    )


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


def test_folders_of_masks_are_no_loss(data: Path) -> None:
    for label in ("COVID", "Normal"):
        for name in ("lung masks", "infection_mask"):
            save(data / label / name / "1.png", film(3))
    save(data / "Lung Masks" / "1.png", film(3))
    _, metrics = prepared(data)
    assert images_of(metrics) == {"COVID": 10, "Normal": 12}
    assert "left_out" not in metrics
    assert any("5 files or folders ignored: folder of masks" in one for one in metrics["warnings"])
