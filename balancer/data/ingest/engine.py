"""Engines that read the files of archives: the cores of this machine, or Spark (`spark.py`)."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from balancer.data.config import DataConfig
from balancer.data.ingest.archive_hash import digests_of
from balancer.data.ingest.passes import PassResult, read_all
from balancer.data.ingest.reader import FileReader
from balancer.data.ingest.urls import url_of
from balancer.data.layouts.archives import read_archives
from balancer.data.roots import Roots
from balancer.data.scan import FoundImage, Scan
from balancer.errors import ConfigurationError

LOCAL, SPARK = "local", "spark"


class Engine(Protocol):
    """Operations that `prepare` needs; all engines return equal results."""

    def scan(self, roots: Roots, config: DataConfig) -> Scan:
        """List the files of the archives."""

    def digests(self, roots: Roots, images: Sequence[FoundImage]) -> list[str]:
        """Hash the bytes of files without decoding them."""

    def read(self, reader: FileReader, images: Sequence[FoundImage], directory: Path) -> PassResult:
        """Read and examine every file; write pixels and thumbnails to the directory."""


class LocalEngine:
    """Engine that uses the cores of this machine."""

    def scan(self, roots: Roots, config: DataConfig) -> Scan:
        """List the files of the archives; see `read_archives`.

        Raises:
            ConfigurationError: An archive is at a URL.
        """
        for place in roots.archives.values():
            if url_of(place):
                raise ConfigurationError(
                    f"--data should be a folder or file of this machine, not {url_of(place)!r}; "
                    "`balancer prepare --engine spark` reads URLs, and later commands then need "
                    "no --data."
                )
        return read_archives(roots, config)

    def digests(self, roots: Roots, images: Sequence[FoundImage]) -> list[str]:
        """Hash the bytes of files; see `digests_of`."""
        return digests_of(roots, images)

    def read(self, reader: FileReader, images: Sequence[FoundImage], directory: Path) -> PassResult:
        """Read and examine every file; see `read_all`."""
        return read_all(reader, images, directory)


@contextmanager
def engine_of(name: str, master: str | None) -> Iterator[Engine]:
    """Open the engine with a given name.

    Args:
        name: `local` or `spark`.
        master: Spark master, such as `spark://host:7077` or `local[4]`; None: all cores of this
            machine, or what `spark-submit` was given.

    Raises:
        ConfigurationError: There is no such engine, or the local one was given a master.
        EnvironmentFault: Spark or Java is missing, or the master does not answer.
    """
    if name == LOCAL and master is None:
        yield LocalEngine()
    elif name == SPARK:
        from balancer.data.ingest.spark import SparkEngine

        with SparkEngine(master) as engine:
            yield engine
    else:
        wanted = f"--engine should be {LOCAL} or {SPARK}, not {name!r}."
        raise ConfigurationError(
            "--master applies to --engine spark only; give both, or neither." if master else wanted
        )
