"""The house rules of the architecture page, read from the source itself."""

import ast
import importlib.metadata
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("balancer", "gan", "classifier")
SOURCES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))

LEVELS = [
    # A module may import from its own level and from those after it; docs/architecture.md shows
    # this very list.
    ["cli"],
    ["command", "api"],
    ["execution"],
    ["stages"],
    ["app"],
    ["report"],
    ["ablation"],
    ["quality", "shortcuts", "explanation", "lungs"],
    ["evaluation", "synthetic"],
    ["data"],
    ["imaging"],
    ["resources"],
    ["config"],
    ["workspace", "results", "manifest"],
    ["drawing", "statistics"],
    ["ratio", "errors", "files", "options", "hints", "section", "allocator"],
]
_CONFIG = LEVELS.index(["config"])  # `ROOM/config.py` is a part of it that lies beside its room
_CHAINS = {"run.py", "ablate.py", "fold_images.py"}  # stages that may import stages
_HEAVY = {"torch", "lightning", "sklearn", "matplotlib", "scipy", "pandas", "PIL", "numpy", "timm"}


def _imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, f"{path} imports relatively"
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _level(parts: Sequence[str]) -> int:
    """Level of a module, given the parts of its dotted name after `balancer`."""
    if parts[1:2] == ["config"]:
        return _CONFIG
    return next(number for number, names in enumerate(LEVELS) if parts[0] in names)


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_keep_the_rules(path: Path) -> None:
    package = path.relative_to(ROOT).parts[0]
    names = set(_imports(path))
    tops = {name.partition(".")[0] for name in names}
    if package in ("gan", "classifier"):
        forbidden = {"balancer", "click", "yaml", "gan", "classifier"} - {package}
        assert not tops & forbidden
        return
    parts = path.relative_to(ROOT / "balancer").parts
    if parts == ("__init__.py",):
        return
    own = _level([part.removesuffix(".py") for part in parts])
    for name in names:
        if not name.startswith("balancer."):
            continue
        other = name.split(".")[1:]
        assert _level(other) >= own, f"{path.name} imports upwards: {name}"
        if parts[0] == "stages" and other[0] == "stages":
            assert parts[-1] in _CHAINS, f"{path.name} imports the stage {name}"
    assert ("yaml" in tops) == (parts == ("config.py",))


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_files_are_small_and_named_for_what_they_hold(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 400
    assert path.stem not in ("utils", "helpers", "common")
    assert not {"utils", "helpers", "common"} & set(path.parts)


def test_the_command_line_imports_nothing_heavy() -> None:
    code = (
        "import sys\n"
        "from click.testing import CliRunner\n"
        "from balancer.cli import main\n"
        "for args in (['--help'], ['run', '--help'], ['synthesize', '--ratio', '1:2']):\n"
        "    CliRunner().invoke(main, args)\n"
        "print(' '.join(sys.modules))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not _HEAVY & set(done.stdout.split())


def test_no_module_counts_folders_up_to_its_workspace() -> None:
    # `Workspace.main` knows where a fold is; whoever counts levels is wrong after the next move.
    rooms = ("data", "imaging", "lungs", "stages")
    sources = [path for room in rooms for path in (ROOT / "balancer" / room).rglob("*.py")]
    assert sources
    assert not [path for path in sources if "LEVELS_UP" in path.read_text(encoding="utf-8")]


def test_no_package_is_imported_without_being_declared() -> None:
    modules = importlib.metadata.packages_distributions()
    declared = {
        re.split(r"[<>=!~\[; ]", requirement)[0].lower().replace("_", "-")
        for requirement in importlib.metadata.requires("balancer") or []
        if "extra == 'dev'" not in requirement.replace('"', "'")
    }
    tops = {name.partition(".")[0] for path in SOURCES for name in _imports(path)}
    third_party = tops - set(sys.stdlib_module_names) - set(PACKAGES) - {"configs", "samples"}
    undeclared = {
        top
        for top in third_party
        if not {name.lower().replace("_", "-") for name in modules.get(top, [top])} & declared
    }
    assert not undeclared


def test_weights_are_never_unpickled_unguarded() -> None:
    calls = 0
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "torch.load":
                guard = {word.arg: ast.unparse(word.value) for word in node.keywords}
                assert guard.get("weights_only") == "True", f"{path}:{node.lineno}"
                calls += 1
    assert calls
