"""Recognition of layouts: every sample archive has its own layout and no other."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from balancer.cli import main
from balancer.data.layouts.recognition import LAYOUTS, recognise
from balancer.errors import ConfigurationError, DataError
from support import made_archives as made
from support.radiograph_folders import class_folders, film, save

ARCHIVES: dict[str, Callable[[Path], Path]] = {
    "radiography-database": made.radiography_database,
    "covidx": made.covidx,
    "cohen": lambda root: made.cohen(root, made.cohen_rows()),
    "actualmed": made.actualmed,
    "figure1": made.figure1,
    "darkcovidnet": lambda root: class_folders(root, {"Covid-19": 1, "No_findings": 1}),
    "rsna-pneumonia": made.rsna,
    "nih-chestxray14": made.nih,
    "medmnist": lambda root: made.medmnist(root / "pneumoniamnist.npz").parent,
    "class-folders": lambda root: class_folders(root, {"COVID": 1, "Normal": 1}),
}


@pytest.mark.parametrize("name", ARCHIVES)
def test_an_archive_is_recognised(name: str, tmp_path: Path) -> None:
    layout, evidence = recognise(ARCHIVES[name](tmp_path / "archive"))
    assert layout.name == name
    assert evidence


def test_a_table_beside_its_images_is_a_manifest(tmp_path: Path) -> None:
    save(tmp_path / "images" / "1.png", film(1))
    (tmp_path / "all.csv").write_text("path,label\nimages/1.png,COVID\n")
    assert recognise(tmp_path)[0].name == "manifest"
    assert recognise(tmp_path / "all.csv")[0].name == "manifest"


def test_metadata_csv_beside_class_folders_is_no_manifest(tmp_path: Path) -> None:
    root = class_folders(tmp_path, {"COVID": 1, "Normal": 1})
    (root / "metadata.csv").write_text("path,label\nCOVID/000.png,COVID\n")
    assert recognise(root)[0].name == "class-folders"


def test_two_layouts_at_once_need_a_choice(tmp_path: Path) -> None:
    root = class_folders(tmp_path, {"COVID": 3, "Normal": 3})
    (root / "list.csv").write_text("path,label\nelsewhere.png,COVID\n")
    with pytest.raises(DataError, match=r"--layout"):
        recognise(root)
    assert made.scanned(root, layout="class-folders").layout == "class-folders"


@pytest.mark.parametrize("content", ["nothing", "a file"])
def test_the_error_for_an_unknown_archive_says_what_it_holds(tmp_path: Path, content: str) -> None:
    place = tmp_path / "archive"
    if content == "nothing":
        place.mkdir()
        (place / "notes.txt").write_text("three words here\n")
    else:
        place.write_text("?")
    with pytest.raises(DataError) as caught:
        recognise(place)
    found = "0 folders, 0 images and 1 other file"
    assert (found in str(caught.value)) == (content == "nothing")
    assert "--list-layouts" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_archive_inside_the_folder_is_named(tmp_path: Path) -> None:
    made.covidx(tmp_path / "download" / "covidx")
    with pytest.raises(DataError, match="covidx'"):
        recognise(tmp_path / "download")


def test_parts_of_an_archive_are_no_classes(tmp_path: Path) -> None:
    for part in ("train", "test"):
        class_folders(tmp_path / part, {"COVID": 1, "Normal": 1})
    scan = made.scanned(tmp_path)
    assert scan.labels == ("COVID", "Normal")
    assert scan.parts == {image.path: image.path.split("/")[0] for image in scan.images}
    assert set(scan.parts.values()) == {"train", "test"}


def test_a_table_comes_before_the_folders_that_it_lists(tmp_path: Path) -> None:
    made.films(tmp_path / "one", ["img/1.png", "img/2.png"])
    (tmp_path / "one" / "labels.csv").write_text("path,label\n1.png,COVID\n")
    assert recognise(tmp_path / "one")[0].name == "manifest"
    two = class_folders(tmp_path / "two", {"COVID": 1, "Normal": 1})
    (two / "labels.csv").write_text("label,Path\nCOVID,.\\covid\\000.png\n")
    assert recognise(two)[0].name == "manifest"


@pytest.mark.parametrize(
    "name",
    [
        *("cohen", "actualmed", "figure1", "covidx", "rsna-pneumonia", "nih-chestxray14"),
        "radiography-database",
    ],
)
def test_a_layout_by_a_wrong_name_is_refused_with_its_marks(tmp_path: Path, name: str) -> None:
    root = class_folders(tmp_path, {"COVID": 3, "Normal": 3})
    marks = next(layout.marks for layout in LAYOUTS if layout.name == name)
    with pytest.raises(DataError) as caught:
        made.scanned(root, layout=name)
    assert f"layout {name}" in str(caught.value)
    assert marks in str(caught.value)


def test_a_class_of_dicom_beside_one_of_png(tmp_path: Path) -> None:
    root = class_folders(tmp_path, {"COVID": 2})
    (root / "Normal").mkdir()
    (root / "Normal" / "1.dcm").write_bytes(bytes(128) + b"DICM")
    scan = made.scanned(root)
    assert [image.path for image in scan.images] == [
        "COVID/000.png",
        "COVID/001.png",
        "Normal/1.dcm",
    ]
    assert any("DICOM" in note for note in scan.notes)


def test_a_place_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"nowhere'.*--data"):
        recognise(tmp_path / "nowhere")


def test_a_layout_by_name(tmp_path: Path) -> None:
    root = made.cohen(tmp_path, made.cohen_rows())
    assert made.scanned(root, layout="cohen").layout == "cohen"
    with pytest.raises(ConfigurationError, match=r"--layout .*\bcohen\b.*'cohn'"):
        made.scanned(root, layout="cohn")
    with pytest.raises(ConfigurationError, match="--layout"):
        made.scanned(root, layout=("cohen", "figure1"))


def test_the_recognised_layout_is_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "balancer")
    made.scanned(made.figure1(tmp_path))
    assert re.search(r"\bfigure1 because of metadata\.csv", caplog.text)


def test_the_list_names_every_layout_with_its_origin() -> None:
    done = CliRunner().invoke(main, ["prepare", "--list-layouts"])
    assert done.exit_code == 0
    for layout in LAYOUTS:
        assert f"{layout.name}: {layout.title}" in done.output
        if layout.url:
            assert layout.citation, layout.name
            assert layout.licence, layout.name
            assert layout.url in done.output
    assert max(len(line) for line in done.output.splitlines()) <= 100


def test_the_page_has_a_section_for_every_layout() -> None:
    page = (Path(__file__).parent.parent / "docs" / "layouts.md").read_text(encoding="utf-8")
    for layout in LAYOUTS:
        assert f"## `{layout.name}`" in page
        assert layout.url in page
