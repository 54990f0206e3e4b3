"""Splits that leave one source out, to test classifiers on images of a place they never saw.

No source can be left out if each class has a source of its own. Seen and unseen sources gave AUROC
1.00 and 0.38 in the study of Ahmed 2021 (PMC8224464).
"""

from collections.abc import Sequence
from dataclasses import dataclass

from balancer.data.split import part_groups
from balancer.errors import DataError
from balancer.manifest import ImageRecord

UNKNOWN_SOURCE = "(unknown)"


@dataclass(frozen=True, slots=True)
class SourcePlan:
    """The splits that leave a source out.

    Attributes:
        splits: Name of a source, and image id to `train`, `val` or `test`. Other images must not be
            used: they are of an unknown source, or of a patient who is tested.
        reasons: Every other source, and why it cannot be left out.
    """

    splits: tuple[tuple[str, dict[str, str]], ...]
    reasons: dict[str, str]


def source_splits(records: Sequence[ImageRecord], *, seed: int, val_share: float) -> SourcePlan:
    """Plan to test on each source in turn, after training on the others.

    A group with images of the tested source is tested with these and trains nothing. Validation
    images are drawn by group from the other sources, each class in proportion. Of a class that the
    tested source lacks, as many images of the others as in validation are tested, and their groups
    train nothing: without them a source of one class could not be ranked.

    Args:
        records: All images of the index; their own splits are not used.
        seed: Seed for the choice of validation images.
        val_share: Desired share of validation images among those of the other sources, in (0, 1).
    """
    sources = sorted({record.source for record in records if record.source})
    splits: list[tuple[str, dict[str, str]]] = []
    reasons: dict[str, str] = {}
    if not sources:
        reasons[UNKNOWN_SOURCE] = "the metadata give no image a source"
    for source in sources:
        found = _leave_out(records, source, seed, val_share)
        if isinstance(found, str):
            reasons[source] = found
        else:
            splits.append((source, found))
    return SourcePlan(tuple(splits), reasons)


def _leave_out(
    records: Sequence[ImageRecord], source: str, seed: int, val_share: float
) -> dict[str, str] | str:
    classes = sorted({record.label for record in records})
    tested = {record.group for record in records if record.source == source}
    rest = [record for record in records if record.source and record.group not in tested]
    if not any(record.source not in ("", source) for record in records):
        return "it is the only known source"
    groups = {label: {r.group for r in rest if r.label == label} for label in classes}
    lacking = set(classes) - {record.label for record in records if record.source == source}
    for label, names in groups.items():
        if len(names) < 2 + (label in lacking):
            test = ", validation and the test" if label in lacking else " and validation"
            return (
                f"without it {len(names)} {'group' if len(names) == 1 else 'groups'} of the class "
                f"{label!r} would be left, and training{test} need one each"
            )
    shown = [record for record in rest if record.label in lacking]
    try:
        held = _held_out(shown, seed, val_share)
        rest = [record for record in rest if record.group not in held]
        part = part_groups(
            [record.group for record in rest],
            [record.label for record in rest],
            shares=(1 - val_share, val_share),
            seed=seed,
            names=("train", "val"),
        )
    except DataError:
        return "without it no split by group has every class in training and in validation"
    return {
        **{record.image_id: "test" for record in records if record.source == source},
        **{record.image_id: "test" for record in shown if record.group in held},
        **{record.image_id: ("train", "val")[part[record.group]] for record in rest},
    }


def _held_out(records: Sequence[ImageRecord], seed: int, share: float) -> set[str]:
    """Return the groups that are kept from training, to be tested beside a source."""
    if not records:
        return set()
    part = part_groups(
        [record.group for record in records],
        [record.label for record in records],
        shares=(1 - share, share),
        seed=seed,
        names=("training", "the test"),
    )
    return {group for group, number in part.items() if number}
