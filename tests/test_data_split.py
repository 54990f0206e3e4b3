import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from balancer.data.split import split_groups, verify_splits
from balancer.errors import DataError, IntegrityError
from balancer.manifest import SPLITS, ImageRecord

SHARES = (0.70, 0.15, 0.15)


def counted(groups: list[str], labels: list[str], chosen: dict[str, str]) -> dict[str, list[int]]:
    return {
        label: [
            sum(chosen[g] == split for g, name in zip(groups, labels, strict=True) if name == label)
            for split in SPLITS
        ]
        for label in sorted(set(labels))
    }


def split_counts(sizes: dict[str, int], seed: int = 0) -> dict[str, list[int]]:
    labels = [label for label, size in sizes.items() for _ in range(size)]
    groups = [f"g{number}" for number in range(len(labels))]
    return counted(groups, labels, split_groups(groups, labels, shares=SHARES, seed=seed))


def test_single_images_meet_the_shares() -> None:
    counts = split_counts({"COVID": 295, "Normal": 1366})
    assert counts == {"COVID": [207, 44, 44], "Normal": [956, 205, 205]}


@given(st.lists(st.integers(3, 60), min_size=2, max_size=4), st.integers(0, 2**32 - 1))
def test_single_images_are_within_one_of_the_shares(sizes: list[int], seed: int) -> None:
    named = {f"class{number}": size for number, size in enumerate(sizes)}
    for label, counts in split_counts(named, seed).items():
        assert min(counts) >= 1
        for count, share in zip(counts, SHARES, strict=True):
            # 1 in validation and test is more than their share of a tiny class
            assert abs(count - share * named[label]) <= (1 if named[label] >= 7 else 1.7)


def grouped(seed: int = 0) -> tuple[list[str], list[str]]:
    """600 images of 200 patients, sick ones mixed into healthy patients."""
    generator = np.random.default_rng(seed)
    patients = generator.integers(0, 200, 600)
    labels = np.where(generator.random(600) < 0.2, "COVID", "Normal")
    return [f"patient-{number}" for number in patients], labels.tolist()


def test_patients_stay_whole_and_classes_in_proportion() -> None:
    groups, labels = grouped()
    chosen = split_groups(groups, labels, shares=SHARES, seed=0)
    assert set(chosen) == set(groups)
    for label, counts in counted(groups, labels, chosen).items():
        size = labels.count(label)
        for count, share in zip(counts, SHARES, strict=True):
            assert count == pytest.approx(share * size, abs=2)


def test_order_makes_no_difference_and_the_seed_does() -> None:
    groups, labels = grouped()
    chosen = split_groups(groups, labels, shares=SHARES, seed=7)
    shuffled = np.random.default_rng(1).permutation(len(groups))
    again = split_groups(
        [groups[i] for i in shuffled], [labels[i] for i in shuffled], shares=SHARES, seed=7
    )
    assert again == chosen
    assert split_groups(groups, labels, shares=SHARES, seed=8) != chosen


def test_large_groups_leave_something_for_every_split() -> None:
    groups = ["big"] * 10 + ["b", "c", "big", "e", "f", "g"]
    labels = ["COVID"] * 12 + ["Normal"] * 4
    chosen = split_groups(groups, labels, shares=SHARES, seed=0)
    assert all(min(counts) > 0 for counts in counted(groups, labels, chosen).values())


def test_too_few_groups() -> None:
    with pytest.raises(DataError, match="COVID"):
        split_groups(
            ["a"] * 9 + ["b"] + list("cdefg"),
            ["COVID"] * 10 + ["Normal"] * 5,
            shares=SHARES,
            seed=0,
        )


def test_impossible_groups() -> None:
    # x and y each need c and d where a and b are not, z needs c and d apart.
    with pytest.raises(DataError):
        split_groups(list("abcabdcde"), list("xxxyyyzzz"), shares=SHARES, seed=0)


def record(number: int, group: str, split: str) -> ImageRecord:
    return ImageRecord(
        image_id=f"{number:064x}",
        path=f"COVID/{number}.png",
        label="COVID",
        group=group,
        source="",
        width=64,
        height=64,
        split=split,
        origin="real",
    )


CLEAN = [record(1, "a", "train"), record(2, "a", "train"), record(3, "b", "val")]


def test_clean_records_pass() -> None:
    verify_splits(CLEAN)


@pytest.mark.parametrize(
    ("planted", "message"),
    [
        (record(4, "a", "test"), r"group.*1 do not \(a\)"),
        (dataclasses.replace(CLEAN[0], group="c", split="test"), r"image.*1 do not \(0000"),
        (dataclasses.replace(CLEAN[0], path="other"), r"image.*1 do not"),
        (record(5, "d", "holdout"), "train, val or test.*'holdout'"),
    ],
)
def test_leaks_are_refused(planted: ImageRecord, message: str) -> None:
    with pytest.raises(IntegrityError, match=message):
        verify_splits([*CLEAN, planted])
