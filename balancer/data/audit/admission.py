"""Admission of images to an index: refusals, conflicts that are set apart, dropped copies."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from balancer.data.film.examine import Examined
from balancer.data.formats import READ
from balancer.data.scan import Unusable
from balancer.errors import DataError, IntegrityError

_SETTING = re.compile(r"data\.\w+")


@dataclass(frozen=True, slots=True)
class Copy:
    """File with the same bytes as another file of its class; only `kept` enters the index."""

    dropped: str
    kept: str


def refuse_synthetic(images: Sequence[Examined]) -> None:
    """Stop at generated images among the real ones.

    Raises:
        IntegrityError: An image is marked as generated.
    """
    made = [image.path for image in images if image.synthetic]
    if made:
        raise IntegrityError(
            f"The data folder should hold real radiographs only, but {len(made)} are marked as "
            f"synthetic, first {made[0]!r}; remove them."
        )


def refuse_unusable(unusable: Sequence[Unusable], total: int) -> None:
    """Stop at unusable files.

    Raises:
        DataError: There is an unusable file; the first is named.
    """
    if unusable:
        first = unusable[0]
        raise DataError(
            f"Every image should be a readable file ({READ}) within the limits, but "
            f"{len(unusable)} of {total} are not, first {first.path!r}: {first.reason}; "
            f"{_advice(unusable)}, or pass --skip-bad to set them aside."
        )


def _advice(unusable: Sequence[Unusable]) -> str:
    """Name the settings that admit the files, as far as their reasons do; else to mend them."""
    settings = {name for file in unusable for name in _SETTING.findall(file.reason)}
    if not settings:
        return "fix or remove them"
    listed = " and ".join(sorted(settings))
    return f"change {listed} (--set), fix or remove them"


def set_apart_conflicts(
    images: Sequence[Examined],
) -> tuple[list[Examined], list[list[Examined]]]:
    """Set apart images that are in two classes, by their bytes or pixels.

    Returns:
        The other images, and the groups of equal images that are set apart.
    """
    equals: dict[str, list[Examined]] = {}
    for image in images:
        equals.setdefault(image.pixel_hash, []).append(image)
    conflicts = [found for found in equals.values() if len({image.label for image in found}) > 1]
    apart = {found[0].pixel_hash for found in conflicts}
    return [image for image in images if image.pixel_hash not in apart], conflicts


def as_unusable(conflicts: Sequence[Sequence[Examined]]) -> list[Unusable]:
    """Return each of these images with the reason for setting it aside."""
    return [
        Unusable(
            image.path,
            image.label,
            "the same image is of the class "
            + next(f"{o.label!r} too: {o.path}" for o in found if o.label != image.label),
        )
        for found in conflicts
        for image in found
    ]


def drop_copies(images: Sequence[Examined]) -> tuple[list[Examined], list[Copy]]:
    """Keep the first, by path, of files with equal bytes.

    Raises:
        IntegrityError: The same image, by its bytes or its pixels, is in two classes.
    """
    _refuse_two_labels(images)
    kept: dict[str, Examined] = {}
    copies: list[Copy] = []
    for image in images:
        first = kept.setdefault(image.image_id, image)
        if first is not image:
            copies.append(Copy(dropped=image.path, kept=first.path))
    return list(kept.values()), copies


def refuse_small_classes(
    images: Sequence[Examined],
    labels: Sequence[str],
    min_images: int,
    ignored: Mapping[str, int],
) -> None:
    """Stop at a class that is too small to split and train on.

    Raises:
        DataError: A class has fewer than `min_images` images.
    """
    counts = Counter(image.label for image in images)
    out = "; ".join(f"{number} x {kind}" for kind, number in ignored.items())
    left_out = f" (left out: {out})" if out else ""
    for label in labels:
        if counts[label] < min_images:
            raise DataError(
                f"The class {label!r} should have {min_images} or more different usable images, "
                f"but has {counts[label]}{left_out}; add images, choose other "
                "classes by data.classes, or lower data.min_images."
            )


def _refuse_two_labels(images: Sequence[Examined]) -> None:
    # Bytes first: equal bytes imply equal pixels, and are the simpler finding.
    for what, key in (("bytes", "image_id"), ("pixels", "pixel_hash")):
        found: dict[str, Examined] = {}
        pairs = []
        for image in images:
            first = found.setdefault(getattr(image, key), image)
            if first.label != image.label:
                pairs.append((first.path, image.path))
        if pairs:
            raise IntegrityError(
                f"An image should have one class, but {len(pairs)} are in two with the same "
                f"{what}, first {pairs[0][0]!r} and {pairs[0][1]!r}; remove the wrong ones, or "
                "pass --skip-bad to set all of them aside."
            )


def class_table(
    labels: Sequence[str],
    kept: Sequence[Examined],
    unusable: Sequence[Unusable],
    copies: Sequence[Copy],
) -> dict[str, Mapping[str, int]]:
    """Count files, usable images, quarantined files and dropped copies of every class."""
    usable = Counter(image.label for image in kept)
    bad = Counter(file.label for file in unusable)
    label_of = {image.path: image.label for image in kept}
    again = Counter(label_of[copy.kept] for copy in copies)
    return {
        label: {
            "files": usable[label] + bad[label] + again[label],
            "usable": usable[label],
            "quarantined": bad[label],
            "copies": again[label],
        }
        for label in labels
    }
