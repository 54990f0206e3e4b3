"""The message when `prepare` is stopped, or the machine stops it."""

import errno
import os
from pathlib import Path
from types import SimpleNamespace

import pytest
from click.testing import CliRunner

from balancer.cli import main
from balancer.data.ingest import passes
from balancer.workspace import Workspace
from support.radiograph_folders import class_folders


@pytest.mark.parametrize("chunks", [0, 2])
def test_a_stopped_prepare_says_that_it_can_be_resumed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chunks: int
) -> None:
    root = class_folders(tmp_path / "data", {"COVID": 10, "Normal": 10})
    monkeypatch.setattr(passes, "_CHUNK", 4)
    add = passes.Journal.add

    def adding(self: passes.Journal, chunk: int, *args: object) -> None:
        if chunk == chunks:
            raise KeyboardInterrupt
        add(self, chunk, *args)  # type: ignore[arg-type]

    words = ["prepare", "--data", str(root), "-w", str(tmp_path / "workspace")]
    with monkeypatch.context() as patched:
        patched.setattr(passes.Journal, "add", adding)
        done = CliRunner().invoke(main, words)
    assert done.exit_code == 130
    kept = Workspace(tmp_path / "workspace").unfinished_index_dir / passes.JOURNAL_NAME
    said = "re-run to resume."
    assert done.stderr.endswith(f"{said}\n") == kept.is_file()
    assert kept.is_file() or chunks == 0
    assert CliRunner().invoke(main, words).exit_code == 0


def test_a_full_folder_for_temporary_files_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may be on another disk than the workspace, which is not to blame."""
    root = class_folders(tmp_path / "data", {"COVID": 10, "Normal": 10})

    def no_room(*_: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    words = ["prepare", "--data", str(root), "-w", str(tmp_path / "workspace")]
    with monkeypatch.context() as patched:
        full = SimpleNamespace(pwrite=no_room, close=os.close)
        patched.setattr("balancer.data.copies.scratch.os", full)
        done = CliRunner().invoke(main, words)
    assert done.exit_code == 5, done.stderr
    assert "TMPDIR" in done.stderr.splitlines()[-1]
    assert not Workspace(tmp_path / "workspace").index_dir.exists()
    assert CliRunner().invoke(main, words).exit_code == 0
