import csv
import io
import logging
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from balancer.data.index import load_index
from balancer.data.io import png_bytes
from balancer.data.records import PrepareMetrics
from balancer.errors import BalancerError, ConfigurationError, DataError, IntegrityError
from balancer.results import read_result
from balancer.stages import prepare
from balancer.workspace import Workspace
from support.radiograph_folders import (
    audit_of,
    class_folders,
    configured,
    film,
    in_workspace,
    index_of,
    save,
    warnings_of,
)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return class_folders(tmp_path / "data", {"COVID": 10, "Normal": 20})


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return in_workspace(tmp_path)


def test_index_of_a_plain_folder(root: Path, workspace: Workspace) -> None:
    result = prepare.run(configured(root), workspace)
    index = load_index(workspace.index_dir)
    assert len(index.records) == 30
    assert index.classes == ("COVID", "Normal")
    assert result.metrics.splits == {
        "train": {"COVID": 7, "Normal": 14},
        "val": {"COVID": 2, "Normal": 3},
        "test": {"COVID": 1, "Normal": 3},
    }
    assert {record.origin for record in index.records} == {"real"}
    assert sorted(path.name for path in workspace.index_dir.iterdir()) == [
        "audit.html",
        "audit.json",
        "audit.md",
        "cache",
        "details.csv",
        "index.csv",
        "quarantine.csv",
        "result.json",
    ]


def table(root: Path, place: Path, *assignments: str) -> bytes:
    workspace = Workspace(place)
    prepare.run(configured(root, *assignments), workspace)
    return (workspace.index_dir / "index.csv").read_bytes()


@pytest.mark.fault(19)
def test_same_bytes_wherever_and_in_whatever_order_the_files_lie(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = table(root, tmp_path / "a")
    moved = tmp_path / "elsewhere"
    for path in sorted(root.glob("*/*.png"), reverse=True):
        (moved / path.parent.name).mkdir(parents=True, exist_ok=True)
        shutil.copy(path, moved / path.parent.name)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0}, raising=False)
    assert table(moved, tmp_path / "b") == first
    assert table(root, tmp_path / "c", "seed=1") != first


def test_up_to_date(root: Path, workspace: Workspace, caplog: pytest.LogCaptureFixture) -> None:
    first = prepare.run(configured(root), workspace)
    caplog.set_level(logging.INFO)
    assert prepare.run(configured(root), workspace) == first
    assert "up to date" in caplog.text


def test_new_image_is_noticed(root: Path, workspace: Workspace) -> None:
    prepare.run(configured(root), workspace)
    save(root / "COVID" / "new.png", film(77))
    assert prepare.run(configured(root), workspace).metrics.images == 31


def test_new_metadata_is_noticed(root: Path, workspace: Workspace) -> None:
    prepare.run(configured(root), workspace)
    (root / "metadata.csv").write_text("path,patient_id\nCOVID/000.png,p\n")
    assert prepare.run(configured(root), workspace).metrics.groups.kind == "patient"


def test_other_settings_need_force(root: Path, workspace: Workspace) -> None:
    first = prepare.run(configured(root), workspace)
    with pytest.raises(ConfigurationError, match=r"--force"):
        prepare.run(configured(root, "seed=1"), workspace)
    assert read_result(workspace.index_dir, PrepareMetrics) == first
    assert prepare.run(configured(root, "seed=1"), workspace, force=True) != first


def test_later_calls_find_the_data_by_the_index(root: Path, workspace: Workspace) -> None:
    first = prepare.run(configured(root), workspace)
    assert prepare.run(configured(root).model_copy(deep=True), workspace) == first
    without = configured(root)
    without = without.model_copy(update={"data": without.data.model_copy(update={"root": None})})
    assert prepare.run(without, workspace) == first


def test_failure_leaves_the_old_index(root: Path, workspace: Workspace) -> None:
    prepare.run(configured(root), workspace)
    before = {path: path.read_bytes() for path in workspace.index_dir.rglob("*.*")}
    (root / "COVID" / "bad.png").write_bytes(b"")
    with pytest.raises(DataError):
        prepare.run(configured(root), workspace)
    assert {path: path.read_bytes() for path in workspace.index_dir.rglob("*.*")} == before
    assert [path.name for path in workspace.root.iterdir()] == ["index"]


