"""Every command that a page shows: its options and settings exist, and the quick ones run."""

import re
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from click.testing import CliRunner

from balancer.cli import main
from balancer.config import bundled_recipes, load_config
from support.tiny_pipeline import draw_folder

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
FENCE = re.compile(r"^```\w*\n(.*?)^```\n?", re.MULTILINE | re.DOTALL)
INDENTED = re.compile(r"^(?: {4}.*\n)+", re.MULTILINE)
SHELL = re.compile(r"\s*(?:\$ )?(?:nohup |time |[A-Z_]+=\S+ )*balancer ([^|&;].*)")
LONG = {
    "ablate": "test_ablate.py",
    "audit": "test_finished_results.py",
    "classify": "test_cli.py",
    "doctor": "test_doctor.py",
    "explain": "test_explain.py",
    "export": "test_export.py",
    "gan-train": "test_cli.py",
    "import-synthetic": "test_import_synthetic.py",
    "judge": "test_judge.py",
    "lungs": "test_domains.py",
    "quality": "test_cli.py",
    "run": "test_cli.py",
    "serve": "test_app_browser.py",
    "synthesize": "test_cli.py",
    "travel": "test_travel.py",
}
"""Commands that take more than seconds, and the tests that run them."""
OF_THE_USER = ("data.", "preprocessing.lungs", "--engine", "--layout")
"""Words of quick commands that need files or programs which are not at hand, or take long."""


def commands_of(text: str) -> Iterator[str]:
    """Yield what follows `balancer` in the commands of a page, without comments."""
    blocks = [*FENCE.findall(text), *INDENTED.findall(FENCE.sub("", text))]
    for block in blocks:
        for line in block.replace("\\\n", " ").splitlines():
            if found := SHELL.match(line):
                words = shlex.split(found[1], comments=True)
                yield shlex.join(words[: next(_ends(words), None)])


def _ends(words: Sequence[str]) -> Iterator[int]:
    return (place for place, word in enumerate(words) if word in ("|", "&&", ">", "&", ";"))


SHOWN = sorted({one for page in PAGES for one in commands_of(page.read_text())})


def values_of(words: Sequence[str], *options: str) -> list[str]:
    return [words[place + 1] for place, word in enumerate(words) if word in options]


def test_the_commands_of_a_page_are_found() -> None:
    text = (
        "    balancer run --data a  # why\n\n```bash\nX=1 balancer ablate \\\n  -w b | less\n```\n"
        "`balancer no`\n    balancer | no\n"
    )
    assert sorted(commands_of(text)) == ["ablate -w b", "run --data a"]
    assert len(SHOWN) > 60


@pytest.mark.parametrize("shown", SHOWN)
def test_a_command_that_is_shown_has_these_options_and_settings(shown: str) -> None:
    words = shlex.split(shown)
    name, *rest = words
    assert name in main.commands
    if "--list-layouts" not in rest:  # it prints while it is parsed
        main.commands[name].make_context(name, rest)
    sources = [one for one in values_of(words, "-c", "--config") if one in bundled_recipes()]
    load_config(*sources, assignments=values_of(words, "--set"))
    quick = name not in LONG
    assert quick or f'"{name}"' in (ROOT / "tests" / LONG[name]).read_text()


def test_the_quick_commands_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On drawn phantoms, in one workspace."""
    films = draw_folder(tmp_path / "films", n_covid=8, n_normal=12)
    monkeypatch.chdir(tmp_path)
    quick = [shlex.split(one) for one in SHOWN if shlex.split(one)[0] not in LONG]
    given = {"--data": str(films), "-w": str(tmp_path / "w")}
    ran = set()
    for words in quick:
        if any(part in word for part in OF_THE_USER for word in words):
            continue
        changed = [
            given.get(words[place - 1], word) if place else word for place, word in enumerate(words)
        ]
        if "--list-layouts" not in changed:
            changed += [] if "--data" in changed else ["--data", str(films)]
            changed += ["--force"] if "--set" in changed else []
        if tuple(changed) in ran:
            continue
        ran.add(tuple(changed))
        done = CliRunner().invoke(main, changed)
        assert done.exit_code == 0, f"{shlex.join(changed)}: {done.output}"
    assert {words[0] for words in ran} == {"prepare", "init", "export-split"}
