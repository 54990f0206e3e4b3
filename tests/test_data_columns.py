"""Further columns of `metadata.csv`: those of subgroups are kept, the others are named."""

from pathlib import Path

import pytest

from balancer.ablation.subgroups import subgroup_columns, value_of
from balancer.data.details_table import ImageDetails, details_bytes
from balancer.data.index import load_index
from balancer.errors import ConfigurationError
from balancer.stages import prepare
from balancer.workspace import Workspace
from support.radiograph_folders import class_folders, configured

TABLE = "path,patient_id,Sex,age,hospital,notes\n"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    made = class_folders(tmp_path / "films", {"COVID": 12, "Normal": 24})
    paths = sorted(path.relative_to(made).as_posix() for path in made.glob("*/*.png"))
    rows = [
        f"{path},p{number},{'FM'[number % 2]},{20 + number},H{number % 3},private text {number}"
        for number, path in enumerate(paths)
    ]
    (made / "metadata.csv").write_text(TABLE + "\n".join(rows) + "\n")
    return made


def prepared(root: Path, tmp_path: Path, *settings: str) -> Workspace:
    workspace = Workspace(tmp_path / "work")
    prepare.run(configured(root, *settings), workspace)
    return workspace


def test_sex_and_age_are_kept_and_other_columns_named(
    root: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    workspace = Workspace(tmp_path / "work")
    result = prepare.run(configured(root), workspace)
    assert result.metrics.unused_columns == ("hospital", "notes")
    assert "hospital, notes" in caplog.text
    assert any("hospital" in str(part) for part in prepare.summary(result))
    index = load_index(workspace.index_dir)
    for record, one in zip(index.records, index.details(), strict=True):
        number = int(record.path[-7:-4]) + 12 * record.path.startswith("Normal")
        assert one.columns == {"sex": "FM"[number % 2], "age": str(20 + number)}
    for path in workspace.index_dir.rglob("*"):
        assert not path.is_file() or b"private text" not in path.read_bytes()


def test_columns_that_are_asked_for_are_kept_too(root: Path, tmp_path: Path) -> None:
    workspace = prepared(root, tmp_path, 'evaluation.subgroups=["hospital"]')
    index = load_index(workspace.index_dir)
    columns = subgroup_columns(index, ["hospital"])
    assert set(columns) == {"sex", "age", "hospital"}
    assert set(columns["hospital"].values()) == {"H0", "H1", "H2"}
    with pytest.raises(ConfigurationError, match=r"evaluation\.subgroups"):
        subgroup_columns(index, ["region"])


def test_a_change_of_a_subgroup_is_noticed_and_of_an_unused_column_not(
    root: Path, tmp_path: Path
) -> None:
    workspace = prepared(root, tmp_path)
    before = (workspace.index_dir / "details.csv").read_bytes()
    table = root / "metadata.csv"
    table.write_text(table.read_text().replace("private", "other"))
    prepared(root, tmp_path)
    assert (workspace.index_dir / "details.csv").read_bytes() == before
    table.write_text(table.read_text().replace(",F,", ",X,"))
    prepared(root, tmp_path)
    assert b",X," in (workspace.index_dir / "details.csv").read_bytes()


def test_without_such_columns_the_table_is_as_ever() -> None:
    assert details_bytes([ImageDetails("a", "PA", "m.png")]) == b"image_id,view,mask\na,PA,m.png\n"


@pytest.mark.parametrize(
    ("cell", "band"),
    [
        ("17", "under 18"), ("18", "18 to 39"), ("039Y", "18 to 39"), ("40.5", "40 to 64"),
        ("65", "65 and older"), ("", "not known"), ("old", "not known"), ("006M", "not known"),
    ],
)  # fmt: skip
def test_ages_are_bands(cell: str, band: str) -> None:
    assert value_of("age", cell) == band
    assert value_of("sex", cell) == (cell or "not known")


def test_a_table_of_paths_keeps_its_columns_too(root: Path, tmp_path: Path) -> None:
    rows = (root / "metadata.csv").read_text().splitlines()
    table = [f"{row},{row.split('/')[0]}" for row in rows[1:]]
    (root / "films.csv").write_text("\n".join([f"{rows[0]},label", *table]))
    (root / "metadata.csv").unlink()
    workspace = Workspace(tmp_path / "work")
    result = prepare.run(configured(root / "films.csv"), workspace)
    assert result.metrics.unused_columns == ("hospital", "notes")
    ages = {one.columns["age"] for one in load_index(workspace.index_dir).details()}
    assert ages == {str(20 + number) for number in range(36)}
