"""Names from the data command no terminal and no spreadsheet; settings hold no control codes."""

import csv
import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from balancer.cli import main
from balancer.stages import report
from support import made_archives as made
from support.radiograph_folders import class_folders
from support.reading_command import prepare, prepared, refused

ESCAPES = "\x1b[31mEVIL \x1b]0\x07\x9b5m"
FORMULA = "=cmd|' -C calc'!A0"
SMALL = ("--set", "data.min_images=3", "--set", "data.patients=ignored")


@pytest.fixture(autouse=True)
def in_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def _is_clean(text: str) -> bool:
    return all(char.isprintable() or char in "\n\t\xa0" for char in text)


def _listed(root: Path, **changed: str) -> Path:
    """Make class folders with a table, of which the third row has changed cells."""
    class_folders(root, {"a": 6, "b": 6})
    rows = [
        {"path": f"{label}/{number:03}.png", "source": "clinic", "sex": "F", "view": "PA"}
        for label in "ab"
        for number in range(6)
    ]
    rows[2] |= changed
    made.write_csv(root / "metadata.csv", tuple(rows[0]), rows)
    return root


@pytest.mark.fault(16, 64)
def test_escapes_in_names_of_classes_and_files_reach_no_terminal_and_no_page() -> None:
    archive = class_folders(Path("films"), {ESCAPES: 6, "Normal": 6})
    bad = archive / ESCAPES / f"{ESCAPES}.png"
    bad.write_bytes(b"no image")
    done, _ = prepared(archive, *SMALL, "--skip-bad", "-v")
    assert "EVIL" in done.stderr  # in the log
    assert "EVIL" in done.stdout  # in the table
    assert _is_clean(done.stdout)
    assert _is_clean(done.stderr)
    for page in ("audit.html", "audit.md"):
        text = Path("w/index", page).read_text(encoding="utf-8")
        assert "EVIL" in text
        assert _is_clean(text), page
    error = prepare(archive, *SMALL, "--force", "-v").stderr  # the bad file, with a traceback
    assert "EVIL" in error
    assert _is_clean(error)


@pytest.mark.parametrize("column", ["source", "view", "sex"])
def test_escapes_in_cells_reach_no_terminal_and_no_page(column: str) -> None:
    archive = _listed(Path("films"), **{column: ESCAPES})
    done, _ = prepared(archive, *SMALL, "--set", "data.views=all")
    assert _is_clean(done.stdout + done.stderr)
    for page in ("audit.html", "audit.md"):
        text = Path("w/index", page).read_text(encoding="utf-8")
        assert ("EVIL" in text) == (column != "sex")
        assert _is_clean(text), page


def test_escapes_in_tables_of_other_commands_reach_no_terminal(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    prepared(class_folders(Path("films"), {"COVID": 6, "Normal": 6}), *SMALL)
    monkeypatch.setattr(report, "run", lambda *_, **__: _StandIn())
    monkeypatch.setattr(report, "summary", lambda result: [f"arm {ESCAPES}"])
    done = CliRunner().invoke(main, ["report", "-w", "w"])
    assert done.exit_code == 0, done.output
    assert "EVIL" in done.stdout
    assert _is_clean(done.stdout)


class _StandIn:
    stage = "report"


@pytest.mark.fault(16)
@pytest.mark.parametrize("name", [FORMULA, "+1+1", "-x", "@SUM(A1)", "\tx"])
def test_a_class_that_a_spreadsheet_would_run_is_refused(name: str) -> None:
    archive = class_folders(Path("films"), {name: 6, "Normal": 6})
    assert repr(name) in refused(archive, 3, *SMALL) or "\\t" in name
    # Under another name the class can be used, and its files lie in the folder of old.
    words = ("--set", f"data.classes={json.dumps({name: 'COVID', 'Normal': 'Normal'})}")
    assert "path" in refused(archive, 3, *SMALL, *words)


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"source": FORMULA}, "source"),
        ({"source": "@clinic"}, "source"),
        ({"view": "-cmd"}, "view"),
        ({"sex": FORMULA}, "sex"),
        ({"view": "=1+1"}, "view"),
    ],
)
def test_a_cell_that_a_spreadsheet_would_run_is_refused(
    changed: dict[str, str], named: str
) -> None:
    archive = _listed(Path("films"), **changed)
    words = ("--set", "data.views=all")
    line = refused(archive, 3, *SMALL, *words)
    assert named in line


def test_plain_numbers_and_signs_are_read_back_exactly() -> None:
    archive = _listed(Path("films"), source="-1.5", sex="+")
    prepared(archive, *SMALL)
    for table, column, cell in (("index.csv", "source", "-1.5"), ("details.csv", "sex", "+")):
        with Path("w/index", table).open(newline="") as file:
            assert cell in {row[column] for row in csv.DictReader(file)}
    assert CliRunner().invoke(main, ["prepare", "-w", "w", "--data", "films"]).exit_code == 2


def _settings(*words: str) -> Result:
    return CliRunner().invoke(main, ["prepare", "-w", "w", *words])


@pytest.mark.fault(46)
@pytest.mark.parametrize("code", ["\x00", "\x01", "\x07", "\x1b[31m", "\x7f", "\x9b", "\ufffe"])
def test_control_characters_in_settings_are_wrong_usage(code: str) -> None:
    Path("recipe.yaml").write_text(f"gan:\n  batch_size: 16 # caf{code}\n", encoding="utf-8")
    for words in (("-c", "recipe.yaml"), ("--set", f"gan.batch_size={code}")):
        done = _settings(*words)
        assert done.exit_code == 2, done.output
        assert _is_clean(done.stderr)
        assert len(done.stderr.splitlines()) == 1
        assert words[1].partition("=")[0] in done.stderr
    assert not Path("w").exists()


def test_a_ratio_of_the_most_digits_is_taken_by_option_and_setting() -> None:
    longest = "9" * 12 + "." + "9" * 6
    for words in (("--ratio", f"{longest}:1"), ("--set", f"synthesis.ratio={longest}:1")):
        done = CliRunner().invoke(main, ["gan-train", "-w", "w", "--data", "nowhere", *words])
        assert done.exit_code == 3, done.output  # the ratio is right, the data are not there
        assert "nowhere" in done.stderr
