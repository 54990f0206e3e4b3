"""One pass over all files: each is read once, hashed, decoded, examined and cached at all sizes.

Memory does not grow with the pixels: these and the thumbnails go to row files in the order of the
scan; only a few numbers of each image stay in memory. A killed pass can be resumed.
"""

import hashlib
import logging
import shutil
import stat
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from balancer.data.cache import cache_key, cached_pixels
from balancer.data.film.examine import THUMBNAIL, Examined, FileResult, unusable_of, usable_of
from balancer.data.ingest.journal import JOURNAL_NAME, Journal, Row, as_row, from_row
from balancer.data.ingest.pool import run_bounded
from balancer.data.ingest.reader import FileReader
from balancer.data.masks.of_index import LungMasks
from balancer.data.memory import limit_decoding
from balancer.data.row_file import RowFile
from balancer.data.scan import FoundImage, Unusable
from balancer.data.threads import map_threaded, progress
from balancer.errors import EnvironmentFault
from balancer.imaging.pixels import GREY, shape_in
from balancer.imaging.preprocess import Preprocessor
from balancer.manifest import ImageRecord

log = logging.getLogger(__name__)

_CHUNK = 64
_WORTH_LOGGING = 500


@dataclass(frozen=True, slots=True)
class PassResult:
    """Results of a pass, each in the order of the scan.

    Attributes:
        digests: SHA-256 of each file, or why it could not be read.
        outcomes: Each file as a usable image, or why it is none.
        squares: Side to pixels of all images, as in `open_cache`. An image that already is such a
            square is in the file of that side only.
        stored: For each file, the side of `squares` that it has itself; 0: none.
        thumbnails: Thumbnails of all images, which `outcomes` read from here.
        directory: Folder of the row files.
    """

    digests: list[str]
    outcomes: list[Examined | Unusable] = field(repr=False)
    squares: dict[int, RowFile] = field(repr=False)
    stored: list[int] = field(repr=False)
    thumbnails: RowFile = field(repr=False)
    directory: Path

    @property
    def images(self) -> list[Examined]:
        """Usable images."""
        return usable_of(self.outcomes)

    @property
    def unusable(self) -> list[Unusable]:
        """Unusable files."""
        return unusable_of(self.outcomes)

    def keep_pixels(
        self,
        index_dir: Path,
        records: Sequence[ImageRecord],
        preprocessor: Preprocessor | None = None,
        masks: LungMasks | None = None,
    ) -> None:
        """Move the pixels of an index to the cache that `open_cache` reads; ends the pass.

        Args:
            index_dir: Folder of the index.
            records: Rows of the index.
            preprocessor: Preprocessing of the pass.
            masks: Lung masks of all records.
        """
        # Rows move from here on, so the journal becomes invalid.
        (self.directory / JOURNAL_NAME).unlink(missing_ok=True)
        self.thumbnails.close()
        row_of = {outcome.path: row for row, outcome in enumerate(self.outcomes)}
        rows = [row_of[record.path] for record in records]
        sides = {self.stored[row] for row in rows}
        # `open_cache` makes a size from one other side without reading any file.
        kept = [size for size in self.squares if len(sides) != 1 or sides & {0, size}]
        for size in kept:  # complete all before compacting any: they are made from each other
            self._complete(size, rows)
        place = index_dir / "cache"
        for size, pixels in self.squares.items():
            if size in kept:
                place.mkdir(exist_ok=True)
                key = cache_key(records, size, preprocessor, masks)
                pixels.keep(rows, place / f"{size}-{key}.npy")
            else:
                pixels.close()

    def _complete(self, size: int, rows: Sequence[int]) -> None:
        def fill(row: int) -> None:
            film = self.squares[self.stored[row]].read(row)
            self.squares[size].write(row, cached_pixels(film, size))

        holes = [row for row in rows if self.stored[row] not in (0, size)]
        map_threaded(fill, holes, task=f"Resizing {len(holes)} images to {size} px")


class Store:
    """Row files that a pass fills.

    Args:
        directory: Folder of the row files.
        sizes: Sides at which pixels are kept.
        n_images: Number of files of the scan.
        channels: Channels of the pixels.
    """

    def __init__(
        self, directory: Path, sizes: Sequence[int], n_images: int, channels: int = GREY
    ) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.directory = directory
        side = THUMBNAIL
        self.thumbnails = RowFile(directory / "thumbnails.npy", n_images, (side, side))
        self.squares = {
            size: RowFile(directory / f"{size}.npy", n_images, shape_in(channels, size, size))
            for size in sizes
        }

    @property
    def is_new(self) -> bool:
        """Return True if a file is new, so that an existing journal does not describe it."""
        return any(rows.is_new for rows in (self.thumbnails, *self.squares.values()))

    def close(self) -> None:
        """Close all files."""
        for rows in (self.thumbnails, *self.squares.values()):
            rows.close()


@dataclass(frozen=True, slots=True)
class _Chunk:
    number: int
    places: range
    images: Sequence[FoundImage]


