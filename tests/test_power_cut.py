"""Order of the writes that a power cut depends on: content first, then its name."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from click.testing import CliRunner

from balancer.cli import main
from balancer.workspace import Workspace
from support.tiny_pipeline import arguments


class Disk:
    """The order in which files and folders were synced and renamed.

    Attributes:
        synced: Path to the bytes of the file when it was synced last; 0 for a folder.
        named: What was not on the disk at the moment of each rename, by the new name.
        events: `sync` or `rename`, and the path.
    """

    def __init__(self) -> None:
        self.synced: dict[Path, int] = {}
        self.named: dict[Path, list[Path]] = {}
        self.events: list[tuple[str, Path]] = []

    def sync(self, number: int) -> None:
        path = Path(f"/proc/self/fd/{number}").readlink()
        self.synced[path] = path.stat().st_size if path.is_file() else 0
        self.events.append(("sync", path))

    def rename(self, old: Path, new: Path) -> None:
        old, new = old.absolute(), new.absolute()
        inside = [old, *old.rglob("*")] if old.is_dir() else [old]
        self.named[new] = [
            path
            for path in inside
            if self.synced.get(path) != (path.stat().st_size if path.is_file() else 0)
        ]
        self.events.append(("rename", new))


@contextmanager
def watched(monkeypatch: pytest.MonkeyPatch) -> Iterator[Disk]:
    disk = Disk()
    fsync, replace = os.fsync, Path.replace

    def sync(number: int) -> None:
        fsync(number)
        disk.sync(number)

    def rename(self: Path, target: Path | str) -> Path:
        disk.rename(self, Path(target))
        return replace(self, target)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", sync)
        patch.setattr(Path, "replace", rename)
        yield disk


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="reads /proc")
@pytest.mark.parametrize(
    ("words", "published"),
    [
        (("prepare",), "index"),
        (("gan-train",), "gan/COVID"),
        (("synthesize",), "synthetic"),
        (("classify",), "classify/real"),
        (("report",), "report"),
    ],
)
def test_what_is_published_is_on_the_disk_before_and_after_it_gets_its_name(
    words: tuple[str, ...],
    published: str,
    copied: Workspace,
    data: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    place = copied.root / published
    with watched(monkeypatch) as disk:
        done = CliRunner().invoke(main, [*words, *arguments(data, copied.root), "--force"])
    assert done.exit_code == 0, done.output
    assert disk.named[place] == []
    at = disk.events.index(("rename", place))
    assert ("sync", place.parent) in disk.events[at:]
    # The old folder is renamed aside, and removed once the new name is on the disk.
    assert not place.with_name(f"{place.name}.old.partial").exists()


def test_a_file_that_is_replaced_is_on_the_disk_before_it_gets_its_name(
    copied: Workspace, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with watched(monkeypatch) as disk:
        done = CliRunner().invoke(main, ["classify", *arguments(data, copied.root), "--force"])
    assert done.exit_code == 0, done.output
    reads = [path for path in disk.named if path.parent == copied.ledger_dir]
    assert reads
    for path in reads:
        assert disk.named[path] == []
        assert ("sync", path.parent) in disk.events[disk.events.index(("rename", path)) :]
