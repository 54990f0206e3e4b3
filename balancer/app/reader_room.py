"""The blinded reader study of `serve`: images of a workspace in random order, one answer each.

Real images are training images: neither validation nor test images are looked at here. Both kinds
go to the page as new PNG files of one size, without names and marks.
"""

import secrets
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import cv2

from balancer.app.pictures import shown
from balancer.data.cache import open_cache
from balancer.data.index import Index
from balancer.data.io import Pixels
from balancer.data.roots import Roots
from balancer.errors import ConfigurationError, DataError
from balancer.evaluation.readers import (
    ANSWERS,
    BlindedReading,
    Trial,
    is_reader_name,
    read_reading,
    write_reading,
)
from balancer.imaging.pixels import for_opencv
from balancer.manifest import SyntheticRecord
from balancer.results import MissingStage
from balancer.synthetic.gates import load_synthetic
from balancer.workspace import Workspace

FEWEST, MOST = 4, 400
"""Numbers of images of a reading."""


@dataclass(slots=True)
class ReaderRoom:
    """The readings of a workspace.

    Attributes:
        workspace: Workspace of the images; `readers/` is written.
        index: Its index; None without one.
    """

    workspace: Workspace
    index: Index | None
    _pictures: dict[str, list[Pixels]] = field(default_factory=dict)
    _shown_at: dict[tuple[str, int], float] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def classes(self) -> dict[str, int]:
        """Return the classes that have real and generated images, and the most images to show.

        Raises:
            BalancerError: The images were changed.
        """
        found = {}
        for label, made in self._synthetic().items():
            n_real = len(self._open_index().select("train", label))
            most = min(2 * min(n_real, len(made)), MOST)
            if most >= FEWEST:
                found[label] = most
        return found

    def readings(self) -> list[tuple[str, BlindedReading]]:
        """Return the names and contents of all readings, the newest first.

        Raises:
            IntegrityError: One was changed.
        """
        files = list(self.workspace.readers_dir.glob("*.csv"))
        files.sort(key=lambda path: path.stat().st_mtime, reverse=True)
        return [(path.stem, read_reading(path)) for path in files]

    def begin(self, reader: str, label: str, count: int) -> str:
        """Draw the images of a reading, half of them generated, and return its name.

        Raises:
            ConfigurationError: The name, the class or the number does not fit.
        """
        known = self.classes()
        reader = reader.strip()
        if not is_reader_name(reader):
            raise ConfigurationError(
                "A reader's name should be up to 40 letters, digits, blanks, dots and dashes, but "
                f"is {reader[:60]!r}; choose another."
            )
        if label not in known:
            raise ConfigurationError(
                f"The class should be one of {', '.join(known) or 'none'}, not {label[:60]!r}."
            )
        if not FEWEST <= count <= known[label]:
            raise ConfigurationError(
                f"The number of images should be {FEWEST} to {known[label]}, not {count}."
            )
        made = self._synthetic()[label]
        real = self._open_index().select("train", label)
        draw = secrets.SystemRandom()
        trials = [
            *(Trial(image_id=one.image_id, origin="real") for one in draw.sample(real, count // 2)),
            *(
                Trial(image_id=one.path, origin="synthetic")
                for one in draw.sample(made, count - count // 2)
            ),
        ]
        draw.shuffle(trials)
        reading = BlindedReading(
            reader=reader, label=label, size=min(one.width for one in made), trials=tuple(trials)
        )
        name = f"{reader.replace(' ', '-')}-{secrets.token_hex(4)}"
        self.workspace.readers_dir.mkdir(exist_ok=True)
        write_reading(self._file(name), reading)
        return name

    def open(self, name: str) -> BlindedReading:
        """Read a reading.

        Raises:
            DataError: There is none of this name.
            IntegrityError: It was changed.
        """
        known = {path.stem for path in self.workspace.readers_dir.glob("*.csv")}
        if name not in known:
            raise DataError(f"There is no reading {name[:80]!r}; begin one.")
        return read_reading(self._file(name))

    def picture(self, name: str, place: int) -> bytes:
        """Return the image of a trial as a PNG file, and start its clock.

        Raises:
            DataError: There is no such trial.
            IntegrityError: The image was changed.
        """
        reading = self.open(name)
        if not 0 <= place < len(reading.trials):
            raise DataError(f"A reading of {len(reading.trials)} images has none at {place}.")
        if name not in self._pictures:
            # All at once: the time to read one must not tell what it is.
            self._pictures[name] = self._pixels(reading)
        content = _png(self._pictures[name][place])
        self._shown_at.setdefault((name, place), time.monotonic())
        return content

    def answer(self, name: str, place: int, answer: int) -> BlindedReading:
        """Note an answer; a second one to the same image changes nothing.

        Raises:
            ConfigurationError: It is no answer.
            DataError: There is no such trial.
        """
        if answer not in ANSWERS:
            raise ConfigurationError(f"An answer is 1, 2, 3 or 4, not {answer}.")
        with self._lock:
            reading = self.open(name)
            if reading.next != place:
                return reading
            now = time.monotonic()
            seconds = round(now - self._shown_at.pop((name, place), now), 2)
            reading = reading.answered(place, answer, seconds)
            write_reading(self._file(name), reading)
            return reading

    def _file(self, name: str) -> Path:
        return self.workspace.readers_dir / f"{name}.csv"

    def _open_index(self) -> Index:
        if self.index is None:
            raise MissingStage(
                "prepare",
                f"A reader study needs real images, but {self.workspace.root} has no index; run "
                "`balancer prepare`.",
                cheap=True,
            )
        return self.index

    def _synthetic(self) -> Mapping[str, Sequence[SyntheticRecord]]:
        found: dict[str, list[SyntheticRecord]] = {}
        for record in load_synthetic(self.workspace, self._open_index()):
            found.setdefault(record.label, []).append(record)
        return found

    def _pixels(self, reading: BlindedReading) -> list[Pixels]:
        """Read images as the classifiers read them, at the size of the generator."""
        index, place = self._open_index(), self.workspace.synthetic_dir
        images = index.image_set(reading.size)
        found: dict[str, Pixels] = dict(
            zip((record.image_id for record in images.records), images.pixels, strict=True)
        )
        made = self._synthetic().get(reading.label, [])
        pixels = open_cache(place, Roots.of([place]), made, reading.size, index.preprocessor.alone)
        found |= dict(zip((record.path for record in made), pixels, strict=True))
        missing = [one.image_id for one in reading.trials if one.image_id not in found]
        if missing:
            raise DataError(
                f"{missing[0]} of this reading is no longer in the workspace; begin another one."
            )
        return [found[trial.image_id] for trial in reading.trials]


def _png(pixels: Pixels) -> bytes:
    done, encoded = cv2.imencode(".png", for_opencv(shown(pixels)))
    if not done:
        raise DataError("The image cannot be encoded as PNG; begin another reading.")
    return encoded.tobytes()
