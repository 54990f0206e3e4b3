"""The arithmetic of the gate's verdict, on invented figures."""

import re
from pathlib import Path

import pytest
from scipy.special import betaincinv

from balancer.quality import checks
from balancer.quality.checks import CHECKS, ask_all
from balancer.quality.config import GateConfig
from balancer.quality.figures import (
    ClassDistance,
    Correlations,
    Distance,
    Diversity,
    Figures,
    Identity,
    LabelsGiven,
    LabelShares,
    Memorization,
    MsSsim,
    NearCopies,
    ProbeScore,
    SameN,
    Tell,
    Tells,
    Twins,
    Usefulness,
)
from balancer.quality.records import CheckResult, ClassQuality, GateResult
from balancer.quality.spread import Spread, Spreads
from balancer.quality.summary import class_summary
from balancer.report.blocks import Table
from balancer.report.sections.images import class_blocks
from support.brightness_check import BrightnessCheck

MINE, THEIRS = "COVID", "Normal"


def memorization(generated: float = 0.01, at_least: float = 0.0) -> Memorization:
    copies = NearCopies(generated=generated, generated_at_least=at_least, held_out=0.0)
    correlation = Correlations(generated=0.5, held_out=0.5)
    return Memorization(
        n=200, n_held_out=50, near_copies=copies, correlation=correlation, distance={}
    )


def ms_ssim(generated: float, real: float) -> MsSsim:
    return MsSsim(generated=generated, real=real, ratio=generated / real, n=100, recipe="")


def diversity(twins: float = 0.02, similarity: float = 0.40, registered: float = 0.70) -> Diversity:
    return Diversity(
        ms_ssim=ms_ssim(similarity, 0.35),
        twins=Twins(generated=twins, real=0.03, n=100),
        registered=ms_ssim(registered, 0.68),
    )


def spread(low: float, high: float) -> Spreads:
    usual = Spread(generated=4.0, real=4.0, ratio=1.0, interval=(0.8, 1.2))
    one = Spread(generated=2.0, real=4.0, ratio=0.5, interval=(low, high))
    return Spreads(n=100, of={"size, %": usual, "contrast": one}, recipe="")


def distances(own_minus_other: float, width: float = 0.1) -> dict[str, ClassDistance]:
    return {
        MINE: ClassDistance(generated=0.3, held_out=0.0),
        THEIRS: ClassDistance(
            generated=0.3 - own_minus_other,
            held_out=0.3,
            own_minus_this=own_minus_other,
            interval=(own_minus_other - width, own_minus_other + width),
        ),
    }


def identity(own_minus_other: float = -0.3, own: float = 0.8, real_own: float = 0.8) -> Identity:
    return Identity(
        distances={"lite0": distances(own_minus_other)}, judged=labels_given(own, real_own)
    )


def labels_given(own: float, real_own: float) -> LabelsGiven:
    generated, held_out = (
        LabelShares(labels={MINE: share, THEIRS: 1 - share}, median_probability=0.9)
        for share in (own, real_own)
    )
    return LabelsGiven(generated=generated, held_out=held_out)


def coverage(value: float) -> dict[str, dict[str, Distance]]:
    same_n = SameN(
        n=50,
        draws=5,
        value=value,
        real_against_real=0.9,
        real_against_real_range=(0.9, 0.9),
        ratio=value / 0.9,
    )
    distance = Distance(
        n_fake=50, n_reference=90, value=value, better="higher", same_n=same_n, recipe={}
    )
    return {"training": {"coverage[lite0]": distance}, "validation": {}}


def tells(trivial: float) -> Tells:
    tell = Tell(value=trivial, interval=(trivial, trivial), n=50, real_against_real=None)
    return Tells(features=None, trivial_statistics=tell)


SCORE = ProbeScore(auroc=0.9, balanced_accuracy=0.8)
GOOD = Figures(
    n=200,
    n_made=200,
    against=coverage(0.7),
    diversity=diversity(),
    memorization=memorization(),
    tells=tells(0.7),
    identity=identity(),
    spread=spread(0.3, 0.7),
    usefulness=Usefulness(
        train_real_test_real=SCORE,
        train_synthetic_test_real=SCORE,
        train_real_test_synthetic=SCORE,
    ),
)


def answers(**changes: object) -> GateResult:
    """Ask of a good set with a part replaced."""
    return ask_all(MINE, GOOD.model_copy(update=changes), GateConfig())


