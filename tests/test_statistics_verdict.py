from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import nct
from scipy.stats import t as t_distribution

from balancer.statistics.ceiling import Ceiling
from balancer.statistics.resampled_t import ResampledT, resampled_t
from balancer.statistics.verdict import Evidence, Verdict, judge
from support.planted_studies import correlated


def t(mean: float, se: float | None = 0.01, k: int = 10) -> ResampledT:
    return ResampledT(mean, se, k)


def arm(
    to_real: ResampledT | None, to_duplicates: ResampledT | None = None, *, generated: bool = False
) -> Evidence:
    return Evidence(generated=generated, to_real=to_real, to_duplicates=to_duplicates)


def judged(*arms: Evidence, caps: tuple[str, ...] = (), margin: float = 0.01) -> list[Verdict]:
    return judge(arms, margin=margin, alpha=0.05, title="AUROC", caps=caps)


@pytest.mark.parametrize(
    ("evidence", "word"),
    [
        (arm(t(0.05)), "helps"),
        (arm(t(-0.05)), "hurts"),
        (arm(t(0.001, 0.002)), "equivalent"),
        (arm(t(0.006, 0.001)), "equivalent"),
        (arm(t(0.01)), "inconclusive"),
        (arm(t(0.05, None, 1)), "inconclusive"),
        (arm(None), "inconclusive"),
        (arm(t(0.0, 0.0)), "equivalent"),
        (arm(t(0.05, None)), "inconclusive"),
        (arm(t(0.5, 0.0001, 2)), "inconclusive"),
        (arm(t(-0.5, 0.0001, 2)), "inconclusive"),
        (arm(t(0.0, 0.0, 2)), "inconclusive"),
        (arm(t(0.05, 0.001, 3)), "helps"),
        (arm(t(0.05), t(0.04), generated=True), "helps"),
        (arm(t(0.05), t(0.001), generated=True), "inconclusive"),
        (arm(t(0.05), generated=True), "inconclusive"),
        (arm(t(0.05), t(0.05, None, 1), generated=True), "inconclusive"),
        (arm(t(-0.05), generated=True), "hurts"),
        (arm(t(0.001, 0.002), t(0.05), generated=True), "equivalent"),
        (arm(t(0.05), t(-0.04)), "helps"),
    ],
)
def test_words(evidence: Evidence, word: str) -> None:
    (found,) = judged(evidence)
    assert (found.word, found.uncapped) == (word, word)
    assert found.sentence.lower().startswith(word)
    assert (found.p_holm is not None) == (word in ("helps", "hurts"))


def test_sentences_carry_the_numbers() -> None:
    (helps,) = judged(arm(t(0.05), t(0.04), generated=True))
    assert "+0.050 (95 % interval +0.027 to +0.073)" in helps.sentence
    assert "+0.040" in helps.sentence
    assert "Holm" not in helps.sentence
    (same,) = judged(arm(t(-0.0001, 0.002)))
    assert "+0.000 (90 % interval -0.004 to +0.004), within the margin of 0.01." in same.sentence
    (small,) = judged(arm(t(0.006, 0.001)))
    assert "can be told from zero, but is smaller than the margin" in small.sentence
    (open_question,) = judged(arm(t(0.01)))
    assert "would show a difference of 0.027 with 80 % power" in open_question.sentence
    power = nct.sf(t_distribution.ppf(0.95, 9), 9, (open_question.detectable or 0) / 0.01)
    assert power == pytest.approx(0.8)


def test_what_a_gan_arm_lacks_is_said() -> None:
    (alone,) = judged(arm(t(0.05), generated=True))
    assert "not compared with repeated real images" in alone.sentence
    (no_better,) = judged(arm(t(0.05), t(0.001), generated=True))
    assert "repeated real images only by +0.001" in no_better.sentence


def test_the_larger_p_of_the_two_references_counts() -> None:
    (found,) = judged(arm(t(0.05), t(0.03), generated=True))
    assert found.p_helps == t(0.03).p_greater()


def test_holm_is_over_all_arms_and_apart_for_helps_and_hurts() -> None:
    p = t(0.022).p_greater()
    assert p is not None
    assert 0.05 / 3 < p <= 0.05
    (alone,) = judged(arm(t(0.022)))
    assert alone.word == "helps"
    with_two_others = judged(arm(t(0.022)), arm(t(-0.022)), arm(None))
    assert [found.word for found in with_two_others] == ["inconclusive"] * 3
    with_a_better = judged(arm(t(0.022)), arm(t(0.09)))
    assert [found.word for found in with_a_better] == ["helps", "helps"]
    assert with_a_better[0].p_holm == pytest.approx(p)


