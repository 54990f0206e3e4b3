"""One pass over all files: read once, hashed, decoded, examined, and cached at the sizes wanted.

Memory does not grow with pixels: they go to files of rows in the order of the scan, and what is
kept of an image is a thumbnail and a few numbers. A pass that was killed goes on where it was.
"""

import hashlib
import logging
import shutil
import stat
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from balancer.data.cache import cache_key, cached_pixels
from balancer.data.film.examine import THUMBNAIL, Examined, Seen, unusable_of, usable_of
from balancer.data.ingest.journal import JOURNAL_NAME, Journal, as_row, from_row
from balancer.data.ingest.look import Look
from balancer.data.ingest.pool import run_bounded
from balancer.data.ingest.rows import RowFile
from balancer.data.masks.of_index import LungMasks
from balancer.data.scan import FoundImage, Unusable
from balancer.data.threads import map_threaded, progress
from balancer.errors import EnvironmentFault
from balancer.imaging.preprocess import Preprocessor
from balancer.manifest import ImageRecord

log = logging.getLogger(__name__)

_CHUNK = 64
_WORTH_TELLING = 500


@dataclass(frozen=True, slots=True)
class Looked:
    """What a pass found.

    Attributes:
        digests: Of every file, in the order of the scan: SHA-256, or why it could not be read.
        results: Of every file, in the order of the scan.
        squares: Side to pixels, uint8 (N, side, side) in the order of the scan; of a film that is
            such a square itself, only those.
        stored: Per file, the side that its own pixels have among those; 0: none.
        directory: Where all that lies.
    """

    digests: list[str]
    results: list[Examined | Unusable] = field(repr=False)
    squares: dict[int, RowFile] = field(repr=False)
    stored: list[int] = field(repr=False)
    directory: Path

    @property
    def images(self) -> list[Examined]:
        """The usable files."""
        return usable_of(self.results)

    @property
    def unusable(self) -> list[Unusable]:
        """The others."""
        return unusable_of(self.results)

    def keep_pixels(
        self,
        index_dir: Path,
        records: Sequence[ImageRecord],
        preprocessor: Preprocessor | None = None,
        masks: LungMasks | None = None,
    ) -> None:
        """Leave the pixels of an index where `open_cache` finds them; ends the pass.

        Args:
            index_dir: Folder of the index.
            records: Its rows.
            preprocessor: That of the pass.
            masks: Of the lungs, of all records.
        """
        # From here on rows move, so that a journal would speak of others.
        (self.directory / JOURNAL_NAME).unlink(missing_ok=True)
        row_of = {result.path: row for row, result in enumerate(self.results)}
        rows = [row_of[record.path] for record in records]
        sides = {self.stored[row] for row in rows}
        # From one other side `open_cache` makes a size without any file.
        kept = [size for size in self.squares if len(sides) != 1 or sides & {0, size}]
        for size in kept:  # all of them before any is closed up: they are made from one another
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
    """Files of rows that a pass fills.

    Args:
        directory: Where they lie.
        sizes: Sides at which pixels are kept.
        n_images: Number of files of the scan.
    """

    def __init__(self, directory: Path, sizes: Sequence[int], n_images: int) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.directory = directory
        side = THUMBNAIL
        self.thumbnails = RowFile(directory / "thumbnails.npy", n_images, (side, side))
        self.squares = {
            size: RowFile(directory / f"{size}.npy", n_images, (size, size)) for size in sizes
        }

    @property
    def is_new(self) -> bool:
        """Whether a file was missing, so that no journal speaks of these."""
        return any(rows.is_new for rows in (self.thumbnails, *self.squares.values()))

    def close(self) -> None:
        """Give the files back to the system."""
        for rows in (self.thumbnails, *self.squares.values()):
            rows.close()


@dataclass(frozen=True, slots=True)
class _Chunk:
    number: int
    places: range
    images: Sequence[FoundImage]


@dataclass(frozen=True, slots=True)
class _Worker:
    look: Look
    store: Store

    def __call__(self, chunk: _Chunk) -> tuple[_Chunk, str, list[Seen]]:
        key = _key(self.look, chunk)  # before the files are read: what changes meanwhile differs
        seen = []
        for place, image in zip(chunk.places, chunk.images, strict=True):
            one, squares = self.look.at(image)
            if isinstance(one.result, Examined):
                self.store.thumbnails.write(place, one.result.thumbnail)
            for side, pixels in squares.items():
                self.store.squares[side].write(place, pixels)
            seen.append(one)
        return chunk, key, seen