def test_a_good_set_passes_every_check() -> None:
    found = answers()
    assert found.passed is True
    assert len(found.checks) == len(CHECKS)  # each is asked once where there is one space


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"memorization": memorization(0.2, at_least=0.15)}, "memorization"),
        ({"diversity": diversity(twins=0.3)}, "twins"),
        ({"diversity": diversity(similarity=0.51)}, "diversity"),
        ({"diversity": diversity(registered=0.79)}, "registered diversity"),
        ({"spread": spread(0.3, 0.49)}, "spread"),
        ({"against": coverage(0.2)}, "coverage[lite0]"),
        ({"tells": tells(0.91)}, "shortcut"),
        ({"identity": identity(0.2)}, "nearest class [lite0]"),
        ({"identity": identity(-0.2, own=0.3)}, "judged class"),
    ],
)
def test_each_limit_fails_alone(changes: dict[str, object], name: str) -> None:
    assert answers(**changes).failures == [name]


@pytest.mark.parametrize(("copied", "answer"), [(2, True), (5, None), (7, None), (8, False)])
def test_a_few_copies_among_few_images_are_neither_proved_nor_excluded(
    copied: int, answer: bool | None
) -> None:
    at_least = float(betaincinv(copied, 60 - copied + 1, 0.025))  # Clopper and Pearson
    figure = memorization(copied / 60, at_least)
    found = answers(memorization=figure)
    assert found.passed is answer
    assert found.failures == (["memorization"] if answer is False else [])


def test_a_class_that_is_nearer_within_the_interval_is_no_proof() -> None:
    for own_minus_other, names in ((0.05, []), (0.15, ["nearest class [lite0]"])):
        assert answers(identity=identity(own_minus_other)).failures == names


def test_a_probe_that_misses_real_images_asks_no_more_of_synthetic_ones() -> None:
    assert answers(identity=identity(own=0.4, real_own=0.4)).failures == []


def test_a_check_that_cannot_be_asked_does_not_pass() -> None:
    found = answers(
        against={},
        diversity=Diversity(ms_ssim=None, twins=None),
        identity=Identity(
            distances={"lite0": None, "edges": None}, judged=labels_given(1.0, real_own=1.0)
        ),
        tells=Tells(features=None, trivial_statistics=None),
        spread=None,
    )
    assert [answer.passed for answer in found.checks].count(None) == 8
    assert found.passed is None


def test_limits_of_this_version_leave_the_settings_of_earlier_studies_as_they_were() -> None:
    later = {"max_registered_similarity", "min_spread"}
    assert not later & set(GateConfig().model_dump(mode="json"))
    chosen = GateConfig(min_spread=0.4, max_registered_similarity=0.2)
    assert later < set(chosen.model_dump(mode="json"))
    for gate in (GateConfig(), chosen):
        assert GateConfig.model_validate(gate.model_dump(mode="json")) == gate


def test_one_failure_outweighs_a_check_that_was_not_asked() -> None:
    found = GateResult.of(
        tuple(
            CheckResult(name=name, passed=passed, sentence="")
            for name, passed in (("a", True), ("b", None), ("c", False))
        )
    )
    assert found.passed is False
    assert found.failures == ["c"]


def test_a_new_check_reaches_the_verdict_the_terminal_and_the_report(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(checks, "CHECKS", (*CHECKS, BrightnessCheck()))
    measured = GOOD.model_copy(update={"own": {"brightness": {"mean": 231.0}}})
    gate = ask_all(MINE, measured, GateConfig())
    assert gate.failures == ["brightness"]
    assert gate.passed is False
    quality = ClassQuality.of(measured, membership=None, gate=gate)
    text = quality.model_dump_json(exclude_unset=True)
    assert ClassQuality.model_validate_json(text) == quality

    answer = gate.checks[-1]
    terminal = [str(part) for part in class_summary(MINE, quality)]
    assert any("FAIL" in part and answer.sentence in part for part in terminal)
    blocks = class_blocks(lambda picture: False, MINE, quality, "")
    tables = [block for block in blocks if isinstance(block, Table)]
    assert [answer.name, "fail", answer.sentence] in [row for t in tables for row in t.rows]


def test_the_documentation_names_every_limit_and_its_default() -> None:
    page = (Path(__file__).parent.parent / "docs" / "quality.md").read_text()
    stated = {name: float(n) for name, n in re.findall(r"`gate\.(\w+)` \(([\d.]+)\)", page)}
    assert stated == GateConfig().model_dump()
    assert all(f"`{check.name}" in page for check in CHECKS)
