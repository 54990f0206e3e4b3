import os
import re
import socket
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from balancer.data.metadata import ImageMetadata, read_metadata
from balancer.data.scan import scan_folder
from balancer.errors import DataError
from support.radiograph_folders import class_folders, film, save


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return class_folders(tmp_path / "data", {"COVID": 2, "normal": 2})


def paths(root: Path) -> list[str]:
    return [image.path for image in scan_folder(root).images]


def test_a_folder_per_class(root: Path) -> None:
    scan = scan_folder(root)
    assert scan.labels == ("COVID", "normal")
    assert [(image.label, image.path) for image in scan.images] == [
        ("COVID", "COVID/000.png"),
        ("COVID", "COVID/001.png"),
        ("normal", "normal/000.png"),
        ("normal", "normal/001.png"),
    ]
    assert scan.ignored == Counter()


@pytest.mark.parametrize("name", ["cache", "manifest.csv", "x.partial", "x.Unfinished"])
def test_class_names_that_a_workspace_needs_are_refused(root: Path, name: str) -> None:
    save(root / name / "a.png", film(1))
    with pytest.raises(DataError, match=re.escape(name)):
        scan_folder(root)


def test_a_folder_of_masks_beside_the_classes_is_counted(root: Path) -> None:
    save(root / "masks" / "a.png", film(1))
    scan = scan_folder(root)
    assert "masks" not in scan.labels
    assert scan.ignored == {"folder of masks": 1}


def test_layout_of_the_radiography_database(tmp_path: Path) -> None:
    for label in ("COVID", "Normal"):
        save(tmp_path / label / "images" / f"{label}-1.png", film(1))
        save(tmp_path / label / "masks" / f"{label}-1.png", film(2))
        (tmp_path / f"{label}.metadata.xlsx").touch()
    (tmp_path / "README.md.txt").touch()
    scan = scan_folder(tmp_path)
    assert [image.path for image in scan.images] == [
        "COVID/images/COVID-1.png",
        "Normal/images/Normal-1.png",
    ]
    assert scan.ignored == {"other file": 3}


def test_case_variants_are_read_and_litter_is_not(root: Path) -> None:
    save(root / "COVID" / "A.PNG", film(1))
    save(root / "COVID" / "b.JPeG", film(2), format="JPEG")
    for name in ("Thumbs.db", ".DS_Store", "._b.JPeG", "desktop.ini"):
        (root / "COVID" / name).write_bytes(b"x")
    (root / "__MACOSX" / "COVID").mkdir(parents=True)
    (root / ".git").mkdir()
    (root / "__pycache__").mkdir()
    scan = scan_folder(root)
    assert [image.path for image in scan.images][:4] == [
        "COVID/000.png",
        "COVID/001.png",
        "COVID/A.PNG",
        "COVID/b.JPeG",
    ]
    assert scan.labels == ("COVID", "normal")
    assert scan.ignored == Counter()


@pytest.mark.fault(17)
def test_other_entries_are_counted_by_kind(root: Path) -> None:
    for name in ("a.heic", "b.HEIC", "c.nii", "notes.txt", "noextension"):
        (root / "COVID" / name).touch()
    (root / "COVID" / "deeper").mkdir()
    save(root / "COVID" / "deepest" / "d.png", film(1))
    save(root / "stray.png", film(1))
    scan = scan_folder(root)
    assert scan.ignored == {
        "unsupported image format .heic": 2,
        "unsupported image format .nii": 1,
        "file in the class folder 'COVID' that is no image": 2,
        "folder": 1,
        "image in a folder inside the class folder 'COVID'": 1,
        "image outside a class folder": 1,
    }
    assert {label: counts.total() for label, counts in scan.left_out.items()} == {"COVID": 4}


ODD_NAMES = [
    "two words.png",
    "r\u00f6ntgen.png",
    "ro\u0308ntgen.png",  # the same to the eye, another file
    "new\nline.png",
    "-rf.png",
    "=cmd|'calc'!A0.png",
    'quo"te,comma.png',
    "..png",
    "x" * 245 + ".png",
]


