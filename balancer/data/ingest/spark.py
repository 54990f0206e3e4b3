"""The pass over all files on Spark: the same functions on the executors of a cluster.

If every executor can see the folder, it reads the files by path. Files at a URL (object store,
HDFS) come through Spark's `binaryFile` source. Both ways return a row per file, with a thumbnail
and the pixels at all sizes, and the driver writes the same files as the local pass.
"""

import hashlib
import tempfile
from collections.abc import Container, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from balancer.data.config import DataConfig
from balancer.data.film.examine import FileResult, examine_bytes
from balancer.data.formats import IMAGE_SUFFIXES
from balancer.data.ingest.archive_hash import digests_of
from balancer.data.ingest.passes import PassResult, Store, collect_results
from balancer.data.ingest.reader import FileReader
from balancer.data.ingest.spark_rows import (
    as_batches,
    contents,
    one_row,
    relative,
    schema,
    unpack_row,
)
from balancer.data.ingest.spark_session import begin_session, one_sentence
from balancer.data.ingest.urls import url_of
from balancer.data.io import Pixels
from balancer.data.layouts.archives import read_archives
from balancer.data.memory import limit_decoding, one_image
from balancer.data.roots import Roots
from balancer.data.scan import FoundImage, Scan
from balancer.data.threads import progress
from balancer.errors import BalancerError, ConfigurationError, DataError

if TYPE_CHECKING:
    import pyarrow
    from pyspark.sql import DataFrame, SparkSession

_PER_PARTITION = 256
_TABLE_BYTES = 64 * 2**20
"""Largest file that is copied to the driver for a layout, such as metadata.csv."""

Batches = Iterator["pyarrow.RecordBatch"]


class SparkEngine:
    """Engine that reads archives with Spark; the session starts when it is first needed.

    Args:
        master: Spark master; None: all cores of this machine, or what `spark-submit` was given.
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
        """Running session, or a new one, which ends with the engine."""
        if self._session is None:
            self._session, self._is_own = begin_session(self._master)
        return self._session

    def scan(self, roots: Roots, config: DataConfig) -> Scan:
        """List the files of the archives; for a URL, from an empty copy of its tree.

        Raises:
            ConfigurationError: There are several archives, one of them at a URL.
            DataError: See `read_archives`.
        """
        urls = [url for place in roots.archives.values() if (url := url_of(place))]
        if not urls:
            return read_archives(roots, config)
        if len(roots.archives) > 1:
            raise ConfigurationError(
                f"--data should be one URL or folders of this machine, not {roots}; prepare "
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
        """Hash the bytes of files without decoding them."""
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

    def read(self, reader: FileReader, images: Sequence[FoundImage], directory: Path) -> PassResult:
        """Read every file on the executors, and write the results that they send."""
        url = url_of(next(iter(reader.roots.archives.values())))
        store = Store(directory, reader.sizes, len(images), reader.channels)
        results: dict[int, FileResult] = {}
        with one_sentence(url or str(reader.roots)):
            rows = self._read_url(reader, images, url) if url else self._read_paths(reader, images)
            # All executors work and keep their results; then rows come one partition at a time.
            from pyspark import StorageLevel

            rows = rows.persist(StorageLevel.DISK_ONLY)
            rows.count()
            with progress(len(images), f"Collecting {len(images)} images") as advance:
                for row in rows.toLocalIterator(prefetchPartitions=True):
                    results[row["place"]] = unpack_row(row.asDict(), store)
                    advance(1)
            rows.unpersist()
        _refuse_unseen(url, images, {images[place].path: "" for place in results})
        return collect_results(reader, store, results)

    def _read_paths(self, reader: FileReader, images: Sequence[FoundImage]) -> "DataFrame":
        shared = self.session.sparkContext.broadcast((reader, list(images)))

        def read_all(batches: Batches) -> Batches:
            reader, images = shared.value
            limit_decoding(reader.config.max_memory_mb)
            places = (place for batch in batches for place in batch.column("id").to_pylist())
            yield from as_batches(
                ((place, *reader.read(images[place])) for place in places), reader
            )

        parts = max(1, -(-len(images) // _PER_PARTITION))
        places = self.session.range(0, len(images), 1, parts)
        return places.mapInArrow(read_all, schema(reader.sizes))

    def _read_url(self, reader: FileReader, images: Sequence[FoundImage], url: str) -> "DataFrame":
        prefix = self._prefix(url)
        shared = self.session.sparkContext.broadcast(
            (reader, {image.path: (place, image) for place, image in enumerate(images)})
        )

        def read_one(
            reader: FileReader, path: Path, content: bytes, place: int, image: FoundImage
        ) -> tuple[int, FileResult, dict[int, Pixels]]:
            with one_image():
                result = examine_bytes(
                    content, path, image, reader.config, channels=reader.channels
                )
                return place, *reader.squares_of(result)

        def read_all(batches: Batches) -> Batches:
            reader, places = shared.value
            limit_decoding(reader.config.max_memory_mb)
            known = (
                (Path(path), content, *places[name])
                for path, content in contents(batches)
                if (name := relative(path, prefix)) in places
            )
            yield from as_batches((read_one(reader, *one) for one in known), reader)

        return self._files(url, images).mapInArrow(read_all, schema(reader.sizes))

    def _files(self, url: str, images: Sequence[FoundImage]) -> "DataFrame":
        folders = sorted({image.path.rpartition("/")[0] for image in images})
        reader = self.session.read.format("binaryFile")
        return reader.load([_escaped(f"{url}/{folder}") for folder in folders]).select(
            "path", "content"
        )

    def _copy_tree(self, url: str, tree: Path) -> None:
        """Make an empty file for every image, and copy tables, so that layouts can be read."""
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
        """Return the URL in the form that Spark puts before the paths of files."""
        jvm: Any = self.session.sparkContext._jvm
        hadoop: Any = self.session.sparkContext._jsc
        path = jvm.org.apache.hadoop.fs.Path(url)
        system = path.getFileSystem(hadoop.hadoopConfiguration())
        return str(system.makeQualified(path).toString())


def _escaped(url: str) -> str:
    """Escape characters that Hadoop would read as a pattern."""
    return "".join(f"\\{char}" if char in "*?[]{}\\" else char for char in url)


def _refuse_unseen(url: str, images: Sequence[FoundImage], seen: Container[str]) -> None:
    unseen = [image.path for image in images if image.path not in seen]
    if unseen:
        raise DataError(
            f"Spark should have read {len(images)} files of {url!r}, but {len(unseen)} were not "
            f"found, first {unseen[0]!r}; run prepare again once the archive no longer changes."
        )