def test_caps_confound_findings_but_not_open_questions() -> None:
    found = judged(
        arm(t(0.05)),
        arm(t(-0.05)),
        arm(t(0.0, 0.001)),
        arm(t(0.01)),
        caps=("the source gives the class away", "borders alone reach AUROC 0.95"),
    )
    assert [one.word for one in found] == ["confounded"] * 3 + ["inconclusive"]
    assert [one.uncapped for one in found] == ["helps", "hurts", "equivalent", "inconclusive"]
    assert found[0].sentence.startswith("Confounded: the source gives the class away; borders")
    assert "But for that: Helps:" in found[0].sentence


def test_null_simulation_of_a_family() -> None:
    """1,000 studies of eight useless arms and one reference: 5 % at most call any helpful."""
    rng = np.random.default_rng(0)
    any_helps = any_hurts = 0
    for _ in range(1000):
        scores = correlated(rng, 10, 0.25, arms=9)[0]
        arms = [arm(resampled_t(row - scores[0], 0.25)) for row in scores[1:]]
        words = {found.word for found in judged(*arms, margin=1e-6)}
        any_helps += "helps" in words
        any_hurts += "hurts" in words
    assert any_helps <= 65
    assert any_hurts <= 65


def test_null_simulation_of_equivalence() -> None:
    """A true difference of exactly the margin is called equivalent in 5 % of studies at most."""
    runs = correlated(np.random.default_rng(1), 10, 0.25, times=1000)[:, 0] + 4.0
    words = [judged(arm(resampled_t(values, 0.25)), margin=4.0)[0].word for values in runs]
    assert 35 <= words.count("equivalent") <= 65


def test_null_simulation_of_the_main_question_among_others() -> None:
    """1,000 studies of three useless GAN arms: the first is called helpful in 5 % at most.

    To take the best of the three, as if it had been the question, would be wrong far more often.
    """
    rng = np.random.default_rng(2)
    first = best = 0
    for _ in range(1000):
        scores = correlated(rng, 8, 0.25, arms=4)[0]
        # Repeated images that are far worse than real ones leave the comparison with real alone.
        arms = [
            arm(resampled_t(row - scores[0], 0.25), t(1.0, 0.01), generated=True)
            for row in scores[1:]
        ]
        found = judged(*arms, margin=1e-6)
        assert found[0].role == "main"
        first += found[0].word == "helps"
        best += min(one.p_helps or 1.0 for one in found) <= 0.05
    # The standard error of 5 % in 1,000 is 0.7 points.
    assert 35 <= first <= 65
    assert best > 80


def test_the_order_is_fixed_by_the_first_generated_arm() -> None:
    cheap, gan = arm(t(0.022)), arm(t(0.05), t(0.04), generated=True)
    control = replace(arm(t(0.05)), is_control=True)
    assert [one.role for one in judged(cheap, gan, control)] == ["after", "main", "control"]
    weak = replace(gan, to_duplicates=t(0.0))
    found = judged(cheap, weak, control)
    assert [one.role for one in found] == ["exploratory", "main", "control"]
    assert "Exploratory" in found[0].sentence
    assert found[0].p_holm == found[0].p_helps
    assert [one.role for one in judged(cheap, control)] == ["main", "control"]


def test_an_arm_at_the_ceiling_is_bounded_by_its_comparisons() -> None:
    equal = ResampledT(0.0, None, 5)
    for n_pairs, word in ((432, "equivalent"), (298, "inconclusive"), (299, "equivalent")):
        ceiling = Ceiling(n_trials=n_pairs, n_cases=60)
        (found,) = judged(replace(arm(equal), ceiling=ceiling))
        assert found.word == word
        assert "othing to gain" in found.sentence
        assert "repeat" not in found.sentence
    (without,) = judged(arm(equal))
    assert without.word == "inconclusive"


def test_little_room_above_real_images_is_said() -> None:
    (found,) = judged(replace(arm(t(0.001, 0.02)), room=0.004))
    assert "no arm could gain more than 0.004" in found.sentence
