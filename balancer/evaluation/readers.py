"""Blinded reader studies: does a person tell generated images from real ones?

A reading is one CSV, a row per image in the order shown. It is written after every answer, so that
nothing is lost, and it is all that the page and the report read.
"""

import csv
import io
import re
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, ValidationError
from scipy.special import expit, logit
from scipy.stats import binomtest, norm

from balancer.errors import IntegrityError
from balancer.evaluation.records import Interval
from balancer.files import replacing
from balancer.results import Record
from balancer.statistics.delong import auroc_covariance

ANSWERS = {1: "surely real", 2: "probably real", 3: "probably generated", 4: "surely generated"}
"""Answers of a reader; 3 and 4 call an image generated."""
_CALLS_GENERATED = 3
_GUESS = 0.5
_NAME = re.compile(r"[^\W_][\w .-]{0,39}")


class Trial(Record):
    """One image of a reading.

    Attributes:
        image_id: Content hash of a real image, file name of a generated one.
        origin: Source of the image, which the reader does not see.
        answer: Key of `ANSWERS`; None until it is given.
        seconds: Time to the answer.
    """

    image_id: str
    origin: Literal["real", "synthetic"]
    answer: int | None = Field(default=None, ge=1, le=4)
    seconds: float | None = Field(default=None, ge=0)


class BlindedReading(Record):
    """The images that one reader is shown, in their order.

    Attributes:
        reader: Name of the reader.
        label: Class of the images.
        size: Side at which they are read, in pixels.
        trials: One per image.
    """

    reader: str
    label: str
    size: int
    trials: tuple[Trial, ...]

    @property
    def n_answered(self) -> int:
        """Number of images with an answer."""
        return sum(trial.answer is not None for trial in self.trials)

    @property
    def next(self) -> int | None:
        """Position of the first image without an answer; None: all have one."""
        open_ = (place for place, trial in enumerate(self.trials) if trial.answer is None)
        return next(open_, None)

    def answered(self, place: int, answer: int, seconds: float) -> "BlindedReading":
        """Return the reading with one more answer."""
        given = self.trials[place].model_copy(update={"answer": answer, "seconds": seconds})
        return self.model_copy(
            update={"trials": (*self.trials[:place], given, *self.trials[place + 1 :])}
        )


class ReaderScore(Record):
    """How well a reader tells generated images from real ones; 0.5 is a guess.

    Attributes:
        reader: Name of the reader.
        label: Class of the images.
        n: Number of images with an answer.
        n_shown: Number of images of the reading.
        n_synthetic: Number of generated ones among those with an answer.
        auroc: AUROC of the four answers, with the 95 % interval of DeLong on the logit scale;
            without an interval where all answers of a kind agree.
        accuracy: Share of right answers, with the 95 % interval of Clopper and Pearson.
    """

    reader: str
    label: str
    n: int
    n_shown: int
    n_synthetic: int
    auroc: Interval
    accuracy: Interval

    @property
    def sentence(self) -> str:
        """Say whether the reader can tell generated images from real ones."""
        found = self.auroc
        if found.value is None:
            return "Too few images of a kind have an answer."
        if found.low is None or found.high is None:
            return "The AUROC has no interval here; see that of the accuracy."
        if found.low > _GUESS:
            return "The reader tells generated images from real ones."
        if found.high < _GUESS:
            return "The reader takes generated images for the real ones."
        return "The interval holds 0.5: not shown to tell them apart."


class ReaderScores(Record):
    """The scores of all readings of a workspace."""

    readings: tuple[ReaderScore, ...]


def is_reader_name(name: str) -> bool:
    """Return whether a name can be part of the name of a file on any system."""
    return _NAME.fullmatch(name) is not None and not name.endswith((" ", "."))


def score(reading: BlindedReading) -> ReaderScore:
    """Measure a reading; images without an answer are left out."""
    given = [trial for trial in reading.trials if trial.answer is not None]
    answers = np.array([trial.answer for trial in given], np.float64)
    generated = np.array([trial.origin == "synthetic" for trial in given], bool)
    right = int(((answers >= _CALLS_GENERATED) == generated).sum())
    accuracy = Interval(value=None, low=None, high=None)
    if given:
        between = binomtest(right, len(given)).proportion_ci(method="exact")
        accuracy = Interval(value=right / len(given), low=between.low, high=between.high)
    return ReaderScore(
        reader=reading.reader,
        label=reading.label,
        n=len(given),
        n_shown=len(reading.trials),
        n_synthetic=int(generated.sum()),
        auroc=_auroc(answers, generated),
        accuracy=accuracy,
    )


def write_reading(path: Path, reading: BlindedReading) -> None:
    """Write a reading as its CSV, whole or not at all."""
    with replacing(path) as partial:
        partial.write_text(csv_of(reading), encoding="utf-8", newline="")


def csv_of(reading: BlindedReading) -> str:
    """Return a reading as CSV: a row per image."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["reader", "class", "size", *Trial.model_fields])
    for trial in reading.trials:
        facts = ("" if one is None else one for one in trial.model_dump().values())
        writer.writerow([reading.reader, reading.label, reading.size, *facts])
    return text.getvalue()


def read_reading(path: Path) -> BlindedReading:
    """Read the CSV of a reading.

    Raises:
        IntegrityError: It is not as the page wrote it.
    """
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        first = rows[0]
        trials = [
            Trial.model_validate({name: row[name] or None for name in Trial.model_fields})
            for row in rows
        ]
        return BlindedReading(
            reader=first["reader"], label=first["class"], size=int(first["size"]),
            trials=tuple(trials),
        )  # fmt: skip
    except (ValidationError, ValueError, KeyError, IndexError, TypeError, csv.Error) as error:
        raise IntegrityError(
            f"{path} should be a reading as `balancer serve` wrote it, but it cannot be read "
            f"({type(error).__name__}); restore it, or remove it."
        ) from error


def read_scores(folder: Path) -> ReaderScores | None:
    """Measure every reading in a folder that has an answer; None without any."""
    readings = [read_reading(path) for path in sorted(folder.glob("*.csv"))]
    found = tuple(score(reading) for reading in readings if reading.n_answered)
    return ReaderScores(readings=found) if found else None


def _auroc(answers: NDArray[np.float64], generated: NDArray[np.bool_]) -> Interval:
    if min(generated.sum(), (~generated).sum()) < 2:
        return Interval(value=None, low=None, high=None)
    values, covariance = auroc_covariance(answers[None], generated)
    value, variance = float(values[0]), float(covariance[0, 0])
    if not 0 < value < 1 or variance <= 0:
        return Interval(value=value, low=None, high=None)
    reach = norm.ppf(0.975) * np.sqrt(variance) / (value * (1 - value))
    low, high = expit(logit(value) + np.array([-reach, reach]))
    return Interval(value=value, low=float(low), high=float(high))
