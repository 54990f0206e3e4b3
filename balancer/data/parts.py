"""Folders that are parts of an archive, such as `train` or `images_001`, and no classes."""

import re
from collections.abc import Collection

_SPLITS = {
    *("train", "training", "trainset", "test", "testing", "testset", "val", "valid", "validation"),
    *("valset", "dev", "eval", "evaluation", "holdout", "unlabeled", "unlabelled"),
}
_CONTAINERS = {
    *("images", "image", "imgs", "img", "data", "dataset", "datasets", "database", "files", "file"),
    *("pictures", "pics", "photos", "archive", "all", "raw", "input", "png", "jpg", "jpeg", "dcm"),
    *("dicom", "dicoms", "tif", "tiff"),
}
_PIECES = {
    *("part", "parts", "fold", "folds", "batch", "subset", "chunk", "shard", "split", "section"),
    *("partition", "volume", "vol", "disc", "disk", "piece"),
}
_FILLING = {"set", "sets", "the", "of", "new", "folder", "folders", "dir", "directory", "xray"}
_WORD = re.compile(r"[a-z]+|\d+")
_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])")


def is_part(name: str) -> bool:
    """Return whether a folder is a part of an archive by its name.

    A part is named by words for splits, containers, pieces and numbers alone (`train`,
    `test_images`, `images_001`, `Fold 2`, `new folder (3)`), or ends in a piece with its number or
    letter (`HAM10000_images_part_1`).

    >>> [is_part(name) for name in ("train", "images_01", "HAM_part_1", "COVID", "grade_1", "01")]
    [True, True, True, False, False, False]
    """
    words = _WORD.findall(_CAMEL.sub(" ", name).lower())
    plain = [word for word in words if not word.isdigit()]
    if len(plain) > 1 and len(plain[-1]) == 1 and plain[-1] in "abcdefgh":  # subset_a
        numbered, plain = words[-1] == plain[-1], plain[:-1]
    else:
        numbered = bool(words) and words[-1].isdigit()
    known = _SPLITS | _CONTAINERS | _PIECES | _FILLING
    if not plain:
        return False
    if set(plain) <= known:
        # A lone piece or filling word (`volume`, `new`) may be a class, with a number it is a part.
        return bool({*plain} & (_SPLITS | _CONTAINERS)) or numbered
    return numbered and plain[-1] in _PIECES


def parts_among(names: Collection[str]) -> set[str]:
    """Return the folders of one archive that are parts of it.

    Beside those that `is_part` knows, all others are parts if they have one beginning and differ
    only in words for parts, as `ISIC2018_Training_Input` and `ISIC2018_Test_Input` do.
    """
    found = {name for name in names if is_part(name)}
    others = [name for name in names if name not in found]
    beginnings = {without_part(name) for name in others}
    if len(others) > 1 and len(beginnings) == 1 and all(has_part(name) for name in others):
        found |= {*others}
    return found


def without_part(name: str) -> str:
    """Return the beginning of a name without words for parts at its end: `covid` of `covid_train`.

    A name without such words, or of such words alone, is returned as it is, in lower case.
    """
    words = _WORD.findall(_CAMEL.sub(" ", name).lower())
    rest = list(words)
    while rest and (rest[-1].isdigit() or rest[-1] in _SPLITS | _CONTAINERS | _PIECES | _FILLING):
        rest.pop()
    removed = words[len(rest) :]
    known = any(not word.isdigit() for word in removed)
    return " ".join(rest if rest and known else words)


def has_part(name: str) -> bool:
    """Return whether a name ends in words for parts of an archive, after others."""
    return without_part(name) != " ".join(_WORD.findall(_CAMEL.sub(" ", name).lower()))
