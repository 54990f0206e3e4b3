"""The split that an archive comes with, such as MedMNIST's, where `data.official_split` asks."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import PurePosixPath

from balancer.data.film.examine import Examined
from balancer.data.metadata import UNKNOWN
from balancer.data.scan import Scan
from balancer.data.split import part_groups
from balancer.errors import DataError
from balancer.manifest import SPLITS

_TRAIN, _VAL, _TEST = SPLITS
_WORDS = {
    _TRAIN: {"train", "training", "trainset"},
    _VAL: {"val", "valid", "validation", "valset", "dev"},
    _TEST: {"test", "testing", "testset", "holdout"},
}
_COLUMNS = ("split", "set", "subset", "partition")
"""Columns of tables that name the split of an image, the surest first."""
_WORD = re.compile(r"[a-z]+")
_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])")
_PRECEDENCE = (_TEST, _VAL, _TRAIN)
"""A group in several splits goes to the first of these: official test images stay as they are."""


def named_split(text: str) -> str:
    """Return the split that a folder or cell names; empty if it names none, or several.

    >>> [named_split(one) for one in ("Training", "ISIC2018_Test_Input", "train_val", "COVID")]
    ['train', 'test', '', '']
    """
    words = {*_WORD.findall(_CAMEL.sub(" ", text).lower())}
    found = [split for split, known in _WORDS.items() if words & known]
    return found[0] if len(found) == 1 else ""


def note_official_split(scan: Scan) -> None:
    """Make the part of every image its official split, `train`, `val` or `test`.

    The split is named by a column of a table (`split`, `set`, `subset`, `partition`), which is then
    used up, else by the outermost folder of the path with such a name, as in `train/00017` of
    MedMNIST or `Training/glioma/1.jpg`.

    Args:
        scan: Scan whose parts, metadata and notes are changed.

    Raises:
        DataError: An image is in no split, or there are no training or no test images.
    """
    column = _column(scan)
    lost = ""
    for path, label in scan.files():
        known = scan.metadata.get(path, UNKNOWN)
        cell = known.columns.get(column, "")
        folders = [one for one in PurePosixPath(path).parts[:-1] if one != label]
        found = next(filter(None, map(named_split, [cell, *folders])), "")
        lost = lost or ("" if found else path)
        scan.parts[path] = found
        if column in known.columns:
            rest = {name: text for name, text in known.columns.items() if name != column}
            scan.metadata[path] = replace(known, columns=rest)
    counts = Counter(scan.parts[path] for path, _ in scan.files())
    if lost:
        raise DataError(
            "Every image should be in a folder such as train or test, or have a split in the "
            f"table, since data.official_split is on, but {counts['']} of {counts.total()} have "
            f"none, first {lost!r}; name the split of each, or switch data.official_split off."
        )
    if missing := [split for split in (_TRAIN, _TEST) if not counts[split]]:
        raise DataError(
            "The archive should have training and test images of its own, since "
            f"data.official_split is on, but has no {missing[0]} images; switch it off."
        )
    taken = "" if counts[_VAL] else "; it has no validation images, so training images are taken"
    scan.notes.append(f"The split is the archive's own (data.official_split){taken}.")


def follow_official_split(
    scan: Scan,
    images: Sequence[Examined],
    groups: Sequence[str],
    *,
    val_share: float,
    seed: int,
) -> dict[str, str]:
    """Return path to split of the images that can stay in their official split.

    Of a group that is in several splits, those of test stay, else those of validation; its other
    images are left out and counted. Where there is no validation split, groups of training images
    are drawn for it.

    Args:
        scan: Scan with official splits as parts; what is left out is counted in it.
        images: Usable images.
        groups: Group of each.
        val_share: Share of the training images for a missing validation split.
        seed: Seed for that draw.

    Raises:
        DataError: A class is in one of the splits no more.
    """
    own = [scan.parts[image.path] for image in images]
    of_group: dict[str, str] = {}
    for split in reversed(_PRECEDENCE):
        of_group |= {group: split for group, one in zip(groups, own, strict=True) if one == split}
    kept: dict[str, str] = {}
    group_of: dict[str, str] = {}
    for image, group, split in zip(images, groups, own, strict=True):
        if split == of_group[group]:
            kept[image.path], group_of[image.path] = split, group
        else:
            reason = f"{split} image of a group that the official {of_group[group]} split has too"
            scan.leave_out(image.label, reason)
    label_of = {image.path: image.label for image in images}
    if _VAL not in kept.values():
        kept |= _drawn(kept, group_of, label_of, val_share, seed)
    _require_classes(kept, label_of)
    return kept


def _column(scan: Scan) -> str:
    """Return the column of the metadata that names splits; empty if there is none."""
    names = {name for known in scan.metadata.values() for name in known.columns}
    found = [name for one in _COLUMNS for name in sorted(names) if name.lower() == one]
    return next((name for name in found if _names_splits(scan, name)), "")


def _names_splits(scan: Scan, column: str) -> bool:
    cells = {known.columns.get(column, "") for known in scan.metadata.values()} - {""}
    return bool(cells) and all(map(named_split, cells))


def _drawn(
    kept: Mapping[str, str],
    group_of: Mapping[str, str],
    label_of: Mapping[str, str],
    share: float,
    seed: int,
) -> dict[str, str]:
    training = [path for path, split in kept.items() if split == _TRAIN]
    names = (_TRAIN, _VAL)
    part = part_groups(
        [group_of[path] for path in training],
        [label_of[path] for path in training],
        shares=(1 - share, share),
        seed=seed,
        names=names,
    )
    return {path: names[part[group_of[path]]] for path in training}


def _require_classes(kept: Mapping[str, str], label_of: Mapping[str, str]) -> None:
    found = {(split, label_of[path]) for path, split in kept.items()}
    for label in sorted({*label_of.values()}):
        for split in SPLITS:
            if (split, label) not in found:
                raise DataError(
                    f"The class {label!r} should be in the official {split} split, since "
                    "data.official_split is on, but no image of it is left there; switch it off, "
                    "or choose other classes by data.classes."
                )
