"""Splits of an ablation: repeated splits by group, or cross-validation, of one index."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from balancer.ablation.config import AblationConfig
from balancer.data.split import part_groups, split_groups, verify_splits
from balancer.errors import ConfigurationError, DataError
from balancer.manifest import HELD_BACK, ImageRecord
from balancer.ratio import TargetRatio, plan_synthesis

SOURCE_PREFIX = "without-"
"""Prefix of folds whose test images are all of one source, which training does not have."""


@dataclass(frozen=True, slots=True)
class Fold:
    """One split of all images.

    Attributes:
        name: Name of its folder; runs are paired by it.
        number: Position in the plan; seeds depend on it.
        records: All images, in the order of the index, with the splits of this fold.
    """

    name: str
    number: int
    records: tuple[ImageRecord, ...]


def plan_folds(
    records: Sequence[ImageRecord],
    ablation: AblationConfig,
    shares: tuple[float, float, float],
    *,
    held_back: Sequence[TargetRatio],
    positive: str,
    seed: int,
) -> list[Fold]:
    """Split the images several times, whole groups at a time.

    Args:
        records: The images; their own splits are not used.
        ablation: `resampling`, `repeats`, `folds`, `held_back_share` and `rare_images` are used.
        shares: Shares of training, validation and test. In cross-validation the test share is
            1 / folds, and the other two keep their proportion.
        held_back: Ratios of the control arms; training images are set aside of each class that is
            below one of them.
        positive: Class of which `rare_images` are used.
        seed: Seed; repeat r depends on (seed, r) alone, so more repeats do not change the first.

    Raises:
        DataError: A class has too few groups.
        ConfigurationError: The positive class has no more training images than `rare_images`.
    """
    found = [
        (f"{ablation.resampling.removesuffix('s')}-{name}", splits)
        for repeat in range(ablation.repeats)
        for name, splits in _splits(records, ablation, shares, repeat, derived_seed(seed, repeat))
    ]
    folds = []
    for number, (name, split_of) in enumerate(found):
        rows = [replace(record, split=split_of[record.group]) for record in records]
        share_seed = derived_seed(seed, number, 1)
        if ablation.rare_images is not None:
            rows = _limit(rows, positive, ablation.rare_images, seed=share_seed)
        for label in _wanted(rows, held_back):
            if ablation.rare_images is None or label != positive:
                rows = hold_back(rows, label, share=ablation.held_back_share, seed=share_seed)
        verify_splits(rows)
        folds.append(Fold(name, number, tuple(rows)))
    return folds


def _wanted(records: Sequence[ImageRecord], ratios: Sequence[TargetRatio]) -> list[str]:
    """Return the classes of the training split that are below one of the ratios."""
    counts = Counter(record.label for record in records if record.split == "train")
    plans = [plan for ratio in ratios for plan in plan_synthesis(counts, ratio)]
    return sorted({plan.label for plan in plans if plan.to_make})


def derived_seed(*key: int) -> int:
    """Return the seed of a key, in [0, 2**32)."""
    return int(np.random.SeedSequence(key).generate_state(1)[0])


def _limit(
    records: Sequence[ImageRecord], label: str, n_images: int, *, seed: int
) -> list[ImageRecord]:
    """Set all but `n_images` training images of a class aside, and validation images in proportion.

    Raises:
        ConfigurationError: The class has no more training images than these.
    """
    total = sum(record.split == "train" and record.label == label for record in records)
    if total <= n_images:
        raise ConfigurationError(
            f"ablation.rare_images should be less than the {total} training images of {label}, but "
            f"is {n_images}; leave it out to use them all."
        )
    for split in ("train", "val"):
        records = hold_back(records, label, share=1 - n_images / total, seed=seed, split=split)
    return list(records)


def hold_back(
    records: Sequence[ImageRecord], label: str, *, share: float, seed: int, split: str = "train"
) -> list[ImageRecord]:
    """Set a share of a class's images of a split aside, whole groups at a time.

    Args:
        records: Images with their splits.
        label: The class.
        share: Desired share of its images; at least one image stays and one is set aside.
        seed: Seed for the choice.
        split: The split, that of training images as a rule.

    Raises:
        DataError: These images of the class are of a single group, or of groups that hold
            other classes too.
    """
    members: dict[str, int] = defaultdict(int)
    mixed = {record.group for record in records if record.label != label}
    for record in records:
        if record.split == split and record.label == label:
            members[record.group] += 1
    movable = sorted(group for group in members if group not in mixed)
    total = sum(members.values())
    chosen: set[str] = set()
    taken = 0
    for place in np.random.default_rng(seed).permutation(len(movable)):
        size = members[movable[place]]
        if taken + size < total and taken + size / 2 <= share * total:
            chosen.add(movable[place])
            taken += size
    if not chosen:
        raise DataError(
            f"{share:.0%} of the images of {label} in the split {split} should be set aside, but "
            f"its {total} images cannot be divided without dividing a group; leave out "
            "held-back-real and ablation.rare_images."
        )
    return [
        replace(record, split=HELD_BACK)
        if record.group in chosen and record.split == split
        else record
        for record in records
    ]


def _splits(
    records: Sequence[ImageRecord],
    ablation: AblationConfig,
    shares: tuple[float, float, float],
    repeat: int,
    seed: int,
) -> list[tuple[str, dict[str, str]]]:
    groups = [record.group for record in records]
    labels = [record.label for record in records]
    if ablation.resampling == "splits":
        return [(str(repeat), split_groups(groups, labels, shares=shares, seed=seed))]
    parts = part_groups(groups, labels, shares=[1 / ablation.folds] * ablation.folds, seed=seed)
    found = []
    for part in range(ablation.folds):
        rest = [row for row, group in enumerate(groups) if parts[group] != part]
        of_rest = part_groups(
            [groups[row] for row in rest],
            [labels[row] for row in rest],
            shares=[shares[place] / (shares[0] + shares[1]) for place in (0, 1)],
            seed=seed,
            names=("train", "val"),
        )
        split_of = {group: ("train", "val")[place] for group, place in of_rest.items()}
        found.append((f"{repeat}-{part}", dict.fromkeys(parts, "test") | split_of))
    return found
