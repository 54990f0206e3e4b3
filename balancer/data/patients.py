"""Patients, lesions and slides of a scan: placeholders and unwanted ones are dropped."""

from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from balancer.data.copies.grouping import kind_of
from balancer.data.scan import Scan
from balancer.errors import DataError

_FEWEST_IMAGES = 3
_ZERO = "0"


def set_patients(scan: Scan, wanted: bool) -> None:
    """Drop the patients of a scan that are placeholders, or all if they are not wanted.

    The same holds for lesions, slides and specimens.

    Args:
        scan: Scan of one archive; its metadata and notes are changed.
        wanted: Whether patients are used.
    """
    _set_units(scan, wanted)
    images: dict[str, list[str]] = defaultdict(list)
    for path, known in scan.metadata.items():
        if known.patient_id:
            images[known.patient_id].append(path)
    total = sum(len(paths) for paths in images.values())
    if not total:
        return
    if not wanted:
        _drop(scan, [*images], f"The patients of {total} images are ignored (data.patients).")
    elif len(images) == 1 and total >= _FEWEST_IMAGES and len(scan.labels) > 1:
        reason = f"One patient id names all {total} images that have one: a placeholder, not used."
        _drop(scan, [*images], reason)
    elif _ZERO in images and _is_placeholder(scan, images):
        number = len(images[_ZERO])
        _drop(scan, [_ZERO], f"The patient id 0 of {number} images is a placeholder, not used.")


def _set_units(scan: Scan, wanted: bool) -> None:
    units = [known.unit for known in scan.metadata.values() if known.unit]
    one = len({*units}) == 1 and len(units) >= _FEWEST_IMAGES and len(scan.labels) > 1
    if not units or (wanted and not one):
        return
    kind = kind_of(units[0])
    for path, known in scan.metadata.items():
        scan.metadata[path] = replace(known, unit="")
    scan.notes.append(
        f"One {kind} names all {len(units)} images that have one: a placeholder, not used."
        if wanted
        else f"The {kind}s of {len(units)} images are ignored (data.patients)."
    )


def _is_placeholder(scan: Scan, images: Mapping[str, Sequence[str]]) -> bool:
    """Return whether the id 0 has far more images than another, or alone is of several classes."""
    label_of = dict(scan.files())
    spread = {one: len({label_of.get(path) for path in paths}) for one, paths in images.items()}
    others = [one for one in images if one != _ZERO]
    most = max(len(images[one]) for one in others)
    alone = spread[_ZERO] > 1 and all(spread[one] == 1 for one in others)
    return len(images[_ZERO]) > 2 * most or alone


def _drop(scan: Scan, patients: Collection[str], reason: str) -> None:
    for path, known in scan.metadata.items():
        if known.patient_id in patients:
            scan.metadata[path] = replace(known, patient_id="")
    scan.notes.append(reason)


def refuse_one_patient_per_class(
    labels: Sequence[str], patients: Sequence[str], groups: Sequence[str]
) -> None:
    """Stop at a class whose images have one patient id, or two, so that it cannot be split.

    Args:
        labels: Class of every image.
        patients: Patient of every image, else its lesion or slide; empty if unknown.
        groups: Group of every image that is kept in one split.

    Raises:
        DataError: There is such a class.
    """
    of_class: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for label, patient, group in zip(labels, patients, groups, strict=True):
        of_class[label].append((patient, group))
    for label, rows in sorted(of_class.items()):
        ids = Counter(patient for patient, _ in rows if patient)
        if len({group for _, group in rows}) >= _FEWEST_IMAGES or not ids:
            continue
        several = max(ids.values()) > 1
        number = "One id names" if len(ids) == 1 else f"{len(ids)} ids name"
        if several:
            raise DataError(
                f"The class {label!r} should have images of three or more patients, lesions or "
                f"slides, one for each split, but {number.lower()} all {sum(ids.values())} of its "
                "images that have one; add images of others, correct ids that are placeholders in "
                "the table, or pass --set data.patients=ignored to split by images alone."
            )