def look_at_all(look: Look, images: Sequence[FoundImage], directory: Path) -> Looked:
    """Look once at every file that no earlier, killed pass has finished.

    Args:
        look: What is done with a file.
        images: The files, in the order of the scan.
        directory: Where rows and journal lie until `keep_pixels`; see `unfinished`.

    Raises:
        IntegrityError: A lung mask has changed since it was chosen.
        OSError: The disk has no room for the pixels.
    """
    store = Store(directory, look.sizes, len(images))
    if store.is_new:
        (directory / JOURNAL_NAME).unlink(missing_ok=True)
    journal = Journal(directory / JOURNAL_NAME, f"{look.settings} {_CHUNK} {_names(images)}")
    chunks = [
        _Chunk(number, range(start, start + len(part)), part)
        for number, start in enumerate(range(0, len(images), _CHUNK))
        if (part := images[start : start + _CHUNK])
    ]
    seen = _finished(look, store, journal, chunks)
    left = [chunk for chunk in chunks if chunk.places.start not in seen]
    before, started = len(seen), time.monotonic()
    if before:
        log.info("Going on: %d of %d images were read before.", before, len(images))
    with progress(len(images), f"Reading {len(images)} images") as advance:
        advance(before)
        for chunk, key, found in run_bounded(_Worker(look, store), left, len(images) - before):
            seen |= dict(zip(chunk.places, found, strict=True))
            journal.add(chunk.number, key, [as_row(one) for one in found])
            advance(len(found))
    seconds = max(time.monotonic() - started, 1e-9)
    if len(images) - before >= _WORTH_TELLING:
        rate = (len(images) - before) / seconds
        log.info("Read %d images in %.1f s, %.0f a second.", len(images) - before, seconds, rate)
    return collected(look, store, seen)


def collected(look: Look, store: Store, seen: dict[int, Seen]) -> Looked:
    """What a pass found, in the order of the scan.

    Args:
        look: How the files were looked at.
        store: Its pixels.
        seen: Place in the scan to what was found there.
    """
    store.thumbnails.close()
    in_order = [seen[place] for place in range(len(seen))]
    return Looked(
        [one.digest for one in in_order],
        [one.result for one in in_order],
        store.squares,
        [look.stored_side(one) for one in in_order],
        store.directory,
    )


@contextmanager
def unfinished(directory: Path) -> Iterator[Path]:
    """A folder for a pass, which only a pass that was stopped or killed leaves behind.

    A fault of the data or the disk is no reason to go on where the pass was.
    """
    try:
        yield directory
    except EnvironmentFault:
        raise  # what was read is not at fault
    except Exception:  # whatever it was, it is raised again; Ctrl-C and SIGTERM are none of these
        shutil.rmtree(directory, ignore_errors=True)
        raise
    shutil.rmtree(directory, ignore_errors=True)


def _finished(
    look: Look, store: Store, journal: Journal, chunks: Sequence[_Chunk]
) -> dict[int, Seen]:
    seen: dict[int, Seen] = {}
    for number, key, rows in journal.read():
        chunk = chunks[number]
        if _key(look, chunk) == key:
            for place, row in zip(chunk.places, rows, strict=True):
                seen[place] = from_row(row, store.thumbnails.read(place))
    return seen


def _key(look: Look, chunk: _Chunk) -> str:
    times = [_times(look.roots.locate(image.path)) for image in chunk.images]
    return hashlib.sha256("\n".join(times).encode()).hexdigest()[:32]


def _times(path: Path) -> str:
    """Size and times of a file, or of the one that holds it."""
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
        # With the time of the last change of the entry: a tool that sets mtime leaves it.
        return f"{found.st_size} {found.st_mtime_ns} {found.st_ctime_ns}"


def _names(images: Sequence[FoundImage]) -> str:
    names = "\n".join(f"{image.path}\0{image.label}" for image in images)
    return hashlib.sha256(names.encode()).hexdigest()
