"""The images on the sheet: chosen ones, or drawn right and wrong test cases of each class."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from balancer.data.cache import cached_pixels
from balancer.data.index import Index
from balancer.data.io import UnusableImageError, decode_radiograph, read_bytes
from balancer.data.masks.of_index import LungMasks
from balancer.errors import ConfigurationError, DataError, IntegrityError
from balancer.imaging.preprocess import Preprocessor
from balancer.manifest import ImageRecord, fingerprint
from classifier.tables import ArrayTable

log = logging.getLogger(__name__)

_SHORTEST_ID = 6
RIGHT, WRONG, CHOSEN = "right", "wrong", "chosen"


@dataclass(frozen=True, slots=True)
class Case:
    """One image that is shown.

    Attributes:
        name: Name for readers.
        path: Path to its file.
        image_id: Content hash.
        label: True class; None if the index lacks the image.
        split: Its split; None likewise.
        group: Its group; None likewise.
        drawn_as: `right` or `wrong`, as the first model decided, or `chosen`.
        preprocessor: Its preprocessing; of a generated image none but its channels.
        masks: Lung masks of the images of the index; None: there are none.
    """

    name: str
    path: Path
    image_id: str
    label: str | None
    split: str | None
    group: str | None
    drawn_as: str
    preprocessor: Preprocessor
    masks: LungMasks | None


def draw_cases(
    index: Index,
    records: Sequence[ImageRecord],
    predicted: Sequence[str],
    *,
    per_class: int,
    seed: int,
) -> list[Case]:
    """Draw right and wrong cases of each class at random; where there are too few, return all.

    Args:
        index: Index with the classes and the data folder.
        records: Images to draw from.
        predicted: Class that the first model predicted for each.
        per_class: Number of right cases, and of wrong ones, of each true class.
        seed: Seed for the draw.
    """
    cases = []
    for number, label in enumerate(index.classes):
        for outcome in (RIGHT, WRONG):
            rows = [
                row
                for row, record in enumerate(records)
                if record.label == label and (predicted[row] == label) == (outcome == RIGHT)
            ]
            rng = np.random.default_rng([seed, number, int(outcome == WRONG)])
            chosen = sorted(rng.permutation(len(rows))[:per_class])
            cases += [_case(index, records[rows[place]], outcome) for place in chosen]
            if len(rows) < per_class:
                log.info("Of %s there are %d %s test cases", label, len(rows), outcome)
    return cases


def chosen_cases(index: Index, words: Sequence[str]) -> list[Case]:
    """Find images by (the beginning of) their content hash, path in the data folder, or file.

    Raises:
        ConfigurationError: A word names no image, or several.
        DataError: A file is not a radiograph.
    """
    return [_chosen(index, word) for word in words]


def case_table(cases: Sequence[Case], size: int) -> ArrayTable:
    """Return the images of the cases, read like all images; the labels are 0 and not used.

    Raises:
        IntegrityError: A file of the index has changed.
        UnusableImageError: A file is not a radiograph.
        DataError: The preprocessing needs a lung mask, and an image has none.
    """
    pixels = np.stack([_pixels(case, size) for case in cases])
    return ArrayTable.of(pixels, np.zeros(len(cases), np.int64))


def _pixels(case: Case, size: int) -> NDArray[np.uint8]:
    content = read_bytes(case.path)
    if fingerprint(content) != case.image_id:
        raise IntegrityError(
            f"{str(case.path)!r} should be the file that was prepared, but has changed; restore "
            "it, or run prepare again with --force."
        )
    # No limit of size: these bytes were accepted before, under the limit of that time.
    film = decode_radiograph(
        content, case.path, max_megapixels=None, channels=case.preprocessor.channels
    )
    known = case.masks is not None and case.image_id in case.masks.files
    mask = case.masks.read(case.image_id) if case.masks is not None and known else None
    return cached_pixels(film.as_read, size, case.preprocessor, mask)


def _case(index: Index, record: ImageRecord, drawn_as: str) -> Case:
    return Case(
        name=Path(record.path).stem,
        path=index.roots.locate(record.path),
        image_id=record.image_id,
        label=record.label,
        split=record.split,
        group=record.group,
        drawn_as=drawn_as,
        preprocessor=index.preprocessor,
        masks=index.masks,
    )


def _chosen(index: Index, word: str) -> Case:
    by_path = [record for record in index.records if record.path == word]
    by_id = [record for record in index.records if record.image_id.startswith(word.lower())]
    found = by_path or (by_id if len(word) >= _SHORTEST_ID else [])
    if len(found) > 1:
        raise ConfigurationError(
            f"--image {word} should name one image, but {len(found)} ids begin with it; give more "
            "of the id."
        )
    if found:
        return _case(index, found[0], CHOSEN)
    path = Path(word)
    if not path.is_file():
        raise ConfigurationError(
            f"--image needs an image_id of index.csv, a path in {index.roots} or a file, but "
            f"{word!r} is none of these."
        )
    content = read_bytes(path)
    image_id = fingerprint(content)
    known = [record for record in index.records if record.image_id == image_id]
    if known:
        return _case(index, known[0], CHOSEN)
    try:
        film = decode_radiograph(content, path)
    except UnusableImageError as error:
        raise DataError(
            f"--image {word} should be a readable PNG or JPEG radiograph, but {error.reason}."
        ) from error
    # Generators are trained on preprocessed images, so theirs need no preprocessing.
    wanted = index.preprocessor.alone if film.synthetic else index.preprocessor
    split = "synthetic" if film.synthetic else None
    return Case(path.stem, path.resolve(), image_id, None, split, None, CHOSEN, wanted, None)
