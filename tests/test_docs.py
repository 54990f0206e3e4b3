"""Pages of docs/ that are made from, or held against, the code."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from balancer.cli import main
from test_house_rules import LEVELS

ROOT = Path(__file__).parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])


@pytest.mark.parametrize(
    ("script", "page"),
    [("settings.py", "settings.md"), ("idea.py", "idea.svg"), ("atlas.py", "atlas.md")],
)
def test_what_a_script_of_docs_writes_is_up_to_date(script: str, page: str) -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "docs" / script)],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
    )
    assert (ROOT / "docs" / page).read_text() == done.stdout


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_links_lead_to_files(page: Path) -> None:
    for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", page.read_text()):
        assert (page.parent / target).exists(), f"{page.name} links to {target}"


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_commands_and_settings_in_pages_exist(page: Path) -> None:
    from balancer.config import load_config

    text = page.read_text()
    if page.name != "CHANGELOG.md":
        for command in re.findall(r"`balancer ([a-z][a-z-]+)[ `]", text):
            assert command in main.commands, f"{page.name} names the command {command}"
    for assignment in re.findall(r"--set ([a-z_]+\.[a-z_.]+)=", text):
        default = load_config()
        for part in assignment.split("."):
            assert hasattr(default, part), f"{page.name} sets {assignment}"
            default = getattr(default, part)


def test_the_architecture_page_shows_the_levels_of_the_house_rules() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text()
    block = text.partition("```\ncli\n")[2].partition("```")[0]
    assert ["cli", *block.split("\n")[:-1]] == [", ".join(level) for level in LEVELS]


def test_the_site_is_built_without_a_warning(tmp_path: Path) -> None:
    """`--strict`: a link, anchor or page of the menu that leads nowhere is an error."""
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path)]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    reference = (tmp_path / "commands.html").read_text()
    assert all(f"balancer {name}" in reference for name in main.commands)
    for page in ROOT.glob("docs/*.md"):
        assert (tmp_path / f"{page.stem}.html").is_file()
    for notebook in ROOT.glob("docs/notebooks/*.ipynb"):
        shown = (tmp_path / "notebooks" / f"{notebook.stem}.html").read_text()
        assert "import" in shown
        assert "</table>" in shown  # an output


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) <= 120


@pytest.mark.parametrize("number", [0, 1])
def test_the_snippets_of_the_python_page_run(number: int, tmp_path: Path) -> None:
    """The library snippets, in an empty folder; they print nothing."""
    text = (ROOT / "docs" / "python.md").read_text()
    code = re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)[number]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
