"""Tables of paths and labels, and the accepted forms of tables of archives."""

import shlex
from pathlib import Path

import pytest

from balancer.config import load_config
from balancer.data.index import load_index
from balancer.data.layouts.files import ArchiveFiles, OutsideError
from balancer.data.layouts.views_and_classes import is_frontal
from balancer.errors import ConfigurationError, DataError
from balancer.stages import prepare
from support import made_archives as made
from support.radiograph_folders import audit_of, configured, film, in_workspace, save


@pytest.fixture
def root(tmp_path: Path) -> Path:
    made.films(tmp_path / "set", [f"films/{n}.png" for n in range(8)])
    return tmp_path / "set"


LABELS = ["COVID"] * 4 + ["Normal"] * 4


def table(root: Path, text: str, **how: str) -> Path:
    path = root / "list.csv"
    path.write_text(text, newline="", **how)
    return path


def plain_rows(columns: str = "path,label", more: str = "") -> str:
    lines = [f"films/{n}.png,{label}{more}" for n, label in enumerate(LABELS)]
    return "\n".join([columns, *lines]) + "\n"


def test_a_table_with_all_columns(root: Path) -> None:
    save(root / "lungs" / "1.png", film(90))
    text = "LABEL,path,view,source,patient_id,mask,age\n" + "".join(
        f"{label},films/{n}.png,{'AP' if n else 'L'},here,p{n // 2},{'lungs/1.png' * (n == 1)},9\n"
        for n, label in enumerate(LABELS)
    )
    scan = made.scanned(table(root, text))
    assert scan.layout == "manifest"
    assert made.labels_of(scan) == {f"films/{n}.png": LABELS[n] for n in range(1, 8)}
    assert scan.metadata["films/3.png"].source == "here"
    assert made.patients_of(scan)["films/3.png"] == "p1"
    assert scan.masks == {"films/1.png": "lungs/1.png"}
    assert scan.ignored == {"image of the view L (data.views=all takes it)": 1}


def test_what_spreadsheets_write_is_read(root: Path) -> None:
    text = plain_rows("path,label,", ",").replace("/", "\\").replace("\n", "\r\n")
    scan = made.scanned(table(root, text.replace("films", ".\\FILMS"), encoding="utf-8-sig"))
    assert made.labels_of(scan) == {f"films/{n}.png": label for n, label in enumerate(LABELS)}


def test_an_absolute_path_inside_the_archive_is_one_of_it(root: Path) -> None:
    text = plain_rows().replace("films/0.png", str(root / "films" / "0.png"))
    assert len(made.scanned(table(root, text)).images) == 8


@pytest.mark.parametrize(
    "path", ["../elsewhere.png", "films/../../elsewhere.png", "/etc/passwd", "C:\\films\\1.png",
             "..\\elsewhere.png"],
)  # fmt: skip
def test_a_path_that_leads_out_is_refused(root: Path, path: str) -> None:
    save(root.parent / "elsewhere.png", film(5))
    place = table(root, plain_rows() + f"{path},COVID\n")
    with pytest.raises(DataError, match=r"list\.csv"):
        made.scanned(place)


def test_a_mask_that_leads_out_or_is_not_there(root: Path) -> None:
    for mask in ("../x.png", "lungs/none.png"):
        place = table(root, plain_rows("path,label,mask", f",{mask}"))
        with pytest.raises(DataError, match=r"list\.csv"):
            made.scanned(place)


def test_a_link_that_leads_out_is_set_aside_with_its_reason(root: Path) -> None:
    (root / "films" / "0.png").unlink()
    (root / "films" / "0.png").symlink_to(save(root.parent / "elsewhere.png", film(5)))
    scan = made.scanned(table(root, plain_rows()))
    assert [file.path for file in scan.refused] == ["films/0.png"]
    assert "data.follow_links" in scan.refused[0].reason


def test_files_that_are_missing_stop_or_are_set_aside_like_unusable_ones(
    root: Path, tmp_path: Path
) -> None:
    (root / "films" / "7.png").unlink()
    place = table(root, plain_rows())
    workspace = in_workspace(tmp_path)
    few = "data.min_images=3"
    with pytest.raises(DataError, match=r"list\.csv"):
        prepare.run(configured(place, few), workspace)
    prepare.run(configured(place, few, "data.skip_bad=true"), workspace)
    assert audit_of(workspace)["quarantined"] == 1
    assert "row 9" in (workspace.index_dir / "quarantine.csv").read_text()


def test_images_that_no_row_lists_are_counted(root: Path) -> None:
    made.films(root, ["films/new.png", "other/x.jpg", "masks/1.png"], first_seed=40)
    (root / "notes.txt").write_text("")
    assert made.scanned(table(root, plain_rows())).ignored == {"image that no row lists": 2}


