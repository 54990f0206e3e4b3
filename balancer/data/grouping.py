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
        `patient-` and a hash of the smallest patient id in the group, or `cluster-` and a hash of
        its smallest image id where no patient is known. Names depend on the content alone.
    """
    edges = [
        *_equal(image_ids),
        *_equal(patient_ids),
        *links,
    ]
    component = _components(len(image_ids), edges)
    smallest_patient: dict[int, str] = {}
    smallest_image: dict[int, str] = {}
    for number, patient, image in zip(component, patient_ids, image_ids, strict=True):
        smallest_image[number] = min(image, smallest_image.get(number, image))
        if patient:
            smallest_patient[number] = min(patient, smallest_patient.get(number, patient))
    return [
        patient_group(smallest_patient[number])
        if number in smallest_patient
        else f"cluster-{_short_hash('image', smallest_image[number])}"
        for number in component
    ]


def patient_group(patient_id: str) -> str:
    """The name under which a patient appears in outputs: a pseudonym, never the id itself."""
    return f"patient-{_short_hash('patient', patient_id)}"


def _equal(values: Sequence[str]) -> list[tuple[int, int]]:
    first: dict[str, int] = {}
    return [(first.setdefault(value, place), place) for place, value in enumerate(values) if value]


def _components(count: int, edges: Sequence[tuple[int, int]]) -> list[int]:
    pairs: NDArray[np.intp] = np.array(edges, dtype=np.intp).reshape(-1, 2)
    graph = coo_matrix((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(count, count))
    return [int(number) for number in connected_components(graph, directed=False)[1]]


def _short_hash(kind: str, text: str) -> str:
    return hashlib.sha256(f"balancer {kind}:{text}".encode()).hexdigest()[:_DIGITS]
