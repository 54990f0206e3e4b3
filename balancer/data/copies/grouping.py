"""Join images that must stay in one split: those of a patient, and copies of one film."""

import hashlib
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

_DIGITS = 12


def group_images(
    image_ids: Sequence[str], patient_ids: Sequence[str], links: Iterable[tuple[int, int]]
) -> list[str]:
    """Name the group of every image.

    Patients and copies are joined together: a film filed under two patient ids makes one group of
    all images of both, else one patient's film would stand in two splits.

    Args:
        image_ids: Content hashes; equal ones are in one group.
        patient_ids: As given, empty where unknown.
        links: Pairs of positions that show the same film.

    Returns:
        `patient-`, or `cluster-` where no patient is known, and a hash of the smallest image id in
        the group: from the name of a group nobody can look up a patient's id.
    """
    edges = [
        *_equal(image_ids),
        *_equal(patient_ids),
        *links,
    ]
    component = _components(len(image_ids), edges)
    known: set[int] = set()
    smallest: dict[int, str] = {}
    for number, patient, image in zip(component, patient_ids, image_ids, strict=True):
        smallest[number] = min(image, smallest.get(number, image))
        if patient:
            known.add(number)
    return [
        f"{'patient' if number in known else 'cluster'}-{_short_hash(smallest[number])}"
        for number in component
    ]


def clusters_of(links: Sequence[tuple[int, int]]) -> list[list[int]]:
    """Positions that are joined by links, directly or through others."""
    places = sorted({place for link in links for place in link})
    number = {place: row for row, place in enumerate(places)}
    component = _components(len(places), [(number[a], number[b]) for a, b in links])
    clusters: dict[int, list[int]] = {}
    for place, name in zip(places, component, strict=True):
        clusters.setdefault(name, []).append(place)
    return list(clusters.values())


def _equal(values: Sequence[str]) -> list[tuple[int, int]]:
    first: dict[str, int] = {}
    return [(first.setdefault(value, place), place) for place, value in enumerate(values) if value]


def _components(count: int, edges: Sequence[tuple[int, int]]) -> list[int]:
    pairs: NDArray[np.intp] = np.array(edges, dtype=np.intp).reshape(-1, 2)
    graph = coo_matrix((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(count, count))
    return [int(number) for number in connected_components(graph, directed=False)[1]]


def _short_hash(image_id: str) -> str:
    return hashlib.sha256(f"balancer group:{image_id}".encode()).hexdigest()[:_DIGITS]