@dataclass(frozen=True, slots=True)
class _Worker:
    reader: FileReader
    store: Store

    def __call__(self, chunk: _Chunk) -> tuple[_Chunk, str, list[Row]]:
        key = _key(self.reader, chunk)  # before reading, so that a later change invalidates it
        rows = []
        for place, image in zip(chunk.places, chunk.images, strict=True):
            result, squares = self.reader.read(image)
            if isinstance(result.outcome, Examined):
                self.store.thumbnails.write(place, np.asarray(result.outcome.thumbnail))
            for side, pixels in squares.items():
                self.store.squares[side].write(place, pixels)
            rows.append(as_row(result))
        return chunk, key, rows


def read_all(reader: FileReader, images: Sequence[FoundImage], directory: Path) -> PassResult:
    """Read every file that an earlier, killed pass did not finish.

    Args:
        reader: Reader of one file.
        images: Files, in the order of the scan.
        directory: Folder of row files and journal until `keep_pixels`; see `pass_folder`.

    Raises:
        IntegrityError: A lung mask has changed since it was chosen.
        OSError: The disk has no room for the pixels.
    """
    limit_decoding(reader.config.max_memory_mb)
    store = Store(directory, reader.sizes, len(images), reader.channels)
    if store.is_new:
        (directory / JOURNAL_NAME).unlink(missing_ok=True)
    journal = Journal(directory / JOURNAL_NAME, f"{reader.settings} {_CHUNK} {_names(images)}")
    chunks = [
        _Chunk(number, range(start, start + len(part)), part)
        for number, start in enumerate(range(0, len(images), _CHUNK))
        if (part := images[start : start + _CHUNK])
    ]
    results = _finished_results(reader, store, journal, chunks)
    left = [chunk for chunk in chunks if chunk.places.start not in results]
    before, started = len(results), time.monotonic()
    if before:
        log.info("Resuming: %d of %d images are already read.", before, len(images))
    with progress(len(images), f"Reading {len(images)} images") as advance:
        advance(before)
        for chunk, key, rows in run_bounded(_Worker(reader, store), left, len(images) - before):
            results |= _results_of(chunk, rows, store)
            journal.add(chunk.number, key, rows)
            advance(len(rows))
    seconds = max(time.monotonic() - started, 1e-9)
    if len(images) - before >= _WORTH_LOGGING:
        rate = (len(images) - before) / seconds
        log.info("Read %d images in %.1f s, %.0f a second.", len(images) - before, seconds, rate)
    return collect_results(reader, store, results)


def collect_results(
    reader: FileReader, store: Store, results: Mapping[int, FileResult]
) -> PassResult:
    """Put the results of a pass into the order of the scan.

    Args:
        reader: Reader that made them.
        store: Pixels of the pass.
        results: Position in the scan to result.
    """
    in_order = [results[place] for place in range(len(results))]
    return PassResult(
        [one.digest for one in in_order],
        [one.outcome for one in in_order],
        store.squares,
        [reader.stored_side(one) for one in in_order],
        store.thumbnails,
        store.directory,
    )


@contextmanager
def pass_folder(directory: Path) -> Iterator[Path]:
    """Provide the folder of a pass; it stays only after a pass that was stopped or killed.

    After a fault of the data or the disk, the next pass starts from the beginning.
    """
    try:
        yield directory
    except EnvironmentFault:
        raise  # the files already read are not at fault
    except Exception:  # raised again below; Ctrl-C and SIGTERM are not an `Exception`
        shutil.rmtree(directory, ignore_errors=True)
        raise
    shutil.rmtree(directory, ignore_errors=True)


def _finished_results(
    reader: FileReader, store: Store, journal: Journal, chunks: Sequence[_Chunk]
) -> dict[int, FileResult]:
    results: dict[int, FileResult] = {}
    for number, key, rows in journal.read():
        chunk = chunks[number]
        if _key(reader, chunk) == key:
            results |= _results_of(chunk, rows, store)
    return results


def _results_of(chunk: _Chunk, rows: Sequence[Row], store: Store) -> dict[int, FileResult]:
    return {
        place: from_row(row, store.thumbnails.at(place))
        for place, row in zip(chunk.places, rows, strict=True)
    }


def _key(reader: FileReader, chunk: _Chunk) -> str:
    times = [_times(reader.roots.locate(image.path)) for image in chunk.images]
    return hashlib.sha256("\n".join(times).encode()).hexdigest()[:32]


def _times(path: Path) -> str:
    """Return size and times of a file, or of the archive file that holds it."""
    place = path
    while True:
        try:
            found = place.stat()
        except OSError:
            if place == place.parent:
                return "missing"
            place = place.parent
            continue
        if not stat.S_ISREG(found.st_mode):
            return "missing"
        # ctime too, because a tool that sets mtime does not change ctime back.
        return f"{found.st_size} {found.st_mtime_ns} {found.st_ctime_ns}"


def _names(images: Sequence[FoundImage]) -> str:
    names = "\n".join(f"{image.path}\0{image.label}" for image in images)
    return hashlib.sha256(names.encode()).hexdigest()
