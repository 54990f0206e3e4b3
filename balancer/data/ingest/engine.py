"""Who reads the files of the archives: the cores of this machine, or Spark (`spark.py`)."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from balancer.data.config import DataConfig
from balancer.data.ingest.archive_hash import digests_of
from balancer.data.ingest.look import Look
from balancer.data.ingest.passes import Looked, look_at_all
from balancer.data.ingest.urls import url_of
from balancer.data.layouts.registry import read_archives
from balancer.data.roots import Roots
from balancer.data.scan import FoundImage, Scan
from balancer.errors import ConfigurationError

LOCAL, SPARK = "local", "spark"


class Engine(Protocol):
    """What `prepare` asks for; all engines answer the same."""

    def scan(self, roots: Roots, config: DataConfig) -> Scan:
        """List the files of the archives."""

    def digests(self, roots: Roots, images: Sequence[FoundImage]) -> list[str]:
        """Hash the bytes of files without decoding any."""

    def look(self, look: Look, images: Sequence[FoundImage], directory: Path) -> Looked:
        """Look at every file; pixels and thumbnails go to the directory."""


class LocalEngine:
    """The cores of this machine."""

    def scan(self, roots: Roots, config: DataConfig) -> Scan:
        """See `read_archives`.

        Raises:
            ConfigurationError: An archive lies at a URL.
        """
        for place in roots.archives.values():
            if url_of(place):
                raise ConfigurationError(
                    f"--data wants a folder or file of this machine, not {url_of(place)!r}; "
                    "`balancer prepare --engine spark` reads URLs, and later commands then need "
                    "no --data."
                )
        return read_archives(roots, config)

    def digests(self, roots: Roots, images: Sequence[FoundImage]) -> list[str]:
        """See `digests_of`."""
        return digests_of(roots, images)

    def look(self, look: Look, images: Sequence[FoundImage], directory: Path) -> Looked:
        """See `look_at_all`."""
        return look_at_all(look, images, directory)


@contextmanager
def engine_of(name: str, master: str | None) -> Iterator[Engine]:
    """The engine of a name.

    Args:
        name: `local` or `spark`.
        master: Of Spark, such as `spark://host:7077` or `local[4]`; None: all cores of this
            machine, or what `spark-submit` was given.

    Raises:
        ConfigurationError: There is no such engine, or the local one is given a master.
        EnvironmentFault: Spark or Java is missing, or the master does not answer.
    """
    if name == LOCAL and master is None:
        yield LocalEngine()
    elif name == SPARK:
        from balancer.data.ingest.spark import SparkEngine

        with SparkEngine(master) as engine:
            yield engine
    else:
        wanted = f"--engine wants {LOCAL} or {SPARK}, not {name!r}."
        raise ConfigurationError(
            "--master is for --engine spark; give both, or neither." if master else wanted
        )