def test_a_repeated_row_counts_once_and_a_contradiction_stops(root: Path) -> None:
    again = made.scanned(table(root, plain_rows() + "films/0.png,COVID\n"))
    assert again.ignored == {"row that repeats an image": 1}
    place = table(root, plain_rows() + "./films/0.png,Normal\n")
    with pytest.raises(DataError):
        made.scanned(place)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("path,class\nfilms/0.png,COVID\n", "lacks label"),
        ("path,label\nfilms/0.png,\n", "row 2, .*'films/0.png' and ''"),
        ("path,label\nfilms/0.png,COVID,9\n", "row 2, .*2 cells.* 3;"),
        ("path,label\nfilms/0.png\n", "row 2, .*2 cells.* 1;"),
        ('path,label\n"films/0.png,COVID\n', "row 1"),
        ("", "empty"),
        ("path;label\nfilms/0.png;COVID\n", "row 1, .*commas"),
    ],
)
def test_a_table_that_does_not_fit_is_refused_with_its_row(
    root: Path, text: str, named: str
) -> None:
    with pytest.raises(DataError, match=rf"list\.csv.*{named}"):
        made.scanned(table(root, text))


def test_a_table_that_is_no_utf8(root: Path) -> None:
    (root / "list.csv").write_bytes(plain_rows().replace("COVID", "r\u00f6ntgen").encode("latin-1"))
    with pytest.raises(DataError, match=r"list\.csv.*UTF-8"):
        made.scanned(root / "list.csv")


@pytest.mark.parametrize("label", ["Opacity / Not Normal", "..", "cache", "a\\b", ".x"])
def test_labels_that_cannot_name_a_class_need_another_name(root: Path, label: str) -> None:
    place = table(root, plain_rows().replace("Normal", label))
    with pytest.raises(DataError, match=r"data\.classes"):
        made.scanned(place)
    scan = made.scanned(place, classes={"COVID": "COVID", label: "other"})
    assert scan.labels == ("COVID", "other")


VIEWS = {
    True: ["", "unknown", "nan", "N/A", "?", "none", "PA/AP", "Portable AP", "erect PA", "CXR PA",
           "AP(supine)", "(AP)", "A-P", "front", "PA (L)"],
    False: ["L", "LL", "RL", "l-l", "lateral", "Left Lateral", "PA/LAT", "axial", "Coronal",
            "LEFT_OBLIQUE", "AP decubitus"],
}  # fmt: skip


@pytest.mark.parametrize("frontal", [True, False])
def test_only_films_of_a_view_that_is_known_to_be_another_are_left_out(frontal: bool) -> None:
    assert [view for view in VIEWS[frontal] if is_frontal(view) is not frontal] == []


def test_too_few_classes_are_refused_with_what_was_left_out(root: Path) -> None:
    rows = "".join(f"films/{n}.png,{label},{'L' * (n > 3)}\n" for n, label in enumerate(LABELS))
    with pytest.raises(DataError) as caught:
        made.scanned(table(root, "path,label,view\n" + rows))
    assert "class folders" not in str(caught.value)


def test_an_image_of_two_patients_is_refused_without_naming_them(root: Path) -> None:
    rows = plain_rows("path,label,patient_id", ",")
    known = made.scanned(table(root, rows + "films/0.png,COVID,P-17\n"))
    assert made.patients_of(known) == {"films/0.png": "P-17"}
    place = table(root, rows + "films/0.png,COVID,P-17\nfilms/0.png,COVID,P-18\n")
    with pytest.raises(DataError, match=r"list\.csv") as caught:
        made.scanned(place)
    assert "P-1" not in str(caught.value)


def test_masks_that_a_table_names_are_no_unlisted_images(root: Path) -> None:
    made.films(root, ["masks/0.png", "lungs/1.png", "films/new.png"], first_seed=40)
    rows = plain_rows("path,label,mask", ",").replace("0.png,COVID,", "0.png,COVID,masks/0.png")
    rows = rows.replace("1.png,COVID,", "1.png,COVID,lungs/1.png")
    assert made.scanned(table(root, rows)).ignored == {"image that no row lists": 1}


def test_labels_that_yaml_takes_for_numbers(root: Path) -> None:
    rows = plain_rows().replace("Normal", "0").replace("COVID", "1.5")
    scan = made.scanned(table(root, rows), classes={0: "Normal", 1.5: 19})
    assert scan.labels == ("19", "Normal")


