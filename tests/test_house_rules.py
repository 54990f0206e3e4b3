"""The house rules of the architecture page, read from the source itself."""

import ast
import importlib.metadata
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from support.faults import FAULTS
from support.sources import PACKAGES, ROOT, SOURCES, imports

LEVELS = [
    # A module may import from its own level and from those after it; docs/architecture.md shows
    # this very list.
    ["cli"],
    [
        *("command", "api", "studies", "judgement", "comparison", "image_audit"),
        *("given_images", "doctor", "first_recipe", "outside"),
    ],
    ["execution"],
    ["stages"],
    ["app", "sharing"],
    ["report"],
    ["ablation"],
    ["referee"],
    ["quality", "shortcuts", "explanation", "lungs"],
    ["evaluation", "synthetic"],
    ["data"],
    ["imaging"],
    ["tracking"],
    ["resources"],
    ["config"],
    ["workspace", "results", "manifest"],
    ["drawing", "statistics", "domains"],
    [
        "ratio",
        "errors",
        "files",
        "options",
        "hints",
        "section",
        "allocator",
        "threads",
        "team",
        "requirements",
        "shown_page",
    ],
]
_CONFIG = LEVELS.index(["config"])  # `ROOM/config.py` is a part of it that lies beside its room
_CHAINS = {
    *("run.py", "ablate.py", "ablation_tasks.py", "travel.py", "fold_images.py"),
    "import_synthetic.py",
}
"""Stages that may import stages."""
_HEAVY = {"torch", "lightning", "sklearn", "matplotlib", "scipy", "pandas", "PIL", "numpy", "timm"}


def _level(parts: Sequence[str]) -> int:
    """Level of a module, given the parts of its dotted name after `balancer`."""
    if parts[1:2] == ["config"]:
        return _CONFIG
    return next(number for number, names in enumerate(LEVELS) if parts[0] in names)


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_keep_the_rules(path: Path) -> None:
    package = path.relative_to(ROOT).parts[0]
    names = set(imports(path))
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


def test_what_an_arm_does_is_asked_of_its_family() -> None:
    """No module but the families compares the name of one with a string."""
    families = ROOT / "balancer" / "ablation" / "families"
    text = "".join(path.read_text(encoding="utf-8") for path in families.glob("*.py"))
    names = set(re.findall(r'family = "([a-z-]+)"', text))
    assert {"gan", "noise", "held-back-real"} < names
    # `real` is a word of the two classifiers too, and `gan` the name of a kind.
    names -= {"real", "gan"}
    for path in SOURCES:
        if ROOT / "balancer" not in path.parents or families in path.parents:
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Match):
                subject = node.subject
                assert not (isinstance(subject, ast.Attribute) and subject.attr == "family"), path
            if isinstance(node, ast.Compare):
                sides = [node.left, *node.comparators]
                words = {side.value for side in sides if isinstance(side, ast.Constant)}
                asked = any(isinstance(s, ast.Attribute) and s.attr == "family" for s in sides)
                assert not asked, f"{path}:{node.lineno}"
                assert not words & names, f"{path}:{node.lineno}"


def test_one_class_name_has_one_meaning() -> None:
    places: dict[str, list[str]] = {}
    for path in SOURCES:
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                places.setdefault(node.name, []).append(str(path.relative_to(ROOT)))
    assert {name: files for name, files in places.items() if len(files) > 1} == {}