def cut(path: Path) -> bytes:
    return path.read_bytes()[: path.stat().st_size // 2]


def bad_files(root: Path) -> None:
    good = root / "COVID" / "000.png"
    (root / "COVID" / "x-empty.png").write_bytes(b"")
    (root / "COVID" / "x-cut.png").write_bytes(cut(good))
    (root / "COVID" / "x-html.jpg").write_bytes(b"<html>not found</html>")
    save(root / "COVID" / "x-constant.png", np.zeros((64, 64), np.uint8))
    save(root / "COVID" / "x-small.png", film(60, 8))
    save(root / "COVID" / "x-flat.png", np.asarray(Image.fromarray(film(61)).resize((400, 40))))
    (root / "COVID" / "x-link.png").symlink_to("/dev/null")


def test_bad_files_are_refused_by_name_and_number(root: Path, workspace: Workspace) -> None:
    bad_files(root)
    with pytest.raises(DataError, match=r"constant\.png"):
        prepare.run(configured(root), workspace)
    assert not workspace.index_dir.exists()


def test_bad_files_are_set_aside_on_request(root: Path, workspace: Workspace) -> None:
    bad_files(root)
    result = prepare.run(configured(root, "data.skip_bad=true"), workspace)
    assert result.metrics.quarantined == 7
    assert result.metrics.images == 30
    with (workspace.index_dir / "quarantine.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["path"].removeprefix("COVID/x-") for row in rows] == [
        *("constant.png", "cut.png", "empty.png", "flat.png", "html.jpg", "link.png", "small.png")
    ]
    assert audit_of(workspace)["classes"]["COVID"] == {
        "files": 17,
        "usable": 10,
        "quarantined": 7,
        "copies": 0,
    }


def test_exact_copies_enter_once_and_their_patients_are_joined(
    root: Path, workspace: Workspace
) -> None:
    shutil.copy(root / "COVID" / "000.png", root / "COVID" / "z-copy.png")
    (root / "metadata.csv").write_text(
        "path,patient_id\nCOVID/000.png,p1\nCOVID/001.png,p1\n"
        "COVID/z-copy.png,p2\nCOVID/002.png,p2\n"
    )
    index = index_of(root, workspace)
    assert len(index.records) == 30
    assert audit_of(workspace)["copies"] == [
        {"dropped": "COVID/z-copy.png", "kept": "COVID/000.png"}
    ]
    group = {record.path: record.group for record in index.records}
    assert group["COVID/000.png"] == group["COVID/001.png"] == group["COVID/002.png"]


@pytest.mark.fault(23)
def test_near_duplicates_stay_together(root: Path, workspace: Workspace) -> None:
    for number in range(10):
        mirrored = np.ascontiguousarray(film(number, 96)[:, ::-1])
        save(root / "COVID" / f"copy-{number:03}.jpg", mirrored, quality=70)
    index = index_of(root, workspace)
    split = {record.path: (record.group, record.split) for record in index.records}
    for number in range(10):
        assert split[f"COVID/{number:03}.png"] == split[f"COVID/copy-{number:03}.jpg"]
    assert len(audit_of(workspace)["near_duplicates"]) == 10


@pytest.mark.fault(22)
@pytest.mark.parametrize("same", ["bytes", "pixels"])
def test_one_image_in_two_classes(root: Path, workspace: Workspace, same: str) -> None:
    options = {"compress_level": 1} if same == "pixels" else {}
    save(root / "Normal" / "same.png", film(0), **options)
    with pytest.raises(IntegrityError, match=f"same {same}.*COVID/000.png.*Normal/same.png"):
        prepare.run(configured(root), workspace)


def test_near_duplicate_in_two_classes_is_told(root: Path, workspace: Workspace) -> None:
    save(root / "Normal" / "near.jpg", film(0, 96), quality=80)
    prepare.run(configured(root), workspace)
    assert "1 pair of near duplicates in two classes" in warnings_of(workspace)


@pytest.mark.fault(28)
@pytest.mark.parametrize("pixels", [film(80), np.zeros((8, 8), np.uint8)])
def test_synthetic_image_among_the_real(
    root: Path, workspace: Workspace, pixels: np.ndarray
) -> None:
    (root / "COVID" / "made.png").write_bytes(png_bytes(pixels, {"Synthetic": "true"}))
    with pytest.raises(IntegrityError, match=r"COVID/made\.png"):
        prepare.run(configured(root, "data.skip_bad=true"), workspace)


@pytest.mark.parametrize(
    ("counts", "assignments", "message"),
    [
        ({"COVID": 7, "Normal": 9}, (), r"'COVID' should have 8.*has 7.*min_images"),
        ({"COVID": 1, "Normal": 9}, (), r"'COVID' should have 8.*has 1"),
        ({"COVID": 2, "Normal": 9}, ("data.min_images=3",), r"should have 3.*has 2"),
    ],
)
def test_small_class(
    tmp_path: Path,
    workspace: Workspace,
    counts: dict[str, int],
    assignments: tuple[str, ...],
    message: str,
) -> None:
    root = class_folders(tmp_path / "data", counts)
    with pytest.raises(DataError, match=message):
        prepare.run(configured(root, *assignments), workspace)


def test_smallest_allowed_class_is_in_every_split(tmp_path: Path, workspace: Workspace) -> None:
    root = class_folders(tmp_path / "data", {"COVID": 3, "Normal": 5})
    index = index_of(root, workspace, "data.min_images=3")
    for split in ("train", "val", "test"):
        assert index.select(split, "COVID")


def test_odd_names_survive_the_table(root: Path, workspace: Workspace) -> None:
    names = ["=cmd.png", "new\nline.png", "-x.png", 'a"b,c.png', "r\u00f6ntgen.png", "`|<b>.png"]
    for number, name in enumerate(names):
        save(root / "COVID" / name, film(100 + number))
    index = index_of(root, workspace)
    assert {f"COVID/{name}" for name in names} <= {record.path for record in index.records}
    assert index.image_set(32).pixels.shape == (36, 32, 32)


@pytest.mark.parametrize("place", ["data", "data/out", "."])
def test_data_and_workspace_lie_apart(root: Path, tmp_path: Path, place: str) -> None:
    before = sorted(root.rglob("*"))
    with pytest.raises(ConfigurationError, match="--workspace"):
        prepare.run(configured(root), Workspace(tmp_path / place))
    assert sorted(root.rglob("*")) == before


def test_missing_folder(tmp_path: Path, workspace: Workspace) -> None:
    with pytest.raises(DataError, match="nowhere") as error:
        prepare.run(configured(tmp_path / "nowhere"), workspace)
    assert error.value.exit_code == 3


def test_summary_shows_every_class(root: Path, workspace: Workspace) -> None:
    result = prepare.run(configured(root), workspace)
    console = Console(record=True, width=100, file=io.StringIO())
    for part in prepare.summary(result):
        console.print(part)
    text = console.export_text()
    assert "COVID" in text
    assert "no group is in two splits" in text


def test_errors_are_one_sentence(root: Path, workspace: Workspace) -> None:
    bad_files(root)
    with pytest.raises(BalancerError) as error:
        prepare.run(configured(root), workspace)
    assert "\n" not in str(error.value)
