import pytest

from balancer.ablation.arms import read_arms
from balancer.ablation.families.arm import FAMILIES
from balancer.ablation.families.outside import OutsideArm
from balancer.errors import ConfigurationError

ALONE = [name for name, family in FAMILIES.items() if not issubclass(family, OutsideArm)]
"""Families whose name is a whole line."""


def test_every_family_reads_as_one_word() -> None:
    special = {"view": "view lungs=lungs-only", "logit-adjustment": "logit-adjustment tau=0.5"}
    lines = [special.get(name, name) for name in ALONE]
    arms = read_arms(lines, ratio="2:1")
    assert {arm.family for arm in arms} == set(ALONE)
    assert len({arm.slug for arm in arms}) == len(arms)


def test_real_stands_first_and_is_added_where_it_is_missing() -> None:
    assert [arm.name for arm in read_arms(["focal"], ratio="2:1")] == ["real", "focal"]
    assert [arm.name for arm in read_arms(["focal", "real"], ratio="2:1")] == ["real", "focal"]


def test_a_gan_arm_brings_the_duplicates_that_it_has_to_beat() -> None:
    arms = read_arms(["gan", "gan ratio=1:1", "gan-filtered"], ratio="2:1")
    duplicates = {arm.name: arm.facts(arms).duplicates for arm in arms}
    assert duplicates["gan"] == duplicates["gan-filtered"] == "oversample"
    assert duplicates["gan ratio=1:1"] == "oversample ratio=1:1"
    ratios = {arm.name: str(arm.ratio) for arm in arms if arm.family == "oversample"}
    assert ratios == {"oversample": "2:1", "oversample ratio=1:1": "1:1"}


def test_arms_without_a_ratio_are_compared_with_the_plain_duplicates() -> None:
    arms = read_arms(["gan", "gan ratio=1:1", "focal"], ratio="2:1")
    (focal,) = (arm for arm in arms if arm.name == "focal")
    assert focal.facts(arms).duplicates == "oversample"


def test_options_reach_the_description() -> None:
    (_, arm) = read_arms(["focal gamma=1.5"], ratio="2:1")
    assert arm.options == {"gamma": 1.5}
    assert "gamma 1.5" in arm.facts([arm]).describes


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["gna"], "gan"),
        ([""], "held-back-real"),
        (["gan ratio=1:2"], "1:2"),
        (["gan rato=2:1"], "rato=2:1"),
        (["focal gamma=many"], "many"),
        (["focal gamma=-1"], "gamma"),
        (["focal gamma=nan"], "gamma"),
        (["classic-augmentation of=some"], "some"),
        (["classic-augmentation of=all ratio=2:1"], "ratio"),
        (["gan", "gan ratio=2:1"], "gan ratio=2:1"),
        (["real", "real"], "real"),
        (["balanced-softmax", "logit-adjustment"], "logit-adjustment"),
        (["smote neighbors=0"], "neighbors"),
        (["class-balanced beta=1"], "beta"),
    ],
)
def test_what_cannot_be_an_arm_is_refused(lines: list[str], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        read_arms(lines, ratio="2:1")
