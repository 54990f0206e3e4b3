"""The pass over all files on Spark: the same functions, on the executors of a cluster.

Files of a folder that every executor sees are read there by path. Those of a URL (object store,
HDFS) come through Spark's `binaryFile` source. Either way a row per file comes back, with a
thumbnail and the pixels of the sizes wanted, and the driver writes what the local pass would have
written.
"""

import hashlib
import tempfile
from collections.abc import Container, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from balancer.data.config import DataConfig
from balancer.data.film.examine import Seen, look_at_bytes
from balancer.data.ingest.archive_hash import digests_of
from balancer.data.ingest.look import Look
from balancer.data.ingest.passes import Looked, Store, collected
from balancer.data.ingest.spark_rows import as_batches, contents, one_row, relative, schema, stored
from balancer.data.ingest.spark_session import begin_session, one_sentence
from balancer.data.ingest.urls import url_of
from balancer.data.layouts.registry import read_archives
from balancer.data.roots import Roots
from balancer.data.scan import IMAGE_SUFFIXES, FoundImage, Scan
from balancer.data.threads import progress
from balancer.errors import BalancerError, ConfigurationError, DataError

if TYPE_CHECKING:
    import pyarrow
    from pyspark.sql import DataFrame, SparkSession

_PER_PARTITION = 256
_TABLE_BYTES = 64 * 2**20
"""Largest file that is copied to the driver for a layout to read, such as metadata.csv."""

Batches = Iterator["pyarrow.RecordBatch"]


