"""Pairs of images that somebody looked at and wants in one split."""

import csv
import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import TextIO

from balancer.errors import ConfigurationError, DataError

_COLUMNS = ["first", "second"]


def read_pairs(path: Path, images: Sequence[str]) -> list[tuple[int, int]]:
    """Read a table as `balancer audit` writes it, with lines taken out or added by hand.

    Args:
        path: CSV with the columns `first` and `second`: paths as in `index.csv`.
        images: Paths of the usable images; a pair with another is skipped.

    Returns:
        Positions in `images`.

    Raises:
        ConfigurationError: There is no such file.
        DataError: It has other columns.
    """
    place = {name: number for number, name in enumerate(images)}
    with _opened(path) as file:
        rows = csv.reader(file)
        if next(rows, []) != _COLUMNS:
            raise DataError(
                f"{path} should begin with the line 'first,second', but does not; pass the table "
                "that `balancer audit` wrote."
            )
        pairs = [(row[0], row[1]) for row in rows if len(row) == len(_COLUMNS)]
    return [(place[a], place[b]) for a, b in pairs if a in place and b in place]


def pairs_hash(path: Path | None) -> dict[str, str]:
    """What the index depends on; empty without a table."""
    if path is None:
        return {}
    with _opened(path) as file:
        return {"same_film_sha256": hashlib.sha256(file.read().encode()).hexdigest()}


def _opened(path: Path) -> TextIO:
    try:
        return path.open(encoding="utf-8", newline="")
    except OSError as error:
        raise ConfigurationError(
            f"data.same_film wants a table of pairs, but {path} cannot be read "
            f"({error.strerror}); name an existing file or leave the setting out."
        ) from None
