"""Circular links, pipes and sockets in an archive of any layout: `prepare` waits for none."""

import csv
import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from support import made_archives as made
from support import made_dicom
from support.radiograph_folders import class_folders, film
from support.reading_command import prepare

pytestmark = pytest.mark.timeout(30)  # opening a pipe waits for ever

SETTINGS = ("--set", "data.min_images=3", "--set", "data.patients=ignored")


def _manifest(root: Path) -> Path:
    made.films(root, [f"images/{number}.png" for number in range(10)])
    rows = [{"path": f"images/{n}.png", "label": "ab"[n % 2]} for n in range(10)]
    made.write_csv(root / "all.csv", ("path", "label"), rows)
    return root


def _dicom(root: Path) -> Path:
    for number in range(8):
        made_dicom.write(root / "ab"[number % 2] / f"{number}.dcm", film(number))
    return root


MADE: dict[str, Callable[[Path], Path]] = {
    "radiography-database": made.radiography_database,
    "covidx": made.covidx,
    "cohen": lambda root: made.cohen(root, made.cohen_rows()),
    "actualmed": made.actualmed,
    "figure1": made.figure1,
    "darkcovidnet": lambda root: class_folders(root, {"Covid-19": 3, "No_findings": 3}),
    "rsna-pneumonia": made.rsna,
    "nih-chestxray14": made.nih,
    "medmnist": lambda root: made.medmnist(root / "pneumoniamnist.npz").parent,
    "manifest": _manifest,
    "class-folders": lambda root: class_folders(root, {"COVID": 3, "Normal": 3}),
    "dicom-folders": _dicom,
}


@pytest.fixture(autouse=True)
def in_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def _circle(path: Path) -> None:
    path.symlink_to(path.name)


def _socket(path: Path) -> None:
    here = Path.cwd()
    os.chdir(path.parent)  # the path of a socket is at most 108 bytes long
    with socket.socket(socket.AF_UNIX) as made_socket:
        made_socket.bind(path.name)
    os.chdir(here)


PLANT: dict[str, Callable[[Path], None]] = {
    "circular link": _circle,
    "pipe": os.mkfifo,
    "socket": _socket,
}


def _plant_everywhere(root: Path) -> None:
    folders = [root, *(path for path in root.rglob("*") if path.is_dir())]
    for folder in folders:
        _circle(folder / "circle.png")
        for suffix in (".png", ".dcm", ".csv", ".tsv", ".npz", ".xlsx", ".txt", ".json", ""):
            os.mkfifo(folder / f"train-pipe{suffix}")
            _socket(folder / f"socket{suffix}")


def _rows(table: str) -> list[str]:
    with Path("w/index", table).open(newline="") as file:
        return sorted(row["path"] for row in csv.DictReader(file))


def _refusal(done: Result) -> str:
    assert done.exit_code == 3, done.output
    return done.stderr.splitlines()[-1]


@pytest.mark.fault(17)
@pytest.mark.parametrize("name", MADE)
def test_they_change_nothing_beside_the_images(name: str) -> None:
    archive = MADE[name](Path("films"))
    assert prepare(archive, *SETTINGS).exit_code == 0
    expected = _rows("index.csv")
    _plant_everywhere(archive)
    done = prepare(archive, *SETTINGS, "--skip-bad", "--force")
    assert done.exit_code == 0, done.output
    assert _rows("index.csv") == expected


def _in_place_of(table: str, name: str, kind: str) -> Result:
    archive = MADE[name](Path("films"))
    (archive / table).unlink()
    PLANT[kind](archive / table)
    return prepare(archive, *SETTINGS)


@pytest.mark.parametrize("kind", PLANT)
@pytest.mark.parametrize(
    ("name", "table", "said"),
    [
        ("covidx", "test.txt", "'normal' with 2"),  # of the other list alone
        ("cohen", "metadata.csv", "films"),
        ("actualmed", "metadata.csv", "films"),
        ("figure1", "metadata.csv", "films"),
        ("nih-chestxray14", "Data_Entry_2017.csv", "films"),
        ("medmnist", "pneumoniamnist.npz", "films"),
        ("manifest", "all.csv", "films"),
    ],
)
def test_one_in_place_of_a_needed_table_is_no_table(
    name: str, table: str, said: str, kind: str
) -> None:
    assert said in _refusal(_in_place_of(table, name, kind))
    assert not Path("w/index").exists()


@pytest.mark.parametrize(
    ("name", "table", "kind"),
    [
        ("radiography-database", "COVID.metadata.xlsx", "pipe"),
        ("radiography-database", "COVID.metadata.xlsx", "socket"),
        *(("rsna-pneumonia", "stage_2_detailed_class_info.csv", kind) for kind in PLANT),
    ],
)
def test_beside_one_in_place_of_a_further_table_the_archive_is_read(
    name: str, table: str, kind: str
) -> None:
    done = _in_place_of(table, name, kind)
    assert done.exit_code == 0, done.output
    assert f"read as {name}" in done.stderr


def test_a_circular_link_in_place_of_a_workbook_is_named() -> None:
    """It stands where class folders do, and a link to one of these must not be lost."""
    table = "COVID.metadata.xlsx"
    assert table in _refusal(_in_place_of(table, "radiography-database", "circular link"))


@pytest.mark.parametrize("kind", PLANT)
@pytest.mark.parametrize(
    ("name", "image"), [("covidx", "test/c.jpg"), ("manifest", "images/0.png")]
)
def test_one_that_a_table_lists_is_refused_or_set_aside(name: str, image: str, kind: str) -> None:
    archive = MADE[name](Path("films"))
    (archive / image).unlink()
    PLANT[kind](archive / image)
    assert image in _refusal(prepare(archive, *SETTINGS))
    assert prepare(archive, *SETTINGS, "--skip-bad").exit_code == 0
    assert _rows("quarantine.csv") == [image]
    assert image not in _rows("index.csv")


@pytest.mark.parametrize("name", ["class-folders", "dicom-folders", "radiography-database"])
def test_a_circular_link_in_place_of_a_class_is_named(name: str) -> None:
    archive = MADE[name](Path("films"))
    _circle(archive / "Pneumonia")
    assert "Pneumonia" in _refusal(prepare(archive, *SETTINGS))