def test_names_are_literal(root: Path) -> None:
    for number, name in enumerate(ODD_NAMES):
        save(root / "COVID" / name, film(number), format="PNG")
    found = {path.removeprefix("COVID/") for path in paths(root)}
    assert set(ODD_NAMES) - {"..png"} <= found  # hidden files stay hidden


@pytest.mark.parametrize("name", [b"caf\xe9.png", b"a\rb.png"])
def test_name_that_no_table_can_hold_is_refused(root: Path, name: bytes) -> None:
    (root / "COVID" / os.fsdecode(name)).write_bytes(b"x")
    scan = scan_folder(root)
    assert len(scan.refused) == 1
    assert "its name is not UTF-8" in scan.refused[0].reason
    scan.refused[0].path.encode()


def test_pipes_and_sockets_are_counted_and_never_opened(root: Path) -> None:
    os.mkfifo(root / "COVID" / "pipe.png")
    os.mkfifo(root / "pipe")
    with socket.socket(socket.AF_UNIX) as server:
        here = Path.cwd()
        os.chdir(root / "COVID")  # the path of a socket is limited to 107 bytes
        try:
            server.bind("socket.png")
        finally:
            os.chdir(here)
        scan = scan_folder(root)
    assert scan.ignored == {"device, pipe or socket": 3}
    assert len(scan.images) == 4


def test_links_to_outside_and_in_circles_are_refused(root: Path, tmp_path: Path) -> None:
    outside = save(tmp_path / "outside.png", film(9))
    (root / "COVID" / "a.png").symlink_to(outside)
    (root / "COVID" / "b.png").symlink_to("b.png")
    (root / "COVID" / "c.png").symlink_to("missing.png")
    (root / "COVID" / "up").symlink_to("..")
    scan = scan_folder(root)
    assert [file.path for file in scan.refused] == ["COVID/a.png", "COVID/b.png", "COVID/c.png"]
    leaving, *broken = [file.reason for file in scan.refused]
    assert "link that leaves the data folder (data.follow_links=true" in leaving
    assert broken == ["it is a broken or circular link"] * 2
    assert len(scan.images) == 4


def test_link_inside_the_folder_is_followed(root: Path) -> None:
    (root / "COVID" / "again.png").symlink_to("000.png")
    assert "COVID/again.png" in paths(root)


def test_class_folder_elsewhere_is_refused(root: Path, tmp_path: Path) -> None:
    elsewhere = class_folders(tmp_path / "elsewhere", {"Pneumonia": 1})
    (root / "Pneumonia").symlink_to(elsewhere / "Pneumonia")
    with pytest.raises(DataError, match="Pneumonia"):
        scan_folder(root)


def test_data_folder_may_itself_be_a_link(root: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(root)
    assert paths(tmp_path / "link") == paths(root)


def test_missing_folder_and_file_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"nowhere'"):
        scan_folder(tmp_path / "nowhere")
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match=r"file'"):
        scan_folder(tmp_path / "file")


@pytest.mark.fault(1)
def test_unreadable_folder_is_named(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.scandir

    def scandir(path: Path) -> object:
        if Path(path).name == "normal":
            raise PermissionError(13, "Permission denied")
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)  # mode 000 stops everyone but root
    with pytest.raises(DataError, match="normal'"):
        scan_folder(root)


@pytest.mark.parametrize(
    ("counts", "message"),
    [
        ({}, "--data"),
        ({"COVID": 3}, "'COVID'"),
        ({"COVID": 3, "normal": 0}, "normal"),
    ],
)
def test_too_few_classes(tmp_path: Path, counts: dict[str, int], message: str) -> None:
    for label in counts:
        (tmp_path / label).mkdir()
    class_folders(tmp_path, counts)
    with pytest.raises(DataError, match=message):
        scan_folder(tmp_path)


