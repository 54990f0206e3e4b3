"""Tables with a column per finding: one finding against the rest, or one class per image."""

import csv
import json
from collections import Counter
from pathlib import Path

import pytest

from balancer.ablation.subgroups import subgroup_columns
from balancer.data.index import load_index
from support.made_archives import films
from support.reading_command import groups, images_of, prepared, refused

CHEXPERT = ("Path", "Sex", "Age", "Frontal/Lateral", "AP/PA", "No Finding", "Edema", "Mass")


@pytest.fixture(autouse=True)
def in_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def chexpert(root: Path) -> Path:
    """Write 13 films, 4 with a mass, 2 where it is uncertain, and a lateral one."""
    cells = [
        *[("", "", "1.0")] * 3,
        ("", "1.0", "1.0"),
        *[("1.0", "", "")] * 5,
        ("", "1.0", "0.0"),
        ("", "", "-1.0"),
        ("", "-1.0", ""),
        ("", "1.0", "-1.0"),
    ]
    tables: dict[str, list[list[str]]] = {"train": [], "valid": []}
    for number, findings in enumerate(cells):
        part = "valid" if number % 4 == 0 else "train"
        for view in ("frontal", "lateral") if number == 1 else ("frontal",):
            path = f"{part}/patient{number * 2 // 3:05}/study{number + 1}/view1_{view}.jpg"
            films(root, [path], first_seed=10 * number + (view == "lateral"))
            more = ["Female", "60", view.title(), "PA" if view == "frontal" else ""]
            tables[part].append([f"{root.name}/{path}", *more, *findings])
    for part, rows in tables.items():
        with (root / f"{part}.csv").open("w", newline="") as file:
            csv.writer(file).writerows([CHEXPERT, *rows])
    return root


def test_several_findings_need_a_target() -> None:
    last = refused(chexpert(Path("CheXpert-v1.0-small")), 3)
    assert "data.target=" in last
    assert "?" not in last.split("--set")[1]


def test_one_finding_against_the_rest() -> None:
    root = chexpert(Path("CheXpert-v1.0-small"))
    _, metrics = prepared(root, "--set", "data.target=Mass", "--set", "data.min_images=4")
    assert images_of(metrics) == {"Mass": 4, "not Mass": 7}
    ignored = json.loads(Path("w/index/audit.json").read_text())["ignored"]
    assert ignored["image with an uncertain finding"] == 2
    assert any("view Lateral" in reason for reason in ignored)
    patients = [{path.split("/")[1] for path in paths} for paths in groups().values()]
    assert all(len(names) == 1 for names in patients)
    assert len(patients) == len({name for names in patients for name in names})


def test_the_other_findings_are_kept_as_columns_for_subgroups() -> None:
    root = chexpert(Path("CheXpert-v1.0-small"))
    done, metrics = prepared(root, "--set", "data.target=Mass", "--set", "data.min_images=4")
    with Path("w/index/details.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    edema = [row["finding:Edema"] for row in rows]
    # One film with a mass has an oedema, and one without; another is uncertain.
    assert Counter(edema) == {"no": 8, "yes": 2, "uncertain": 1}
    assert not any("Mass" in name for name in rows[0])
    assert "finding:" not in done.stderr
    assert "finding:No Finding" in rows[0]
    columns = subgroup_columns(load_index(Path("w/index")), [])
    assert {"sex", "age", "finding:Edema", "finding:No Finding"} == {*columns}
    assert "unused_columns" not in metrics


def test_one_finding_per_image_is_its_class() -> None:
    rows = [(f"ISIC_{n:07}", *(f"{float(n % 3 == k)}" for k in range(3)), "0.0") for n in range(24)]
    root = Path("isic")
    films(root, [f"ISIC2018_Training_Input/{row[0]}.jpg" for row in rows])
    with (root / "GroundTruth.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("image", "MEL", "NV", "BCC", "UNK"), *rows])
    _, metrics = prepared(root)
    assert images_of(metrics) == {"MEL": 8, "NV": 8, "BCC": 8}
    again, _ = prepared(root / "GroundTruth.csv", "--force")
    assert "up to date" not in again.stderr


@pytest.mark.parametrize("header", ["image,sex,age_approx", "IMG_10,F,41"])
def test_columns_of_a_table_beside_class_folders_are_kept_or_named(header: str) -> None:
    root = Path("set")
    names = [f"{label}/IMG_{10 + 8 * k + n}.png" for k, label in enumerate("ab") for n in range(8)]
    films(root, names)
    rows = [f"{Path(name).stem},{'FM'[n % 2]},4{n % 8}" for n, name in enumerate(names[1:], 1)]
    (root / "facts.csv").write_text("\n".join([header, *rows]))
    done, metrics = prepared(root, "--layout", "class-folders")
    with Path("w/index/details.csv").open(newline="") as file:
        cells = Counter(row.get("sex", "no such column") for row in csv.DictReader(file))
    if header.startswith("image"):
        assert metrics["unused_columns"] == ["age_approx"]
        assert cells == {"F": 7, "M": 8, "": 1}  # the table lacks one image
    else:  # the first row is an image, so nothing is known of the columns, and no cell is shown
        assert [*cells] == ["no such column"]
        assert "41" not in done.stderr


def test_class_folders_beside_a_table_of_facts_stay_classes() -> None:
    root = Path("set")
    names = [f"{label}/{n}.png" for label in ("COVID", "Normal") for n in range(8)]
    films(root, names)
    with (root / "facts.csv").open("w", newline="") as file:
        rows = [(name, n % 2, n % 3 == 0) for n, name in enumerate(names)]
        csv.writer(file).writerows(
            [("file", "smoker", "diabetic"), *((a, b, int(c)) for a, b, c in rows)]
        )
    _, metrics = prepared(root)
    assert images_of(metrics) == {"COVID": 8, "Normal": 8}
