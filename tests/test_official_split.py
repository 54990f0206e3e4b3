"""The split that an archive comes with, at the command: MedMNIST's twelve sets, folders, tables."""

import csv
import json
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
import pytest

from balancer.data.channels import decide_domain
from balancer.data.config import DataConfig
from balancer.data.layouts.medmnist import _NAMES
from balancer.data.roots import Roots
from support import made_archives as made
from support.radiograph_folders import film, save
from support.reading_command import prepare, prepared, refused

OFFICIAL = ("--set", "data.official_split=true", "--set", "data.min_images=3")
DOMAINS = {
    "pathmnist": "histology", "chestmnist": "chest", "dermamnist": "skin", "octmnist": "general",
    "pneumoniamnist": "chest", "retinamnist": "fundus", "breastmnist": "ultrasound",
    "bloodmnist": "blood", "tissuemnist": "histology", "organamnist": "general",
    "organcmnist": "general", "organsmnist": "general",
}  # fmt: skip
GREY = {*DOMAINS} - {"pathmnist", "dermamnist", "retinamnist", "bloodmnist"}
COUNTS = {"train": 8, "val": 4, "test": 4}


@pytest.fixture(autouse=True)
def in_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def medmnist(path: Path, classes: int, *, grey: bool, side: int = 28) -> Path:
    """Draw the parts of a set, each with two images of a class or more."""
    arrays: dict[str, np.ndarray] = {}
    for place, part in enumerate(COUNTS):
        count = max(COUNTS[part], 2 * classes)
        images = np.stack([film(1000 * place + n, side) for n in range(count)])
        if not grey:
            images = np.stack([images, 255 - images, images // 2], axis=-1)
        labels = np.arange(count)[:, None] % classes
        arrays |= {f"{part}_images": images, f"{part}_labels": labels.astype(np.uint8)}
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(path, **arrays)
    return path


def splits() -> dict[str, set[str]]:
    with Path("w/index/index.csv").open(newline="") as file:
        found = defaultdict(set)
        for row in csv.DictReader(file):
            found[row["split"]].add(row["path"])
        return dict(found)


@pytest.mark.parametrize("name", DOMAINS)
def test_each_of_the_twelve_sets_has_its_names_domain_and_size(name: str) -> None:
    """Their classes are those of MedMNIST's `info.py`; 28 px need no setting."""
    several = name == "chestmnist"
    wanted = ("no finding", "pneumonia") if several else tuple(sorted(_NAMES[name]))
    if several:
        place = made.medmnist(Path(f"{name}.npz"), side=28, several=True)
    else:
        place = medmnist(Path(f"{name}.npz"), len(wanted), grey=name in GREY)
    scan = made.scanned(place)
    assert (scan.labels, scan.min_side) == (wanted, 28)
    channels = 1 if name in GREY else 3
    assert decide_domain(DataConfig(), Roots.of([place]), scan, channels) == DOMAINS[name]


def test_a_set_of_28_pixels_keeps_its_own_split_where_it_is_asked_for() -> None:
    place = medmnist(Path("sets/dermamnist.npz"), 2, grey=False)
    done, metrics = prepared(place.parent, *OFFICIAL)
    for split, paths in splits().items():
        assert {path.split("/")[1] for path in paths} == {split}
    assert {split: sum(row.values()) for split, row in metrics["splits"].items()} == COUNTS
    assert "skin" in done.stderr
    data = json.loads(Path("w/index/result.json").read_text())["settings"]["data"]
    assert (data["min_side"], data["official_split"]) == (28, True)
    assert prepare(place.parent, *OFFICIAL).stderr.count("up to date") == 1
    # Without the setting the parts are joined and split anew, and records say what they always did.
    prepared(medmnist(Path("breastmnist_64.npz"), 2, grey=True, side=64), "--force", *OFFICIAL[2:])
    data = json.loads(Path("w/index/result.json").read_text())["settings"]["data"]
    assert data["min_side"] == 32
    assert "official_split" not in data
    assert any(Path(path).parts[0] != split for split, of in splits().items() for path in of)


def test_a_chosen_limit_of_the_side_counts_for_small_files_too() -> None:
    place = medmnist(Path("dermamnist.npz"), 2, grey=False)
    assert "29" in refused(place, 3, *OFFICIAL, "--set", "data.min_side=29")


def test_training_images_of_a_group_of_the_test_split_are_left_out_and_counted() -> None:
    place = medmnist(Path("breastmnist.npz"), 2, grey=True)
    with np.load(place) as file:
        arrays = dict(file)
    arrays["train_images"][2:4] = arrays["test_images"][:2]  # the same pixels, in their classes
    arrays["train_images"][4] = arrays["val_images"][0]
    np.savez_compressed(place, **arrays)
    _, metrics = prepared(place, *OFFICIAL)
    assert {split: len(paths) for split, paths in splits().items()} == COUNTS | {"train": 5}
    lost = Counter({label: one["images"] for label, one in metrics["left_out"].items()})
    assert lost == {"malignant": 2, "normal-or-benign": 1}
    reasons = {name for one in metrics["left_out"].values() for name in one["reasons"]}
    assert len(reasons) == 2  # for the groups of test, and of validation


def folders(*parts: str, count: int = 8) -> Path:
    for place, part in enumerate(parts):
        for k, label in enumerate("ab"):
            for n in range(count):
                save(Path("set") / part / label / f"{n}.png", film(1000 * place + 100 * k + n))
    return Path("set")


def test_validation_images_are_drawn_from_training_where_an_archive_has_none() -> None:
    done, metrics = prepared(folders("Training", "Testing"), *OFFICIAL)
    found = splits()
    assert {Path(path).parts[0] for path in found["test"]} == {"Testing"}
    assert {Path(path).parts[0] for path in found["train"] | found["val"]} == {"Training"}
    assert all(metrics["splits"]["val"].values())
    assert "no validation images" in done.stderr


def test_a_column_of_a_table_names_the_split() -> None:
    root = folders("all", count=9)
    files = sorted(root.rglob("*.png"))
    rows = [
        f"{path.relative_to(root)},{path.parent.name},{('train', 'val', 'TEST')[n % 3]}"
        for n, path in enumerate(files)
    ]
    (root / "table.csv").write_text("\n".join(["path,label,Split", *rows]))
    _, metrics = prepared(root / "table.csv", *OFFICIAL)
    place = {f"{path.relative_to(root)}": n % 3 for n, path in enumerate(files)}
    for number, split in enumerate(("train", "val", "test")):
        assert {place[path] for path in splits()[split]} == {number}
    assert "unused_columns" not in metrics


@pytest.mark.parametrize(
    "parts", [("part_1", "part_2"), ("train", "val"), ("train", "test", "part_3")]
)
def test_an_archive_without_a_split_of_its_own_is_refused(parts: tuple[str, ...]) -> None:
    assert "data.official_split" in refused(folders(*parts, count=4), 3, *OFFICIAL)


def test_a_class_that_a_split_lacks_is_refused() -> None:
    root = folders("train", "test", count=4)
    for path in (root / "test" / "b").iterdir():
        path.unlink()
    (root / "test" / "b").rmdir()
    assert "'b'" in refused(root, 3, *OFFICIAL)