class SparkEngine:
    """Reads archives with Spark; a session is begun when it is first needed.

    Args:
        master: Of Spark; None: all cores of this machine, or what `spark-submit` was given.
    """

    def __init__(self, master: str | None) -> None:
        self._master = master
        self._session: SparkSession | None = None
        self._is_own = False

    def __enter__(self) -> "SparkEngine":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._session is not None and self._is_own:
            self._session.stop()

    @property
    def session(self) -> "SparkSession":
        """The running session, or a new one, which ends with the engine."""
        if self._session is None:
            self._session, self._is_own = begin_session(self._master)
        return self._session

    def scan(self, roots: Roots, config: DataConfig) -> Scan:
        """List the files of the archives; those of a URL as an empty copy of its tree says.

        Raises:
            ConfigurationError: Several archives, one of them at a URL.
            DataError: See `read_archives`.
        """
        urls = [url for place in roots.archives.values() if (url := url_of(place))]
        if not urls:
            return read_archives(roots, config)
        if len(roots.archives) > 1:
            raise ConfigurationError(
                f"--data wants one URL or several folders of this machine, not {roots}; prepare "
                "the URL alone."
            )
        with tempfile.TemporaryDirectory() as folder:
            tree = Path(folder) / (Path(urls[0]).name or "archive")
            tree.mkdir()
            with one_sentence(urls[0]):
                self._copy_tree(urls[0], tree)
            try:
                return read_archives(Roots.of([tree]), config)
            except BalancerError as error:
                raise type(error)(str(error).replace(str(tree), urls[0])) from None

    def digests(self, roots: Roots, images: Sequence[FoundImage]) -> list[str]:
        """Hash the bytes of files without decoding any."""
        url = url_of(next(iter(roots.archives.values())))
        if not url:
            return digests_of(roots, images)
        with one_sentence(url):
            prefix = self._prefix(url)

            def hash_all(batches: Batches) -> Batches:
                for path, content in contents(batches):
                    yield one_row(path=path, digest=hashlib.sha256(content).hexdigest())

            found = self._files(url, images).mapInArrow(hash_all, "path string, digest string")
            rows = found.toArrow().to_pylist()
        digest_of = {relative(row["path"], prefix): row["digest"] for row in rows}
        _refuse_unseen(url, images, digest_of)
        return [digest_of[image.path] for image in images]

    def look(self, look: Look, images: Sequence[FoundImage], directory: Path) -> Looked:
        """Look at every file on the executors, and write what they send."""
        url = url_of(next(iter(look.roots.archives.values())))
        store = Store(directory, look.sizes, len(images))
        seen: dict[int, Seen] = {}
        with one_sentence(url or str(look.roots)):
            rows = self._look_at_url(look, images, url) if url else self._look_at(look, images)
            # All executors work, and keep what they find; rows then come one partition at a time.
            from pyspark import StorageLevel

            rows = rows.persist(StorageLevel.DISK_ONLY)
            rows.count()
            with progress(len(images), f"Collecting {len(images)} images") as advance:
                for row in rows.toLocalIterator(prefetchPartitions=True):
                    seen[row["place"]] = stored(row.asDict(), store)
                    advance(1)
            rows.unpersist()
        _refuse_unseen(url, images, {images[place].path: "" for place in seen})
        return collected(look, store, seen)

    def _look_at(self, look: Look, images: Sequence[FoundImage]) -> "DataFrame":
        told = self.session.sparkContext.broadcast((look, list(images)))

        def look_at_all(batches: Batches) -> Batches:
            look, images = told.value
            places = (place for batch in batches for place in batch.column("id").to_pylist())
            yield from as_batches(((place, *look.at(images[place])) for place in places), look)

        parts = max(1, -(-len(images) // _PER_PARTITION))
        places = self.session.range(0, len(images), 1, parts)
        return places.mapInArrow(look_at_all, schema(look.sizes))

    def _look_at_url(self, look: Look, images: Sequence[FoundImage], url: str) -> "DataFrame":
        prefix = self._prefix(url)
        told = self.session.sparkContext.broadcast(
            (look, {image.path: (place, image) for place, image in enumerate(images)})
        )

        def look_at_all(batches: Batches) -> Batches:
            look, places = told.value
            known = (
                (Path(path), content, *places[name])
                for path, content in contents(batches)
                if (name := relative(path, prefix)) in places
            )
            looked = (
                (place, *look.squares_of(look_at_bytes(content, path, image, look.config)))
                for path, content, place, image in known
            )
            yield from as_batches(looked, look)

        return self._files(url, images).mapInArrow(look_at_all, schema(look.sizes))

    def _files(self, url: str, images: Sequence[FoundImage]) -> "DataFrame":
        folders = sorted({image.path.rpartition("/")[0] for image in images})
        reader = self.session.read.format("binaryFile")
        return reader.load([_escaped(f"{url}/{folder}") for folder in folders]).select(
            "path", "content"
        )

    def _copy_tree(self, url: str, tree: Path) -> None:
        """Make an empty file for every image, and copy tables, so that any layout can be read."""
        prefix = self._prefix(url)
        files = self.session.read.format("binaryFile").option("recursiveFileLookup", "true")
        listed = files.load(_escaped(url)).select("path", "length").toArrow().to_pydict()
        tables = []
        for path, length in zip(listed["path"], listed["length"], strict=True):
            place = tree / relative(path, prefix)
            place.parent.mkdir(parents=True, exist_ok=True)
            place.touch()
            if not path.lower().endswith(IMAGE_SUFFIXES) and length <= _TABLE_BYTES:
                tables.append(path)
        if tables:
            for row in files.load([_escaped(path) for path in tables]).toLocalIterator():
                (tree / relative(row["path"], prefix)).write_bytes(bytes(row["content"]))

    def _prefix(self, url: str) -> str:
        """The URL as Spark writes it before the paths of files."""
        jvm: Any = self.session.sparkContext._jvm
        hadoop: Any = self.session.sparkContext._jsc
        path = jvm.org.apache.hadoop.fs.Path(url)
        system = path.getFileSystem(hadoop.hadoopConfiguration())
        return str(system.makeQualified(path).toString())


def _escaped(url: str) -> str:
    """Characters that Hadoop would take for a pattern."""
    return "".join(f"\\{char}" if char in "*?[]{}\\" else char for char in url)


def _refuse_unseen(url: str, images: Sequence[FoundImage], seen: Container[str]) -> None:
    unseen = [image.path for image in images if image.path not in seen]
    if unseen:
        raise DataError(
            f"Spark should have read {len(images)} files of {url!r}, but {len(unseen)} were not "
            f"found, first {unseen[0]!r}; run prepare again once the archive no longer changes."
        )
