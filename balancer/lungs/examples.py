"""Images with masks that a U-Net learns from, and others that it is judged on."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from balancer.data.cache import verified_film
from balancer.data.index import Index
from balancer.data.io import Pixels, resize_square
from balancer.data.masks.decode import read_fitting_mask
from balancer.data.roots import Roots
from balancer.data.threads import map_threaded
from balancer.errors import DataError
from balancer.lungs.config import LungsConfig
from balancer.manifest import ImageRecord

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class LungParts:
    """Images with masks to learn from and to be judged on; no group is in both."""

    train: Sequence[ImageRecord]
    val: Sequence[ImageRecord]


@dataclass(frozen=True, slots=True)
class LungExamples:
    """Images and their lung masks.

    Attributes:
        records: One per image.
        films: uint8 (N, S, S).
        masks: bool (N, S, S).
    """

    records: Sequence[ImageRecord]
    films: Pixels
    masks: NDArray[np.bool_]


def choose_parts(
    index: Index, masks: Mapping[str, Path], config: LungsConfig, seed: int
) -> LungParts:
    """Choose the images that the U-Net learns from and is judged on; test images are neither.

    It is judged on the validation split. Where none of that has a mask, groups of the training
    split are held back.

    Args:
        index: The images.
        masks: Image id to the file of an annotated mask.
        config: `max_images` and `validation_share` are used.
        seed: Seed for the draw.

    Raises:
        DataError: Too few groups have masks.
    """
    drawn = [record for record in index.records if record.image_id in masks]
    train = [record for record in drawn if record.split == "train"]
    val = [record for record in drawn if record.split == "val"]
    if not val:
        groups = _shuffled(train, seed)
        held_back = set(groups[: max(1, round(config.validation_share * len(groups)))])
        val = [record for record in train if record.group in held_back]
        train = [record for record in train if record.group not in held_back]
        log.info("No image of the validation split has a mask: held back %d others.", len(val))
    if not train or not val:
        raise DataError(
            "A U-Net needs masks of images of two or more patients or near-duplicate clusters of "
            f"the training split, but of {len(drawn)} images with a mask none can be held back; "
            "draw more."
        )
    n_val = max(1, round(config.max_images * min(len(val) / (len(train) + len(val)), 0.5)))
    return LungParts(
        _at_most(train, max(1, config.max_images - n_val), seed), _at_most(val, n_val, seed)
    )


def read_examples(
    records: Sequence[ImageRecord], masks: Mapping[str, Path], roots: Roots, size: int
) -> LungExamples:
    """Read original images and their masks, both stretched to squares.

    Masks that are all black or all white are left out with their images.

    Raises:
        IntegrityError: An image is not the one that was prepared.
        DataError: A mask cannot be read, or all are of one colour.
    """

    def read(record: ImageRecord) -> tuple[Pixels, NDArray[np.bool_]] | None:
        mask = read_fitting_mask(masks[record.image_id], (size, size))
        return None if mask is None else (resize_square(verified_film(roots, record), size), mask)

    found = map_threaded(read, records, task=f"Reading images and masks at {size} px")
    kept = [(record, pair) for record, pair in zip(records, found, strict=True) if pair is not None]
    if not kept:
        raise DataError(
            f"Lung masks should be white in the lungs and black elsewhere, but all {len(records)} "
            "are of one colour; give others with --masks."
        )
    if len(kept) < len(records):
        log.warning("%d masks of one colour are left out.", len(records) - len(kept))
    return LungExamples(
        [record for record, _ in kept],
        np.stack([film for _, (film, _) in kept]),
        np.stack([mask for _, (_, mask) in kept]),
    )


def _shuffled(records: Sequence[ImageRecord], seed: int) -> list[str]:
    groups = sorted({record.group for record in records})
    order = np.random.default_rng(seed).permutation(len(groups))
    return [groups[rank] for rank in order]


def _at_most(records: Sequence[ImageRecord], number: int, seed: int) -> list[ImageRecord]:
    """Take groups in random order until there are enough; keep the order of the records."""
    if len(records) <= number:
        return list(records)
    rank_of = {group: rank for rank, group in enumerate(_shuffled(records, seed))}
    ranked = sorted(records, key=lambda record: (rank_of[record.group], record.image_id))
    chosen = {record.image_id for record in ranked[:number]}
    return [record for record in records if record.image_id in chosen]
