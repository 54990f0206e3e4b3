"""A registered study with its answer, and fixtures for changing the question after it."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from balancer.cli import main
from balancer.stages import ablate
from support.planted_units import ablated, plant
from support.tiny_pipeline import TINY, draw_folder

CLAIMS = {"helps", "hurts", "equivalent"}


EFFECTS = {"class-weights": 0.6}


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw_folder(tmp_path_factory.mktemp("films") / "films", 40, 120)


@pytest.fixture(scope="module")
def answered(tmp_path_factory: pytest.TempPathFactory, films: Path) -> Path:
    """A study with its answer: nine looks, inconclusive, as registered."""
    root = tmp_path_factory.mktemp("answered") / "work"
    with pytest.MonkeyPatch.context() as patch:
        plant(patch, EFFECTS, noise=0.3)
        done = ablated(films, root)
    assert done.exit_code == 0, done.stderr
    return root


@pytest.fixture
def planted(answered: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plant(monkeypatch, EFFECTS, noise=0.3)


@pytest.fixture
def no_page(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ablate.report, "run", lambda config, workspace: _Page())


class _Page:
    """A report that was not drawn."""

    metrics = type("Metrics", (), {"page": ""})()


@pytest.fixture
def mine(tmp_path: Path, answered: Path) -> Path:
    shutil.copytree(answered, tmp_path / "work", symlinks=True)
    return tmp_path / "work"


def entries(root: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((root / "runs/protocol.json").read_text())["entries"]
    return found


def prepared(root: Path, films: Path, *words: str) -> Result:
    settings = [word for change in TINY for word in ("--set", change)]
    command = ["prepare", "--data", films, "-w", root, *settings, "-q", *words]
    return CliRunner().invoke(main, [str(word) for word in command])


def texts(metrics: dict[str, Any]) -> Iterator[str]:
    """Words of the headline and of the arms beside it."""
    yield metrics["verdict"]["word"]
    yield from (arm["verdict"]["word"] for arm in metrics["arms"].values())
