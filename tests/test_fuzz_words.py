"""Damaged tables, settings, recipes and ratios never surprise a command."""

import csv
import io
import shutil
from pathlib import Path
from random import Random

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from balancer.workspace import Workspace
from support.mutations import CELLS, FACTOR, ask, damaged, damaged_table, damaged_text, seeds
from support.radiograph_folders import class_folders

DEFAULTS = Path(__file__).parent.parent / "configs" / "default.yaml"
IN_THIS_PROCESS = settings(
    max_examples=20 * FACTOR,
    deadline=None,
    derandomize=FACTOR == 1,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
VALUES = (
    *CELLS,
    *("[1, 2", "{a: b}", "&a [*a]", "*a", "!!python/object:os.system x", "!!binary x", "? x"),
    *("<<: {}", "---", "...", "%YAML 9.9", "|", ">-", "@x", "`x`", "1:1", "0", "1e400", "-0"),
    *(".nan", ".inf", "[.nan, 1, 0]", "[0.5, 0.25, 0.25]", "[]", "[[]]", "{1: 2}", "{[]: 1}"),
    *("yes", "1_000", "0o7", "12:30:45", "2020-01-01", "!!set {a}", "!!timestamp 1", "!!bool x"),
    *("!!int ''", '"\\ud800"', '"\\x00"', "- x"),
)


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return class_folders(tmp_path_factory.mktemp("fuzz") / "films", {"a": 9, "b": 9})


def _rows(*, with_labels: bool) -> list[list[str]]:
    header = ["path", *(["label"] if with_labels else []), "patient_id", "view", "source", "age"]
    return [header] + [
        [f"{label}/{n:03}.png", *([label] if with_labels else []), f"p{n}", "PA", "here", "40"]
        for label in "ab"
        for n in range(9)
    ]


@pytest.mark.fault(70)
@pytest.mark.parametrize("name", ["list.csv", "metadata.csv"])
def test_damaged_tables_are_foreseen(films: Path, tmp_path: Path, name: str) -> None:
    """Tables of paths and labels, and tables beside folders of classes."""
    root = tmp_path / "films"
    shutil.copytree(films, root)
    place = root if name == "metadata.csv" else root / name
    for seed in seeds(6):
        random = Random(f"{name} {seed}")
        content = damaged_table(_rows(with_labels=place != root), random)
        (root / name).write_bytes(content)
        workspace = tmp_path / f"work-{seed}"
        done = ask("prepare", "--data", str(place), "-w", str(workspace))
        assert (done.exit_code == 0) == (workspace / "index" / "result.json").exists(), content


def test_damaged_workbooks_are_foreseen(films: Path, tmp_path: Path) -> None:
    """Tables that a spreadsheet wrote."""
    from openpyxl import Workbook

    root = tmp_path / "films"
    shutil.copytree(films, root)
    book, stream = Workbook(), io.BytesIO()
    for row in _rows(with_labels=True):
        book.active.append(row)
    book.save(stream)
    for seed in seeds(6):
        content = damaged(stream.getvalue(), Random(f"workbook {seed}"))
        (root / "list.xlsx").write_bytes(content)
        ask("prepare", "--data", str(root / "list.xlsx"), "-w", str(tmp_path / f"work-{seed}"))


def _settings() -> list[str]:
    """Dotted names of all settings."""
    names, room = [], ""
    for line in DEFAULTS.read_text(encoding="utf-8").splitlines():
        key = line.partition(":")[0]
        if line and not line.startswith((" ", "#", "-")):
            room = key
            names.append(room)
        elif line.startswith("  ") and key.strip().isidentifier():
            names.append(f"{room}.{key.strip()}")
    return names


@pytest.mark.fault(70)
@IN_THIS_PROCESS
@example(key="seed", value="!!timestamp 1", equals="=")
@given(
    key=st.one_of(st.sampled_from(_settings()), st.text(max_size=12)),
    value=st.one_of(st.sampled_from(VALUES), st.text(max_size=20)),
    equals=st.sampled_from(["=", "=", "=", "==", "", ":"]),
)
def test_settings_of_any_kind_are_foreseen(
    films: Path, tmp_path: Path, key: str, value: str, equals: str
) -> None:
    """`--set`, which a command reads before it opens the data."""
    assert len(_settings()) > 100
    assignment = f"{key}{equals}{value}"
    done = ask("prepare", "--data", str(films / "none"), "-w", str(tmp_path), "--set", assignment)
    assert done.exit_code in (2, 3)


@pytest.mark.fault(70)
def test_recipes_of_any_kind_are_foreseen(films: Path, tmp_path: Path) -> None:
    """Files of settings."""
    text = DEFAULTS.read_text(encoding="utf-8")
    for seed in seeds(12):
        random = Random(f"recipe {seed}")
        content = damaged_text(text, random, VALUES).encode("utf-8", "surrogatepass")
        if random.random() < 0.3:
            content = damaged(content, random)
        (tmp_path / "recipe.yaml").write_bytes(content)
        words = ["--data", str(films / "none"), "-w", str(tmp_path / "work")]
        done = ask("prepare", "-c", str(tmp_path / "recipe.yaml"), *words)
        assert done.exit_code in (2, 3)


@pytest.mark.fault(70, 33)
@IN_THIS_PROCESS
@given(
    ratio=st.one_of(
        st.text(max_size=12),
        st.text("0123456789.:-+eE _\uff1a\u0661\u00b2", max_size=24),
        st.tuples(st.floats(0, 1e12), st.floats(0, 1e12)).map(lambda two: f"{two[0]}:{two[1]}"),
    )
)
def test_ratios_of_any_kind_are_foreseen(finished: Workspace, ratio: str) -> None:
    """`--ratio`, up to the plan that it makes."""
    done = ask("synthesize", "-w", str(finished.root), "--dry-run", f"--ratio={ratio}")
    assert done.exit_code in (0, 2)


@pytest.mark.parametrize(
    ("command", "name"),
    [
        ("gan-train", "index/index.csv"),
        ("gan-train", "index/result.json"),
        ("quality", "synthetic/manifest.csv"),
        ("quality", "synthetic/lineage.json"),
        ("quality", "gan/COVID/generator.json"),
        ("report", "classify/real/predictions.csv"),
        ("report", "runs/ledger/*.json"),
    ],
)
def test_damaged_files_of_ours_are_foreseen(copied: Workspace, command: str, name: str) -> None:
    """What a stage hands to the next."""
    path = sorted(copied.root.glob(name))[0]
    content = path.read_bytes()
    for seed in seeds(2):
        random = Random(f"{name} {seed}")
        if path.suffix == ".csv" and random.random() < 0.7:
            rows = list(csv.reader(io.StringIO(content.decode())))
            path.write_bytes(damaged_table(rows, random))
        else:
            path.write_bytes(damaged(content, random))
        ask(command, "-w", str(copied.root))
