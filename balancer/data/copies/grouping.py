"""Groups of images that stay in one split: by patient, by copies, and by pairs in a table."""

import csv
import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TextIO

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from balancer.errors import ConfigurationError, DataError

_DIGITS = 12
PAIR_COLUMNS = ["first", "second"]
"""Columns of a table of pairs."""


def group_images(
    image_ids: Sequence[str],
    patient_ids: Sequence[str],
    links: Iterable[tuple[int, int]],
    units: Sequence[str] = (),
) -> list[str]:
    """Name the group of every image.

    Patients and copies are joined: if a film has two patient ids, all images of both are one
    group; otherwise one patient's film would be in two splits.

    Args:
        image_ids: Content hashes; equal ones are in one group.
        patient_ids: Patient ids, empty if unknown.
        links: Pairs of positions that show the same film.
        units: Lesions, slides or specimens, as `ImageMetadata.unit`; empty if unknown. One that
            images of two patients have is numbered anew for each patient, and joins nothing.

    Returns:
        `patient-`, or `lesion-` and the like if no patient is known, or `cluster-` if neither is,
        and a hash of the smallest image id in the group, so that the name does not reveal a
        patient's id.
    """
    units = units or [""] * len(image_ids)
    edges = [
        *_equal(image_ids),
        *_equal(patient_ids),
        *_equal(_of_one_patient(units, patient_ids)),
        *links,
    ]
    component = _components(len(image_ids), edges)
    kind: dict[int, str] = {}
    smallest: dict[int, str] = {}
    for number, patient, unit, image in zip(component, patient_ids, units, image_ids, strict=True):
        smallest[number] = min(image, smallest.get(number, image))
        found = "patient" if patient else kind_of(unit)
        if found and kind.get(number) != "patient":
            kind[number] = found
    return [
        f"{kind.get(number, 'cluster')}-{_short_hash(smallest[number])}" for number in component
    ]


def kind_of(unit: str) -> str:
    """Return the kind of a unit: `slide` of `slide:S12`."""
    return unit.partition(":")[0]


def clusters_of(links: Sequence[tuple[int, int]]) -> list[list[int]]:
    """Return clusters of positions that links join directly or through others."""
    places = sorted({place for link in links for place in link})
    number = {place: row for row, place in enumerate(places)}
    component = _components(len(places), [(number[a], number[b]) for a, b in links])
    clusters: dict[int, list[int]] = {}
    for place, name in zip(places, component, strict=True):
        clusters.setdefault(name, []).append(place)
    return list(clusters.values())


def read_pairs(path: Path, images: Sequence[str]) -> list[tuple[int, int]]:
    """Read pairs of images of one film, from a table that `balancer audit` wrote, edited by hand.

    Args:
        path: Path to a CSV table with columns `first` and `second`: paths as in `index.csv`.
        images: Paths of the usable images; a pair with any other path is skipped.

    Returns:
        Pairs of positions in `images`.

    Raises:
        ConfigurationError: The file cannot be read.
        DataError: The file has other columns.
    """
    place = {name: number for number, name in enumerate(images)}
    with _opened(path) as file:
        rows = csv.reader(file)
        if next(rows, []) != PAIR_COLUMNS:
            raise DataError(
                f"{path} should begin with the line 'first,second', but does not; pass the table "
                "that `balancer audit` wrote."
            )
        pairs = [(row[0], row[1]) for row in rows if len(row) == len(PAIR_COLUMNS)]
    return [(place[a], place[b]) for a, b in pairs if a in place and b in place]


def pairs_hash(path: Path | None) -> dict[str, str]:
    """Return the hash of the table, as an input of the index; empty without a table."""
    if path is None:
        return {}
    with _opened(path) as file:
        return {"same_film_sha256": hashlib.sha256(file.read().encode()).hexdigest()}


def _equal(values: Sequence[str]) -> list[tuple[int, int]]:
    first: dict[str, int] = {}
    return [(first.setdefault(value, place), place) for place, value in enumerate(values) if value]


def _of_one_patient(units: Sequence[str], patient_ids: Sequence[str]) -> list[str]:
    patients: dict[str, set[str]] = {}
    for unit, patient in zip(units, patient_ids, strict=True):
        patients.setdefault(unit, set()).update({patient} - {""})
    return [unit if len(patients[unit]) < 2 else "" for unit in units]


def _components(count: int, edges: Sequence[tuple[int, int]]) -> list[int]:
    pairs: NDArray[np.intp] = np.array(edges, dtype=np.intp).reshape(-1, 2)
    graph = coo_matrix((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(count, count))
    return [int(number) for number in connected_components(graph, directed=False)[1]]


def _short_hash(image_id: str) -> str:
    return hashlib.sha256(f"balancer group:{image_id}".encode()).hexdigest()[:_DIGITS]


def _opened(path: Path) -> TextIO:
    try:
        return path.open(encoding="utf-8", newline="")
    except OSError as error:
        raise ConfigurationError(
            f"data.same_film should be a table of pairs, but {path} cannot be read "
            f"({error.strerror}); name an existing file or leave the setting out."
        ) from None