def test_every_fault_has_its_test() -> None:
    """By the numbers of the marks `fault`, which a decorator gives as they are."""
    marked = {
        number.value
        for path in (ROOT / "tests").glob("test_*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef)
        for mark in node.decorator_list
        if isinstance(mark, ast.Call) and ast.unparse(mark.func) == "pytest.mark.fault"
        for number in mark.args
        if isinstance(number, ast.Constant)
    }
    assert marked == set(FAULTS)


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


def test_no_package_is_imported_without_being_declared() -> None:
    modules = importlib.metadata.packages_distributions()
    declared = {
        re.split(r"[<>=!~\[; ]", requirement)[0].lower().replace("_", "-")
        for requirement in importlib.metadata.requires("balancer") or []
        if "extra == 'dev'" not in requirement.replace('"', "'")
    }
    tops = {name.partition(".")[0] for path in SOURCES for name in imports(path)}
    third_party = tops - set(sys.stdlib_module_names) - set(PACKAGES) - {"configs", "samples"}
    undeclared = {
        top
        for top in third_party
        if not {name.lower().replace("_", "-") for name in modules.get(top, [top])} & declared
    }
    assert not undeclared


def test_only_the_dcgan_source_and_its_training_import_gan() -> None:
    """Another source of synthetic images then needs no change elsewhere."""
    importers = {
        path.relative_to(ROOT / "balancer").as_posix()
        for path in SOURCES
        if path.is_relative_to(ROOT / "balancer")
        and any(name.partition(".")[0] == "gan" for name in imports(path))
    }
    # config.py takes the section `gan` alone.
    allowed = {"config.py", "stages/gan_train.py", "quality/snapshot_scorer.py"}
    assert allowed <= importers
    assert all(path in allowed or path.startswith("synthetic/") for path in importers)


_PARTICIPLES = {"made", "known", "shown", "told", "found", "kept", "seen", "held", "drawn"}


def test_no_module_is_named_for_a_past_participle() -> None:
    # `aligned` and `generated` are judged adjectives: images that are aligned or generated.
    for path in SOURCES:
        if path.stem not in ("aligned", "generated"):
            last = path.stem.split("_")[-1]
            assert last not in _PARTICIPLES, path
            assert not last.endswith("ed"), path


def test_a_small_module_with_one_importer_gives_its_reason() -> None:
    """A module under 60 lines that one other module imports says why it is small."""
    names = {
        ".".join(path.relative_to(ROOT).with_suffix("").parts): path
        for path in SOURCES
        if path.name != "__init__.py"
    }
    importers: dict[str, set[Path]] = {name: set() for name in names}
    for path in SOURCES:
        for name in imports(path):
            if name in names and names[name] != path:
                importers[name].add(path)
    for name, path in names.items():
        text = path.read_text(encoding="utf-8")
        if len(importers[name]) == 1 and len(text.splitlines()) < 60:
            assert "Small because " in (ast.get_docstring(ast.parse(text)) or ""), path


_OF_CHANNELS = {"GREY", "COLOUR", "Channels", "channels_of", "with_channels"}
_HOMES = {"balancer/imaging/pixels.py", "classifier/tables.py", "gan/transforms.py"}
"""One module of each package where an array is asked how many channels it has."""
_ASK = {
    # Reading: from a file to an array.
    *("balancer/data/io.py", "balancer/data/channels.py", "balancer/data/cache.py"),
    *("balancer/data/film/examine.py", "balancer/data/ingest/passes.py"),
    *("balancer/data/ingest/reader.py", "balancer/imaging/preprocess.py"),
    "balancer/data/index_settings.py",
    # Networks: their first and last layer, and the files that name it.
    *("classifier/models.py", "classifier/checkpoint.py"),
    *("gan/networks.py", "gan/module.py", "gan/training.py", "gan/checkpoint.py"),
    # What only colours show.
    "balancer/shortcuts/artefacts.py",
    # Words and pictures.
    *("balancer/quality/extractors/__init__.py", "balancer/quality/extractors/extractor.py"),
    *("balancer/stages/gan_train.py", "balancer/stages/prepare.py"),
    *("balancer/explanation/sheets.py", "balancer/report/render/audit_page.py"),
    *("balancer/app/uploads.py", "balancer/sharing/recipe.py"),
}
_REORDER = re.compile(
    r"cvtColor|convert\(\"RGB|IMREAD|(?<!un)squeeze\(1\)"
    r"|\.(permute|transpose)\((0, 3, 1, 2|0, 2, 3, 1)\)"
)
_REORDERED = {
    *("balancer/data/colours.py", "balancer/data/io.py", "balancer/data/grey_levels.py"),
    "balancer/lungs/sheets.py",  # outlines in colour on a grey film
    "balancer/sharing/recipe.py",  # a script that runs without the balancer
    "gan/networks.py",
}


def test_few_modules_know_about_channels() -> None:
    """Images are passed on as they are; a new module asks one of the three homes for the rest."""
    asking, reordering = set(), set()
    for path in SOURCES:
        text, name = path.read_text(encoding="utf-8"), str(path.relative_to(ROOT))
        tree = ast.parse(text)
        names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
        if names & _OF_CHANNELS:
            asking.add(name)
        if _REORDER.search(text):
            reordering.add(name)
    assert asking - _HOMES == _ASK
    assert reordering - _HOMES == _REORDERED


def test_what_a_domain_is_like_is_asked_of_its_table() -> None:
    """No module compares the name of a domain with a string, or branches on one."""
    home = ROOT / "balancer" / "domains"
    names = {path.stem for path in home.glob("*.toml")}
    assert {"chest", "skin", "general"} < names
    for path in SOURCES:
        if home in path.parents:
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Compare):
                sides = [node.left, *node.comparators]
                words = {side.value for side in sides if isinstance(side, ast.Constant)}
                named = {getattr(side, "id", "") for side in sides} & {"CHEST", "GENERAL"}
                assert not words & names, f"{path}:{node.lineno}"
                assert not named, f"{path}:{node.lineno}"
