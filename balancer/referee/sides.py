"""The sides of a judgement: real images, unseen real images, and synthetic images, by class."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from balancer.data.channels import decide_channels
from balancer.data.collection import Collection, read_collection
from balancer.data.config import DataConfig
from balancer.data.copies.duplicates import find_near_duplicates
from balancer.data.copies.grouping import group_images
from balancer.data.film.examine import Examined, examine_prepared
from balancer.data.index import Index, load_index
from balancer.data.scan import FoundImage
from balancer.errors import ConfigurationError, DataError, IntegrityError
from balancer.imaging.config import PreprocessingConfig
from balancer.referee.classes import like, same_classes
from balancer.workspace import Workspace

ByClass = Mapping[str, Collection]
Source = Path | Collection
"""A folder, table or archive, the root of a workspace, or images that are read already."""

FEWEST_UNSEEN = 2
FEWEST_REAL = 8
"""Number of real images of a class below which no floor can be measured."""
_ASIDE = 0.25
_LARGEST = 256
"""Largest side at which images are compared; no measurement sees more than this."""


@dataclass(frozen=True, slots=True)
class Sides:
    """The images that are compared; each has a class, also where a folder has none.

    Attributes:
        real: Real images that the generator may have seen, by class.
        held_out: Real images of the same classes: unseen ones, or a part of the real ones.
        synthetic: The images to judge, by class.
        unseen: Whether the generator has not seen the held-out images, by the user's word.
        size: Side in pixels at which all are compared.
        channels: 1 where all are compared as grey, 3 in colour: as the real images are.
        notes: What was done to bring the sides together.
    """

    real: ByClass
    held_out: ByClass
    synthetic: ByClass
    unseen: bool
    size: int
    channels: int
    notes: tuple[str, ...]


def open_sides(
    real: Source,
    synthetic: Source,
    *,
    holdout: Source | None,
    classes: Sequence[str],
    data: DataConfig,
    seed: int,
) -> Sides:
    """Read both sides and match their classes.

    Args:
        real: Real images; of a workspace, those of its training split.
        synthetic: Synthetic images; of a workspace, the accepted ones of `synthesize`.
        holdout: Real images that the generator did not see; None: those of the validation split
            of a workspace, else a quarter of each class of the real ones.
        classes: Classes to judge; none: all that have synthetic images.
        data: Layout and limits of a usable image.
        seed: Seed for the quarter.

    Raises:
        ConfigurationError: A place does not exist, or the class of the images cannot be told.
        DataError: A side cannot be read, or has too few images of a class.
        IntegrityError: A real image is marked as synthetic.
    """
    notes: list[str] = []
    known, validation = _real(real, data, notes)
    made = _synthetic(synthetic, data)
    unseen = validation if holdout is None else _opened(holdout, data)
    for side in (known, *([] if unseen is None else [unseen])):
        _refuse_marked(side)
    has_classes = known.labels != ("",)
    known, made = same_classes(known, made, classes, notes)
    known = _without_copies(known, notes)
    _refuse_few(known, made)
    size = _common_size(known, made, notes)
    found = [FoundImage(image.path, image.label) for image in known.images]
    kind = (size, decide_channels(data, known.roots, found))
    if unseen is None:
        n_real = len(known.images)
        kept, aside = _set_aside(known, data, seed)
        parts = (_split_up(kept, known.labels), _split_up(aside, known.labels))
        notes.append(
            f"No images are known to be unseen by the generator, so {len(aside.images)} of "
            f"{n_real} real images were set aside as the floor. "
            "Copies of any real image are found, but whether the generator leans towards what it "
            "saw cannot be known."
        )
    else:
        unseen = like(unseen, known, notes, has_classes=has_classes)
        unseen = _unknown_images(unseen, known, data, notes)
        _refuse_few_unseen(unseen, made)
        parts = _by_class(known, unseen, data, seed, notes)
    parts = _on_both_sides(*parts, made.labels, notes)
    judged = _split_up(made, made.labels)
    return Sides(*parts, judged, unseen is not None, *kind, tuple(notes))


def _split_up(side: Collection, labels: Sequence[str]) -> ByClass:
    return {label: side.of(label) for label in labels}


def _real(
    source: Source, data: DataConfig, notes: list[str]
) -> tuple[Collection, Collection | None]:
    if isinstance(source, Path) and (index_dir := Workspace(source).index_dir).is_dir():
        index = load_index(index_dir)
        if index.preprocessing.preprocessing != PreprocessingConfig():
            raise ConfigurationError(
                f"{source} should hold images as they are in their files, but its index is "
                "preprocessed; use `balancer quality` there."
            )
        notes.append(
            f"{source.name} is a workspace: its training images are the real ones, and its "
            "validation images are taken for unseen; no test image was read."
        )
        return _split(index, "train", source.name), _split(index, "val", source.name)
    return _opened(source, data), None


def _split(index: Index, split: str, name: str) -> Collection:
    records = [record for record in index.records if record.split == split]
    images = examine_prepared(index.roots, records)
    return Collection(f"{name} ({split})", index.roots, tuple(images))


def _synthetic(source: Source, data: DataConfig) -> Collection:
    if isinstance(source, Path) and Workspace(source).index_dir.is_dir():
        made = _opened(Workspace(source).synthetic_dir, data)
        return replace(made, name=f"{source.name} (synthetic)")
    return _opened(source, data)


def _opened(source: Source, data: DataConfig) -> Collection:
    return source if isinstance(source, Collection) else read_collection(source, data)


def _refuse_marked(side: Collection) -> None:
    marked = [image.path for image in side.images if image.synthetic]
    if marked:
        raise IntegrityError(
            f"{side.name!r} should hold real images only, but {len(marked)} are marked as "
            f"synthetic, first {marked[0]!r}; remove them."
        )


def _without_copies(side: Collection, notes: list[str]) -> Collection:
    first_of: dict[str, str] = {}
    first = [first_of.setdefault(one.pixel_hash, one.path) == one.path for one in side.images]
    if dropped := first.count(False):
        notes.append(f"{dropped} real images with the pixels of another one were left out.")
    return side.keep(first)


def _refuse_few(known: Collection, made: Collection) -> None:
    for label in made.labels:
        if (n := len(known.of(label).images)) < FEWEST_REAL:
            raise DataError(
                f"{known.name!r} should have {FEWEST_REAL} or more different images of {label!r}, "
                f"but has {n}; add real images."
            )


def _refuse_few_unseen(unseen: Collection, made: Collection) -> None:
    for label in made.labels:
        if (n := len(unseen.of(label).images)) < FEWEST_UNSEEN:
            raise DataError(
                f"--holdout should have {FEWEST_UNSEEN} or more images of {label!r} that the real "
                f"side lacks, but has {n}; add some, or leave out --holdout."
            )


def _common_size(known: Collection, made: Collection, notes: list[str]) -> int:
    sides = {}
    for word, side in (("real", known), ("synthetic", made)):
        shortest = [min(image.width, image.height) for image in side.images]
        sides[word] = int(np.median(shortest))
    size = min(*sides.values(), _LARGEST)
    if {size} != {*sides.values()} or _has_other_sizes(known, size) or _has_other_sizes(made, size):
        notes.append(
            f"Real images have a median short side of {sides['real']} px and synthetic ones of "
            f"{sides['synthetic']} px; all were brought to {size} x {size} px by one function "
            "(bicubic with antialias)."
        )
    return size


def _has_other_sizes(side: Collection, size: int) -> bool:
    return any((image.width, image.height) != (size, size) for image in side.images)


def _set_aside(known: Collection, data: DataConfig, seed: int) -> tuple[Collection, Collection]:
    """Take whole groups of images, of one patient or one film, for a quarter of each class.

    A class of one group stays whole on one side.
    """
    groups = _groups(known, data)
    sizes = Counter(groups)
    aside: set[str] = set()
    for number, label in enumerate(known.labels):
        own = {group for image, group in zip(known.images, groups, strict=True)
               if image.label == label}  # fmt: skip
        n_images = sum(sizes[group] for group in own)
        wanted = min(max(2, round(_ASIDE * n_images)), n_images // 2)
        taken = 0
        order = sorted(own)
        for place in np.random.default_rng([seed, number]).permutation(len(order)):
            if taken < wanted and taken + sizes[order[place]] <= 2 * wanted:
                aside.add(order[place])
                taken += sizes[order[place]]
        if not taken and len(order) > 1:
            aside.add(min(order, key=lambda group: sizes[group]))
    is_aside = [group in aside for group in groups]
    taken_out = replace(known.keep(is_aside), unusable=(), left_out={})
    return known.keep([not one for one in is_aside]), taken_out


def _on_both_sides(
    real: ByClass, held_out: ByClass, judged: Sequence[str], notes: list[str]
) -> tuple[ByClass, ByClass]:
    """Leave out classes that have no image on one of the sides."""
    alone = [name for name in real if not (real[name].images and held_out[name].images)]
    if needed := [name for name in alone if name in judged]:
        raise DataError(
            f"A part of the real images of {needed[0]!r} should be set aside, but all are of one "
            "patient or show one film; add others, or give --holdout."
        )
    if alone:
        notes.append(
            f"Nothing is compared with {', '.join(alone)}, which has too few real images to set "
            "some aside."
        )
    both = [{n: some for n, some in one.items() if n not in alone} for one in (real, held_out)]
    return both[0], both[1]


def _groups(side: Collection, data: DataConfig) -> list[str]:
    links = [
        (pair.first, pair.second)
        for pair in find_near_duplicates(side.images, data.duplicate_correlation)
    ]
    return group_images([image.image_id for image in side.images], side.patients, links)


def _unknown_images(
    unseen: Collection, known: Collection, data: DataConfig, notes: list[str]
) -> Collection:
    """Leave out held-out images that show a real image of the other side, or repeat one."""
    pixels = {image.pixel_hash for image in known.images}
    fresh = _without_copies(
        unseen.keep([image.pixel_hash not in pixels for image in unseen.images]), []
    )
    pool: list[Examined] = [*known.images, *fresh.images]
    shown = {
        pair.second - len(known.images)
        for pair in find_near_duplicates(pool, data.duplicate_correlation)
        if pair.first < len(known.images) <= pair.second
    }
    kept = fresh.keep([place not in shown for place in range(len(fresh.images))])
    if dropped := len(unseen.images) - len(kept.images):
        notes.append(f"{dropped} held-out images show an image of the real ones or repeat another, "
                     "and were left out.")  # fmt: skip
    patients = {*known.patients} - {""}
    if shared := sum(patient in patients for patient in kept.patients):
        notes.append(f"{shared} held-out images name a patient of the real ones: if these are the "
                     "same people, the generator saw others of their images.")  # fmt: skip
    return kept


def _by_class(
    known: Collection, held_out: Collection, data: DataConfig, seed: int, notes: list[str]
) -> tuple[ByClass, ByClass]:
    """Sort both by class; of a class without held-out images, set a part of the real ones aside."""
    short = [name for name in known.labels if len(held_out.of(name).images) < FEWEST_UNSEEN]
    real = {name: known.of(name) for name in known.labels}
    unseen = {name: held_out.of(name) for name in known.labels}
    for name in short:
        real[name], unseen[name] = _set_aside(real[name], data, seed)
    if short:
        notes.append(f"A quarter was set aside of classes with fewer than {FEWEST_UNSEEN} held-out "
                     f"images: {', '.join(short)}.")  # fmt: skip
    return real, unseen
