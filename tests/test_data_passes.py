"""The pass over the files: equal to examining each alone, and resumable."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from balancer.data.config import DataConfig
from balancer.data.film import examine
from balancer.data.film.examine import Examined, examine_file
from balancer.data.ingest import passes
from balancer.data.ingest.journal import JOURNAL_NAME
from balancer.data.ingest.passes import PassResult, pass_folder, read_all
from balancer.data.ingest.reader import FileReader
from balancer.data.io import UnusableImageError, read_bytes, resize_square
from balancer.data.roots import Roots
from balancer.data.scan import FoundImage, Scan, scan_folder
from balancer.errors import DataError
from balancer.stages import prepare
from support.radiograph_folders import class_folders, configured, film, in_workspace, save

SIZES = (16, 24)


class Killed(BaseException):
    """Stand-in for SIGKILL that a test survives."""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Five chunks of four files, one of them not an image."""
    root = class_folders(tmp_path / "data", {"COVID": 9, "Normal": 10})
    (root / "COVID" / "bad.png").write_bytes(b"no image")
    return root


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passes, "_CHUNK", 4)


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the files that are read from now on."""
    names: list[str] = []

    def reading(path: Path) -> bytes:
        names.append(path.name)
        return read_bytes(path)

    monkeypatch.setattr(examine, "read_bytes", reading)
    return names


def scanned(root: Path) -> Scan:
    return scan_folder(root)


def read_folder(root: Path, place: Path) -> PassResult:
    return read_all(
        FileReader(roots=Roots.of([root]), config=DataConfig(), sizes=SIZES),
        scanned(root).images,
        place,
    )


def kill_after(monkeypatch: pytest.MonkeyPatch, chunks: int) -> None:
    add: Callable[..., None] = passes.Journal.add

    def adding(self: passes.Journal, chunk: int, *args: object) -> None:
        if chunk == chunks:
            raise Killed
        add(self, chunk, *args)

    monkeypatch.setattr(passes.Journal, "add", adding)


def assert_equal(ours: PassResult, theirs: PassResult) -> None:
    assert ours.digests == theirs.digests
    for one, other in zip(ours.outcomes, theirs.outcomes, strict=True):
        assert repr(one) == repr(other)
        if isinstance(one, Examined) and isinstance(other, Examined):
            assert one.facts == other.facts
            np.testing.assert_array_equal(one.thumbnail, other.thumbnail)
    for size in SIZES:
        for row, result in enumerate(ours.outcomes):
            if isinstance(result, Examined) and ours.stored[row] in (0, size):
                np.testing.assert_array_equal(
                    ours.squares[size].read(row), theirs.squares[size].read(row)
                )


def test_a_pass_equals_examining_each_file(root: Path, tmp_path: Path) -> None:
    passed = read_folder(root, tmp_path / "pass")
    images = scanned(root).images
    assert len(passed.outcomes) == len(images) == 20
    assert [file.path for file in passed.unusable] == ["COVID/bad.png"]
    for row, (image, digest, result) in enumerate(
        zip(images, passed.digests, passed.outcomes, strict=True)
    ):
        alone = examine_file(Roots.of([root]), image, DataConfig())
        assert (digest, repr(result)) == (alone.digest, repr(alone.outcome))
        if alone.pixels is not None:
            for size in SIZES:
                np.testing.assert_array_equal(
                    passed.squares[size].read(row), resize_square(alone.pixels, size)
                )


def test_every_file_is_read_once(root: Path, tmp_path: Path, reads: list[str]) -> None:
    read_folder(root, tmp_path / "pass")
    assert sorted(reads) == sorted(path.name for path in root.glob("*/*.png"))


@pytest.mark.parametrize("chunks", [0, 1, 3])
def test_a_killed_pass_is_resumed(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reads: list[str], chunks: int
) -> None:
    with monkeypatch.context() as patched:
        kill_after(patched, chunks)
        with pytest.raises(Killed):
            read_folder(root, tmp_path / "pass")
    reads.clear()
    again = read_folder(root, tmp_path / "pass")
    assert len(reads) == 20 - 4 * chunks
    assert_equal(again, read_folder(root, tmp_path / "other"))


def torn(journal: Path) -> None:
    journal.write_bytes(journal.read_bytes()[:-9])


def other_boot(journal: Path) -> None:
    journal.write_bytes(journal.read_bytes().replace(b'"boot": "', b'"boot": "x', 1))


@pytest.mark.parametrize(("damage", "kept"), [(torn, 2), (other_boot, 0)])
def test_chunks_of_a_damaged_or_old_journal_are_read_again(
    root: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    reads: list[str],
    damage: Callable[[Path], None],
    kept: int,
) -> None:
    with monkeypatch.context() as patched:
        kill_after(patched, 3)
        with pytest.raises(Killed):
            read_folder(root, tmp_path / "pass")
    damage(tmp_path / "pass" / JOURNAL_NAME)
    reads.clear()
    again = read_folder(root, tmp_path / "pass")
    assert len(reads) == 20 - 4 * kept
    assert_equal(again, read_folder(root, tmp_path / "other"))


def test_a_file_that_changed_is_read_again(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reads: list[str]
) -> None:
    with monkeypatch.context() as patched:
        kill_after(patched, 3)
        with pytest.raises(Killed):
            read_folder(root, tmp_path / "pass")
    path = root / "COVID" / "001.png"
    times = path.stat()
    save(path, film(99))
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))  # as `cp -p` would
    reads.clear()
    again = read_folder(root, tmp_path / "pass")
    assert len(reads) == 20 - 4 * 2
    assert_equal(again, read_folder(root, tmp_path / "other"))


def test_missing_rows_or_other_settings_begin_anew(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reads: list[str]
) -> None:
    with monkeypatch.context() as patched:
        kill_after(patched, 3)
        with pytest.raises(Killed):
            read_folder(root, tmp_path / "pass")
    shutil.copytree(tmp_path / "pass", tmp_path / "copy")
    (tmp_path / "copy" / "16.npy").unlink()
    reads.clear()
    read_folder(root, tmp_path / "copy")
    assert len(reads) == 20
    reads.clear()
    strict = FileReader(roots=Roots.of([root]), config=DataConfig(min_side=40), sizes=SIZES)
    read_all(strict, scanned(root).images, tmp_path / "pass")
    assert len(reads) == 20


def test_processes_and_threads_give_equal_results(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads = read_folder(root, tmp_path / "threads")
    monkeypatch.setattr("balancer.data.ingest.pool._WORTH_PROCESSES", 0)
    monkeypatch.setattr("balancer.data.ingest.pool.available_cores", lambda: 2)
    assert_equal(read_folder(root, tmp_path / "processes"), threads)


def test_unreadable_files_have_their_reason_for_a_digest(tmp_path: Path) -> None:
    gone = FoundImage("COVID/gone.png", "COVID")
    passed = read_all(
        FileReader(roots=Roots.of([tmp_path]), config=DataConfig()), [gone], tmp_path / "pass"
    )
    with pytest.raises(UnusableImageError) as refused:
        read_bytes(tmp_path / gone.path)
    assert passed.digests == [refused.value.reason]


def test_up_to_date_without_decoding(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reads: list[str]
) -> None:
    root = class_folders(tmp_path / "data", {"COVID": 9, "Normal": 10})
    workspace = in_workspace(tmp_path)
    first = prepare.run(configured(root), workspace)
    reads.clear()
    monkeypatch.setattr(examine, "decode_radiograph", None)
    assert prepare.run(configured(root), workspace) == first
    assert not reads
    save(root / "COVID" / "001.png", film(99))
    with pytest.raises(TypeError):  # it would decode
        prepare.run(configured(root), workspace)


def test_a_killed_prepare_is_resumed_and_faults_sweep(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reads: list[str]
) -> None:
    workspace = in_workspace(tmp_path)
    config = configured(root, "data.skip_bad=true")
    with monkeypatch.context() as patched:
        kill_after(patched, 2)
        with pytest.raises(Killed):
            prepare.run(config, workspace)
    assert not workspace.index_dir.exists()
    reads.clear()
    resumed = prepare.run(config, workspace)
    assert len(reads) == 20 - 4 * 2
    fresh = prepare.run(config, in_workspace(tmp_path / "other"))
    assert resumed.inputs == fresh.inputs
    assert resumed.metrics == fresh.metrics
    with pytest.raises(DataError):
        prepare.run(configured(root), workspace, force=True)
    assert not workspace.unfinished_index_dir.exists()


def test_a_stopped_pass_stays_and_a_finished_one_goes(tmp_path: Path) -> None:
    place = tmp_path / "pass"

    def stopped_by(fault: BaseException | None) -> None:
        with pass_folder(place):
            place.mkdir(exist_ok=True)
            if fault is not None:
                raise fault

    for fault, stays in ((Killed(), True), (KeyboardInterrupt(), True), (OSError(), False)):
        with pytest.raises(type(fault)):
            stopped_by(fault)
        assert place.exists() is stays
    stopped_by(None)
    assert not place.exists()
