from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from balancer.ablation.config import AblationConfig
from balancer.ablation.folds import Fold, hold_back, plan_folds
from balancer.errors import ConfigurationError, DataError
from balancer.manifest import HELD_BACK, ImageRecord
from balancer.ratio import TargetRatio

SHARES = (0.7, 0.15, 0.15)


def records_of(n_rare: int, n_common: int, *, per_group: int = 2) -> list[ImageRecord]:
    return [
        ImageRecord(
            image_id=f"{label}{number}",
            path=f"{label}/{number}.png",
            label=label,
            group=f"{label}-{number // per_group}",
            source="",
            width=8,
            height=8,
            split="train",
            origin="real",
        )
        for label, count in (("common", n_common), ("rare", n_rare))
        for number in range(count)
    ]


def plan(
    records: list[ImageRecord], *, held_back: tuple[TargetRatio, ...] = (), **changes: object
) -> list[Fold]:
    ablation = AblationConfig.model_validate(changes)
    return plan_folds(records, ablation, SHARES, held_back=held_back, positive="rare", seed=3)


def split_of(fold: Fold) -> dict[str, str]:
    return {record.image_id: record.split for record in fold.records}


@settings(max_examples=20, deadline=None)
@given(folds=st.integers(2, 5), repeats=st.integers(1, 3))
def test_cross_validation_tests_each_image_once_per_repeat(folds: int, repeats: int) -> None:
    records = records_of(24, 60)
    planned = plan(records, resampling="folds", folds=folds, repeats=repeats)
    assert len(planned) == folds * repeats
    for first in range(0, len(planned), folds):
        tested = Counter(
            record.image_id
            for fold in planned[first : first + folds]
            for record in fold.records
            if record.split == "test"
        )
        assert tested == dict.fromkeys((record.image_id for record in records), 1)


@pytest.mark.parametrize("resampling", ["splits", "folds"])
def test_no_group_is_parted_and_each_part_has_every_class(resampling: str) -> None:
    for fold in plan(
        records_of(24, 60), resampling=resampling, held_back=(TargetRatio.parse("2:1"),)
    ):
        parts = {(record.group, record.split) for record in fold.records}
        assert len(parts) == len({group for group, _ in parts})
        for split in ("train", "val", "test"):
            assert {r.label for r in fold.records if r.split == split} == {"common", "rare"}


def test_more_repeats_keep_the_first_ones() -> None:
    records = records_of(24, 60)
    few, many = plan(records, repeats=2), plan(records, repeats=4)
    assert [split_of(fold) for fold in few] == [split_of(fold) for fold in many[:2]]
    assert split_of(many[0]) != split_of(many[1])


def test_the_order_of_the_records_is_that_of_the_index() -> None:
    records = records_of(24, 60)
    for fold in plan(records):
        assert [replace(r, split="train") for r in fold.records] == records


def test_training_images_of_the_rare_class_alone_are_held_back() -> None:
    records = records_of(24, 60)
    for with_, without in zip(
        plan(records, held_back=(TargetRatio.parse("2:1"),)), plan(records), strict=True
    ):
        before, after = split_of(without), split_of(with_)
        moved = {image for image in before if before[image] != after[image]}
        assert moved
        assert all(image.startswith("rare") for image in moved)
        assert {before[image] for image in moved} == {"train"}
        assert {after[image] for image in moved} == {HELD_BACK}
        n_train = sum(s == "train" and i.startswith("rare") for i, s in before.items())
        assert len(moved) / n_train == pytest.approx(0.3, abs=0.1)


def test_a_class_of_one_group_cannot_be_held_back() -> None:
    records = records_of(6, 12, per_group=6)
    with pytest.raises(DataError, match="held-back-real"):
        hold_back(records, "rare", share=0.3, seed=0)


def test_each_class_that_a_control_adds_to_is_held_back() -> None:
    """At 1:1 the middle class of three has to grow too, whatever ratio the other arms have."""
    records = [*records_of(18, 60), *(replace(r, label="middle", group=f"m-{r.group}",
               image_id=f"m{r.image_id}", path=f"m{r.path}")
               for r in records_of(0, 40))]  # fmt: skip
    for ratios, wanted in (("2:1",), {"rare"}), (("2:1", "1:1"), {"rare", "middle"}):
        held_back = tuple(TargetRatio.parse(ratio) for ratio in ratios)
        for fold in plan(records, held_back=held_back):
            assert {r.label for r in fold.records if r.split == HELD_BACK} == wanted


def test_a_number_of_rare_images_leaves_the_test_split_whole() -> None:
    records = records_of(60, 200)
    whole, some, few = (
        split_of(plan(records, repeats=1, **limit)[0])
        for limit in ({}, {"rare_images": 20}, {"rare_images": 5})
    )

    def rare(splits: dict[str, str], split: str) -> set[str]:
        return {name for name, own in splits.items() if own == split and name.startswith("rare")}

    assert len(rare(some, "train")) == 20
    assert rare(few, "train") < rare(some, "train") < rare(whole, "train")
    shares = [len(rare(one, "val")) / len(rare(one, "train")) for one in (whole, some)]
    assert shares[1] == pytest.approx(shares[0], abs=0.05)  # half a group of two
    for limited in (some, few):
        assert rare(limited, "test") == rare(whole, "test")
        changed = {name for name, split in limited.items() if split != whole[name]}
        assert changed == rare(limited, HELD_BACK)


def test_more_rare_images_than_there_are_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"ablation\.rare_images"):
        plan(records_of(60, 200), repeats=1, rare_images=60)
