"""Spark and the local engine give results that are equal to the byte."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from balancer.data import cache, index_settings
from balancer.data.config import DataConfig
from balancer.data.index import load_index
from balancer.data.ingest.engine import LocalEngine
from balancer.data.ingest.urls import resolved, url_of
from balancer.data.roots import Roots
from balancer.errors import ConfigurationError, EnvironmentFault
from balancer.evaluation.sizes import sizes_read
from balancer.stages import prepare
from balancer.workspace import Workspace
from support.radiograph_folders import class_folders, configured, film, in_workspace, save

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

REAL = Path(__file__).resolve().parents[2] / "shared" / "data" / "radiography-bam"
FILES = ("index.csv", "audit.json", "audit.md", "details.csv", "quarantine.csv")


@pytest.fixture(scope="module")
def spark() -> Iterator["SparkSession"]:
    """One session for all tests here, which `prepare` uses."""
    pytest.importorskip("pyspark", reason="needs the extra [spark]")
    pytest.importorskip("pyarrow", reason="needs the extra [spark]")
    if shutil.which("java") is None:
        pytest.skip("needs Java")
    from balancer.data.ingest.spark_session import begin_session

    session, _ = begin_session("local[2]")
    yield session
    session.stop()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Two classes with names that URLs and patterns change, copies, faults and a table."""
    root = class_folders(tmp_path / "data", {"COVID": 9, "Normal": 10})
    shutil.copy(root / "COVID" / "003.png", root / "COVID" / "a copy.png")
    shutil.move(root / "COVID" / "004.png", root / "COVID" / "a b%20ü [1].png")
    shutil.move(root / "COVID", root / "COVID {19}*")
    (root / "Normal" / "bad.png").write_bytes(b"no image")
    (root / "Normal" / "notes.txt").write_text("no image either")
    save(root / "Normal" / "masks" / "000.png", film(5))
    save(root / "Normal" / "small.png", film(6, 8))
    paths = sorted(path.relative_to(root).as_posix() for path in root.glob("*/*.png"))
    rows = [f'"{path}",p{number // 2},s{number % 3}' for number, path in enumerate(paths)]
    (root / "metadata.csv").write_text("\n".join(["path,patient_id,source", *rows]))
    return root


def written(workspace: Workspace) -> dict[str, bytes]:
    pixels = (workspace.index_dir / "cache").iterdir()
    files = [workspace.index_dir / name for name in FILES]
    return {path.name: path.read_bytes() for path in (*files, *pixels)}


def test_a_folder_gives_the_same_index(spark: "SparkSession", root: Path, tmp_path: Path) -> None:
    config = configured(root, "data.skip_bad=true", "gan.image_size=32", "classifier.image_size=40")
    local, ours = in_workspace(tmp_path / "local"), in_workspace(tmp_path / "spark")
    expected = prepare.run(config, local)
    result = prepare.run(config, ours, engine="spark")
    assert written(ours) == written(local)
    assert len(written(ours)) == len(FILES) + 2
    assert (result.inputs, result.metrics) == (expected.inputs, expected.metrics)
    assert not ours.unfinished_index_dir.exists()


def test_a_url_gives_the_same_index(
    spark: "SparkSession", root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        index_settings, "resolved", lambda place: place
    )  # else a file URL is a folder
    assignments = ("data.skip_bad=true", "gan.image_size=32", "classifier.image_size=48")
    local, ours = in_workspace(tmp_path / "local"), in_workspace(tmp_path / "spark")
    expected = prepare.run(configured(root, *assignments), local)
    at_url = configured(Path(f"file:{root}"), *assignments)
    result = prepare.run(at_url, ours, engine="spark")
    assert written(ours) == written(local)
    assert result.inputs == expected.inputs
    assert prepare.run(at_url, ours, engine="spark") == result  # up to date by the same hashes


def test_later_stages_need_no_files(
    spark: "SparkSession", root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace = in_workspace(tmp_path)
    config = configured(root, "data.skip_bad=true", "gan.image_size=32", "classifier.image_size=48")
    prepare.run(config, workspace, engine="spark")
    shutil.rmtree(root)
    monkeypatch.setattr(cache, "read_bytes", None)
    index = load_index(workspace.index_dir)
    for size in sizes_read(config):
        assert index.image_set(size).pixels.shape == (len(index.records), size, size)


@pytest.mark.skipif(not REAL.is_dir(), reason="needs the real radiographs beside the project")
def test_real_films(spark: "SparkSession", tmp_path: Path) -> None:
    root = tmp_path / "films"
    for path in sorted(REAL.glob("*/*.png"))[::40]:
        (root / path.parent.name).mkdir(parents=True, exist_ok=True)
        shutil.copy(path, root / path.parent.name / path.name)
    config = configured(root, "data.min_images=3")
    prepare.run(config, in_workspace(tmp_path / "local"))
    prepare.run(config, in_workspace(tmp_path / "spark"), engine="spark")
    ours = written(in_workspace(tmp_path / "spark"))
    assert ours == written(in_workspace(tmp_path / "local"))


def test_refusals_are_one_sentence(
    spark: "SparkSession", root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(index_settings, "resolved", lambda place: place)
    gone = configured(Path("file:/nowhere/at/all"))
    with pytest.raises(EnvironmentFault, match="file:///nowhere/at/all"):
        prepare.run(gone, in_workspace(tmp_path), engine="spark")
    both = Roots({"a": Path("s3a:/bucket/a"), "b": root})
    from balancer.data.ingest.spark import SparkEngine

    with pytest.raises(ConfigurationError, match="--data"), SparkEngine(None) as engine:
        engine.scan(both, DataConfig())
    windowed = configured(Path("s3a:/bucket/a"), "preprocessing.contrast=window")
    with pytest.raises(ConfigurationError, match="s3a://bucket/a"):
        prepare.run(windowed, in_workspace(tmp_path), engine="spark")


def test_urls() -> None:
    assert url_of(Path("s3a://bucket/films")) == "s3a://bucket/films"
    assert url_of(Path("hdfs://host:9000/films")) == "hdfs://host:9000/films"
    assert url_of(Path("file:///films")) == "file:///films"
    assert url_of(Path("/films/a:b")) == url_of(Path("films")) == url_of(Path("C:/films")) == ""
    assert resolved(Path("file:///films")) == Path("/films")
    assert resolved(Path("s3a://bucket/films")) == Path("s3a:/bucket/films")


def test_the_local_engine_names_the_other(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="--engine spark"):
        LocalEngine().scan(Roots.of([Path("s3a://bucket/films")]), DataConfig())
    samples = configured(class_folders(tmp_path / "data", {"A": 8, "B": 8}))
    with pytest.raises(ConfigurationError, match="--master"):
        prepare.run(samples, in_workspace(tmp_path), master="local[2]")
    with pytest.raises(ConfigurationError, match="--engine"):
        prepare.run(samples, in_workspace(tmp_path), engine="dask")
