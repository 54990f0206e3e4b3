"""JSON that anyone may have changed: brackets without end, endless numbers, no text at all."""

import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from balancer.cli import main
from balancer.errors import IntegrityError
from balancer.workspace import Workspace

CONTENTS = {
    "nested": b"[" * 100_000,
    "nested and closed": b"[" * 900 + b"]" * 900,
    "objects": b'{"a":' * 100_000,
    "endless number": b"1" * 5_000,
    "no text": b"\xff\xfe\x00[",
}
READERS = {
    "gan/COVID/generator.json": ("synthesize", "--force"),
    "classify/real/classifier.json": ("explain",),
    "index/result.json": ("gan-train",),
    "synthetic/lineage.json": ("classify", "--with-synthetic", "--force"),
    "index/audit.json": ("report", "--force"),
    "runs/protocol.json": ("ablate", "--register"),
    "runs/ledger/one.json": ("ablate", "--register"),
}


@pytest.fixture(scope="module")
def damaged(tmp_path_factory: pytest.TempPathFactory, finished: Workspace) -> Path:
    """One copy of a finished run for all cases: each puts back what it damages."""
    root = tmp_path_factory.mktemp("damaged") / "work"
    shutil.copytree(finished.root, root)
    return root


@pytest.mark.fault(43)
@pytest.mark.parametrize("content", CONTENTS)
@pytest.mark.parametrize("name", READERS)
def test_such_a_file_is_one_sentence(damaged: Path, name: str, content: str) -> None:
    place = damaged / name
    before = place.read_bytes() if place.is_file() else None
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(CONTENTS[content])
    try:
        result = CliRunner().invoke(main, [*READERS[name], "-w", str(damaged)])
    finally:
        place.unlink()
        if before is not None:
            place.write_bytes(before)
    assert result.exit_code == IntegrityError.exit_code, result.output
    last = result.output.splitlines()[-1]
    assert last.startswith("Error: ")
    assert Path(name).name in last
    assert len(last) < 1000
