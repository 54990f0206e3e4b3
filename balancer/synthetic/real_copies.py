"""Search images from outside for copies of real ones, however they were altered.

A word about a generator proves nothing, a list of its training images may lack some, and a command
may have read more than it was given. What can be checked is the images themselves.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from balancer.data.cache import open_cache
from balancer.data.copies.duplicates import find_copies_by_thumbnail
from balancer.data.copies.local_features import SIDE, LocalFeatures, local_features
from balancer.data.copies.transformed_copies import find_transformed_copies
from balancer.data.film.fingerprint import thumbnail_of
from balancer.data.index import Index
from balancer.data.io import Pixels
from balancer.data.threads import map_threaded
from balancer.errors import IntegrityError
from balancer.evaluation.ledger import note_search
from balancer.imaging.pixels import luma
from balancer.manifest import ImageRecord
from balancer.synthetic.gates import held_out
from balancer.synthetic.records import TrainingIds

log = logging.getLogger(__name__)

SEARCH_SIDE = SIDE
"""Side in pixels of the squares that are compared."""
_CORRELATION = 0.90
"""Least similarity of a copy that is not turned; images of a GAN that copies nothing stay below,
and the audit's own limit, made for whole films, would miss a noisy one of 64 px."""


@dataclass(frozen=True, slots=True)
class RealCopy:
    """An image that copies a real one.

    Attributes:
        number: Position of the image.
        real: The real image.
    """

    number: int
    real: ImageRecord


@dataclass(frozen=True, slots=True)
class Search:
    """Who is searched for copies, for the ledger and for errors.

    Attributes:
        name: Name of the source.
        arm: Name of the arm, or of the class.
        fold: Name of the split.
        seed: Seed of the run.
        protocol: Hash of the newest entry of the protocol; empty without one.
    """

    name: str
    arm: str
    fold: str
    seed: int
    protocol: str = ""


def refuse_real_copies(
    images: Pixels,
    paths: Sequence[str],
    index: Index,
    training_ids: TrainingIds,
    search: Search,
    ledger: Path,
) -> int:
    """Refuse images if one copies a validation or test image, or one that their list lacks.

    The search compares with test images, so it is noted in the ledger before it begins.

    Args:
        images: uint8 (N, `SEARCH_SIDE`, `SEARCH_SIDE`).
        paths: Path of each image, for errors.
        index: Today's index, or that of a fold.
        training_ids: Content hashes that the generator is said to be trained on, or `unknown`.
        search: Names of all this.
        ledger: Folder of the ledger.

    Returns:
        Number of validation and test images that they were compared with.

    Raises:
        IntegrityError: An image is a copy.
    """
    apart = held_out(index)
    note_search(
        ledger,
        source=search.name,
        fold=search.fold,
        seed=search.seed,
        arm=search.arm,
        image_ids=[record.image_id for record in apart],
        protocol=search.protocol,
    )
    log.info("Searching %s for copies of %d held-out images", search.name, len(apart))
    is_apart = [record.split != "train" for record in index.records]
    found = find_real_copies(images, index, is_apart, turned=True)
    if found:
        first = found[0]
        raise IntegrityError(
            f"Images of {search.name} should copy no validation or test image, but {len(found)} of "
            f"{len(images)} do, first {paths[first.number]!r} of {first.real.path!r} "
            f"({first.real.split}); its generator saw images that it must not see, so train it "
            "again on the export of the training split."
        )
    if training_ids != "unknown":
        listed = set(training_ids)
        unlisted = [record.image_id not in listed for record in index.records]
        found = find_real_copies(images, index, unlisted, turned=False)
        if found:
            first = found[0]
            raise IntegrityError(
                f"Images of {search.name} should come from the images on its list alone, but "
                f"{len(found)} of {len(images)} copy another, first {paths[first.number]!r} of "
                f"{first.real.path!r}; give the whole list, or none."
            )
    return len(apart)


def find_real_copies(
    images: Pixels, index: Index, wanted: Sequence[bool], *, turned: bool
) -> list[RealCopy]:
    """Find images that copy a real one: rescaled, recompressed, brightened, inverted, mirrored.

    Args:
        images: uint8 (N, `SEARCH_SIDE`, `SEARCH_SIDE`).
        index: The index.
        wanted: Whether to compare with each of its images.
        turned: Search for turned, zoomed and cut copies too, which takes longer.

    Returns:
        A copy for each image that is one; with `turned`, at least one of each family of copies.
    """
    rows = np.flatnonzero(wanted)
    found: dict[int, int] = {}
    for real in _views(index):
        known = real[rows]
        found |= _alike(known, images) | _alike(known, np.asarray(255 - images))
        if turned and len(found) < len(images):
            found = _turned(known, images) | found
    return [RealCopy(number, index.records[rows[found[number]]]) for number in sorted(found)]


def _views(index: Index) -> list[Pixels]:
    """Return all real images as squares: as in their files and, if they differ, preprocessed."""
    plain = open_cache(index.directory, index.roots, index.records, SEARCH_SIDE)
    seen = luma(index.image_set(SEARCH_SIDE).pixels)
    return [plain, seen] if index.preprocessor.changes else [plain]


def _alike(real: Pixels, images: Pixels) -> dict[int, int]:
    """Map the position of each image to that of the real one that it shows as a whole."""
    if not len(real) or not len(images):
        return {}
    thumbnails = np.stack([thumbnail_of(image) for image in (*real, *images)])
    pairs = find_copies_by_thumbnail(thumbnails, _CORRELATION)
    return {
        pair.second - len(real): pair.first
        for pair in pairs
        if pair.first < len(real) <= pair.second
    }


def _turned(real: Pixels, images: Pixels) -> dict[int, int]:
    """Map the position of some images to that of a real one of which they show a part."""

    def features(image: Pixels) -> LocalFeatures:
        return local_features(image)

    every = map_threaded(features, [*real, *images], task="Finding local features")
    groups = ["real"] * len(real) + [f"image-{number}" for number in range(len(images))]
    pairs = find_transformed_copies(every, groups)
    return {
        pair.second - len(real): pair.first
        for pair in pairs
        if pair.first < len(real) <= pair.second
    }