def test_a_suggestion_can_be_pasted(root: Path) -> None:
    labels = ["0"] * 3 + ["it's, {odd}: no"] * 3 + ["TB"] * 2
    lines = [f'films/{n}.png,"{label}"' for n, label in enumerate(labels)]
    place = table(root, "path,label\n" + "\n".join(lines))
    with pytest.raises(DataError) as caught:
        made.scanned(place)
    words = shlex.split(str(caught.value).rpartition("such as ")[2].removesuffix("."))
    pasted = load_config(assignments=[words[1]]).data.classes
    assert pasted == {label: label for label in labels[:4]}


def test_classes_that_differ_only_in_case_are_warned_of(
    root: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rows = plain_rows().replace("Normal", "Covid ").replace("COVID", "covid")
    made.scanned(table(root, rows))
    assert "'Covid' and 'covid' are 2 classes" in caplog.text
    assert "data.classes" in caplog.text
    caplog.clear()
    made.scanned(table(root, rows.replace("Covid", "covid+").replace("covid,", "covid-,")))
    assert "differ only" not in caplog.text


def test_classes_are_chosen_and_joined(root: Path) -> None:
    place = table(root, plain_rows().replace("films/7.png,Normal", "films/7.png,TB"))
    scan = made.scanned(place, classes={"COVID": "sick", "Normal": "well"})
    assert scan.labels == ("sick", "well")
    assert scan.ignored == {"image of 'TB', for which no class is named": 1}
    joined = made.scanned(place, classes={"COVID": "sick", "TB": "sick", "Normal": "well"})
    assert list(made.labels_of(joined).values()).count("sick") == 5
    with pytest.raises(ConfigurationError, match=r"data\.classes"):
        made.scanned(place, classes={"Flu": "sick"})


def test_one_class_is_too_few(root: Path) -> None:
    place = table(root, plain_rows().replace("Normal", "COVID"))
    with pytest.raises(DataError, match="only 'COVID'"):
        made.scanned(place)
    assert made.scanned(place, min_classes=1).labels == ("COVID",)


def test_parquet_is_read_like_csv(root: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow", reason="the extra [parquet] is not installed")
    from pyarrow import parquet

    columns = {
        "path": [f"films/{n}.png" for n in range(8)],
        "label": LABELS,
        "patient_id": [n // 2 for n in range(8)],
        "view": ["PA", None] * 4,
    }
    parquet.write_table(pyarrow.table(columns), root / "list.parquet")
    scan = made.scanned(root / "list.parquet")
    assert made.labels_of(scan) == {f"films/{n}.png": label for n, label in enumerate(LABELS)}
    assert made.patients_of(scan)["films/7.png"] == "3"
    assert scan.metadata["films/1.png"].view == ""
    (root / "list.parquet").write_bytes(b"PAR1 not really")
    with pytest.raises(DataError, match=r"list\.parquet"):
        made.scanned(root / "list.parquet")


def test_an_index_of_a_table_can_be_read_back(root: Path, tmp_path: Path) -> None:
    save(root / "lungs.png", film(90))
    place = table(root, plain_rows("path,label,view,mask", ",AP,lungs.png"))
    workspace = in_workspace(tmp_path)
    prepare.run(configured(place, "data.min_images=3"), workspace)
    index = load_index(workspace.index_dir)
    assert index.roots.locate("films/0.png") == root / "films" / "0.png"
    assert [one.image_id for one in index.details()] == [one.image_id for one in index.records]
    assert {(one.view, one.mask) for one in index.details()} == {("AP", "lungs.png")}
    assert index.image_set(32).pixels.shape == (8, 32, 32)


def test_names_are_found_in_another_case_or_unicode_form(tmp_path: Path) -> None:
    save(tmp_path / "A" / "Ro\u0308ntgen.PNG", film(1))
    save(tmp_path / "A" / "b.png", film(2))
    files = ArchiveFiles(tmp_path)
    assert files.find("a/R\u00d6NTGEN.png") == "A/Ro\u0308ntgen.PNG"
    assert files.find("b", folders=("B", "A"), suffixes=(".jpg", ".png")) == "A/b.png"
    assert files.find("c.png") is None
    with pytest.raises(OutsideError):
        files.find("../A/b.png")


def test_the_exact_name_comes_before_one_in_another_case(tmp_path: Path) -> None:
    save(tmp_path / "a.png", film(1))
    save(tmp_path / "A.png", film(2))
    if len(list(tmp_path.iterdir())) < 2:
        pytest.skip("this file system does not tell upper from lower case")
    files = ArchiveFiles(tmp_path)
    assert [files.find(name) for name in ("a.png", "A.png")] == ["a.png", "A.png"]