def test_order_does_not_depend_on_the_disk(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = paths(root)
    real = os.scandir

    class Backwards:
        def __init__(self, path: Path) -> None:
            with real(path) as entries:
                self.entries = sorted(entries, key=lambda entry: entry.name, reverse=True)

        def __enter__(self) -> list[os.DirEntry[str]]:
            return self.entries

        def __exit__(self, *_: object) -> None:
            pass

    monkeypatch.setattr(os, "scandir", Backwards)
    assert paths(root) == before


IMAGES = ("COVID/1.png", "normal/2.png", "normal/r\u00f6ntgen.png")
FULL = "path,patient_id,source,view\nCOVID/1.png,p1,a,PA\nnormal/2.png,,b,\n"


@pytest.mark.parametrize(
    "content",
    [
        FULL.encode(),
        b"\xef\xbb\xbf" + FULL.encode(),
        FULL.replace("\n", "\r\n").encode(),
        FULL.replace("view\n", "view,age\n")
        .replace("PA\n", "PA,7\n")
        .replace("b,\n", "b,,\n")
        .encode(),
        FULL.replace("COVID/", "./COVID/").encode(),
        (FULL + "\n\n").encode(),
    ],
)
def test_metadata_is_read(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "metadata.csv"
    path.write_bytes(content)
    found = read_metadata(path, IMAGES)
    assert {name: replace(one, columns={}) for name, one in found.items()} == {
        "COVID/1.png": ImageMetadata("p1", "a", "PA"),
        "normal/2.png": ImageMetadata("", "b", ""),
    }
    if b"age" in content:  # a column of subgroups
        assert found["COVID/1.png"].columns == {"age": "7"}


def test_metadata_finds_a_name_in_another_unicode_form(tmp_path: Path) -> None:
    path = tmp_path / "metadata.csv"
    path.write_text("path,patient_id\nnormal/ro\u0308ntgen.png,p\n", encoding="utf-8")
    assert read_metadata(path, IMAGES)["normal/r\u00f6ntgen.png"].patient_id == "p"


def test_no_metadata_is_no_fault(tmp_path: Path) -> None:
    assert read_metadata(tmp_path / "metadata.csv", IMAGES) == {}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "empty"),
        (b"file,patient_id\nCOVID/1.png,p1\n", "row 1.* path.*file, patient_id"),
        (b"path;patient_id\nCOVID/1.png;p1\n", "row 1.*semicolons"),
        (b"path,patient_id,\nCOVID/1.png,p1,\n", "row 1.*commas"),
        (b"path,path\nCOVID/1.png,p1\n", "row 1.*path"),
        (b"path,patient_id\nCOVID/1.png,p1,\n", "row 2.* 2 .* 3\\b"),
        (b"path,patient_id\nCOVID/1.png,p1\nnormal/2.png\n", "row 3.* 2 .* 1\\b"),
        (b"path\nCOVID/1.png\nnormal/2.png\nCOVID/1.png\n", "row 4.*COVID/1.png"),
        (b"path\nCOVID/1.png\nCOVID/9.png\n", "row 3.*'COVID/9.png'"),
        (b"path\n../COVID/1.png\n", "row 2.*COVID/1.png"),
        (b"path\n\n\nCOVID/9.png\n", "row 4"),
        ("path\nCOVID/\xe9.png\n".encode("latin-1"), "UTF-8"),
        (b'path\n"COVID/1.png\n', "near row 1"),
        (b"path\n" + b"x" * 200_000 + b"\n", "near row 1"),
    ],
)
def test_metadata_faults_carry_the_row(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "metadata.csv"
    path.write_bytes(content)
    with pytest.raises(DataError, match=message) as error:
        read_metadata(path, IMAGES)
    assert "metadata.csv" in str(error.value)
    assert "p1" not in str(error.value)  # patient ids stay out of messages
