"""Split groups of images into training, validation and test, each class in proportion."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from balancer.errors import DataError, IntegrityError
from balancer.manifest import HELD_BACK, SPLITS, ImageRecord

_ATTEMPTS = 20


def split_groups(
    groups: Sequence[str], labels: Sequence[str], *, shares: tuple[float, float, float], seed: int
) -> dict[str, str]:
    """Choose a split for every group; see `part_groups`.

    Args:
        groups: Group of every image.
        labels: Class of every image.
        shares: Target shares of the training, validation and test split.
        seed: Seed for the choice among equals.

    Returns:
        Group to split.

    Raises:
        DataError: A class has too few groups to be in all three splits.
    """
    part = part_groups(groups, labels, shares=shares, seed=seed, names=SPLITS)
    return {group: SPLITS[place] for group, place in part.items()}


def part_groups(
    groups: Sequence[str],
    labels: Sequence[str],
    *,
    shares: Sequence[float],
    seed: int,
    names: Sequence[str] | None = None,
) -> dict[str, int]:
    """Choose one of several parts for every group, each class in proportion.

    As in scikit-learn's StratifiedGroupKFold, the largest groups come first and each goes where it
    brings the class counts closest to the target; unlike there, the parts can be unequal, and a
    class of eight images is enough. The order of the images makes no difference.

    Args:
        groups: Group of every image.
        labels: Class of every image.
        shares: Target share of each part; they sum to 1.
        seed: Seed for the choice among equals.
        names: Names of the parts, for errors.

    Returns:
        Group to number of its part.

    Raises:
        DataError: A class has too few groups to be in all parts.
    """
    names = names or [f"part {number + 1}" for number in range(len(shares))]
    classes = sorted(set(labels))
    counts = _class_counts(groups, labels, classes)
    _require_groups(counts, classes, names)
    targets = _targets(np.sum(list(counts.values()), axis=0), shares)
    for attempt in range(_ATTEMPTS):
        order = _order(counts, np.random.default_rng([seed, attempt]))
        chosen, reached = _assign(order, counts, targets)
        if reached.min() > 0:
            return chosen
    place, label = np.argwhere(reached == 0)[0]
    raise DataError(
        f"The class {classes[label]!r} should be in every split, but its groups are so large that "
        f"none is left for {names[place]}; add images of other patients, or change data.split."
    )


def verify_splits(records: Sequence[ImageRecord]) -> None:
    """Check that no group and no image is in two splits.

    Raises:
        IntegrityError: A group is in two splits, or an image is listed twice; names up to three.
    """
    splits: dict[str, set[str]] = defaultdict(set)
    for record in records:
        splits[record.group].add(record.split)
        if record.split not in (*SPLITS, HELD_BACK):
            raise IntegrityError(
                f"Image {record.path!r} should be in train, val or test, but is in "
                f"{record.split!r}; run prepare again with --force."
            )
    _refuse("group", [group for group, found in splits.items() if len(found) > 1])
    seen = Counter(record.image_id for record in records)
    _refuse("image", [image[:12] for image, number in seen.items() if number > 1])


def _refuse(kind: str, leaks: Sequence[str]) -> None:
    if leaks:
        named = ", ".join(sorted(leaks)[:3])
        raise IntegrityError(
            f"Every {kind} should be listed once and in one split, but {len(leaks)} do not "
            f"({named}{', ...' if len(leaks) > 3 else ''}); run prepare again with --force."
        )


def _class_counts(
    groups: Sequence[str], labels: Sequence[str], classes: Sequence[str]
) -> dict[str, NDArray[np.int64]]:
    column = {label: place for place, label in enumerate(classes)}
    counts: dict[str, NDArray[np.int64]] = {}
    for group, label in zip(groups, labels, strict=True):
        counts.setdefault(group, np.zeros(len(classes), np.int64))[column[label]] += 1
    return counts


def _require_groups(
    counts: Mapping[str, NDArray[np.int64]], classes: Sequence[str], names: Sequence[str]
) -> None:
    present = np.sum([count > 0 for count in counts.values()], axis=0)
    for label, number in zip(classes, present, strict=True):
        if number < len(names):
            raise DataError(
                f"The class {label!r} should have images of {_words(len(names))} or more patients, "
                "lesions, slides or near-duplicate clusters, one for each split, but has "
                f"{number}; add more images."
            )


def _words(number: int) -> str:
    return {2: "two", 3: "three"}.get(number, str(number))


def _targets(totals: NDArray[np.int64], shares: Sequence[float]) -> NDArray[np.float64]:
    """Return target counts (parts, classes); all but the first are at least one for any share."""
    wished = np.outer(shares, totals).astype(np.float64)
    wished[1:] = np.maximum(wished[1:], 1)
    wished[0] = totals - wished[1:].sum(axis=0)
    return wished


def _order(counts: Mapping[str, NDArray[np.int64]], generator: np.random.Generator) -> list[str]:
    names = sorted(counts)
    shuffled = [names[place] for place in generator.permutation(len(names))]
    return sorted(shuffled, key=lambda name: -int(counts[name].sum()))


def _assign(
    order: Sequence[str], counts: Mapping[str, NDArray[np.int64]], targets: NDArray[np.float64]
) -> tuple[dict[str, int], NDArray[np.int64]]:
    """Place each group where the sum of squared misses, relative to the class size, grows least.

    The last groups of a class go to the parts that have none of it, at any cost.
    """
    weights = 1 / np.square(targets.sum(axis=0))
    reached = np.zeros(targets.shape, np.int64)
    left = np.sum([count > 0 for count in counts.values()], axis=0)
    chosen: dict[str, int] = {}
    for group in order:
        count = counts[group]
        cost = (weights * count * (2 * (reached - targets) + count)).sum(axis=1)  # (parts,)
        empty = reached == 0
        needed = (empty & (count > 0) & (left <= empty.sum(axis=0))).any(axis=1)
        if needed.any():
            cost = np.where(needed, cost, np.inf)
        left -= count > 0
        # Rounded, so that the choice among equals does not depend on the last bit of a sum.
        place = int(np.argmin(np.round(cost, 12)))
        reached[place] += count
        chosen[group] = place
    return chosen, reached
