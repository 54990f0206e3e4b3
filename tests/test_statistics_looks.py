"""Planned looks: published boundaries, another integration, and error rates of whole schedules."""

import functools

import numpy as np
import pytest
from scipy.special import stdtr
from scipy.stats import multivariate_normal

from balancer.statistics.looks import PlannedLook, boundaries, crossing, information, spent
from balancer.statistics.power import detectable
from balancer.statistics.resampled_t import resampled_t
from balancer.statistics.verdict import HELPS, Evidence, Verdict, judge
from support.planted_studies import correlated

RATIO = 0.15 / 0.85
ALPHA = 0.05
TIMES = 20_000
SCHEDULES = [(5, 10), (5, 6), (5, 10, 15, 20), (5, 6, 7, 8), (8, 40), (20,)]
"""The extremes of what `ablation.looks` allows, and what one would choose."""


@pytest.mark.parametrize(
    ("alpha", "looks", "published"),
    [
        # Lan-DeMets spending of O'Brien-Fleming type, equal information: Reboussin et al. 2000
        # (Controlled Clinical Trials 21:190) and the program ld98 that goes with it.
        (0.025, 2, (2.963, 1.969)),
        (0.025, 3, (3.710, 2.511, 1.993)),
        (0.025, 4, (4.333, 2.963, 2.359, 2.014)),
        (0.025, 5, (4.877, 3.357, 2.680, 2.290, 2.031)),
        (0.05, 2, (2.538, 1.662)),
    ],
)
def test_boundaries_are_the_published_ones(
    alpha: float, looks: int, published: tuple[float, ...]
) -> None:
    shares = [(place + 1) / looks for place in range(looks)]
    assert boundaries(alpha, tuple(shares)) == pytest.approx(published, abs=6e-4)


@pytest.mark.parametrize(
    ("alpha", "last"),
    [(0.025, (1.977, 2.004, 2.024, 2.040)), (0.05, (1.678, 1.710, 1.733, 1.751))],
)
def test_the_boundaries_of_o_brien_and_fleming_keep_their_level(
    alpha: float, last: tuple[float, ...]
) -> None:
    """Jennison and Turnbull 1999, table 2.3: c(K) sqrt(K / k) at look k of K."""
    for looks, constant in enumerate(last, 2):
        shares = [(place + 1) / looks for place in range(looks)]
        bounds = [constant / share**0.5 for share in shares]
        assert crossing(bounds, shares) == pytest.approx(alpha, abs=7e-5)


def test_the_integration_agrees_with_the_multivariate_normal() -> None:
    for splits in ((5, 10), (4, 7, 20)):
        shares = np.array(information(splits, RATIO))
        bounds = boundaries(0.1, tuple(shares))
        covariance = np.sqrt(np.minimum.outer(shares, shares) / np.maximum.outer(shares, shares))
        below = multivariate_normal.cdf(bounds, cov=covariance)
        assert crossing(bounds, tuple(shares)) == pytest.approx(1 - below, abs=2e-5)
        assert crossing(bounds, tuple(shares)) == pytest.approx(0.1, abs=1e-9)


def test_information_is_the_inverse_of_the_variance_of_the_mean() -> None:
    drawn = correlated(np.random.default_rng(0), 10, RATIO, times=200_000)[:, 0]
    means = [drawn[:, :k].mean(axis=1) for k in (5, 10)]
    (share, whole) = information((5, 10), RATIO)
    assert whole == 1
    assert share == pytest.approx(np.var(means[1]) / np.var(means[0]), abs=0.01)
    # Which makes the means a process of independent steps: two looks correlate by its root.
    assert np.corrcoef(means)[0, 1] == pytest.approx(share**0.5, abs=0.005)


def test_one_look_spends_all() -> None:
    look = PlannedLook((1.0,), 0)
    assert spent(ALPHA, 1) == pytest.approx(ALPHA)
    for p in (1e-9, 0.003, 0.05, 0.3, 0.9):
        assert look.adjusted(p) == pytest.approx(p, rel=2e-4)
    assert look.adjusted(0) == 0
    assert look.adjusted(1) == 1


@pytest.mark.parametrize("splits", [(5, 10), (3, 6, 12)])
def test_a_repeated_p_is_the_smallest_level_that_claims(splits: tuple[int, ...]) -> None:
    shares = information(splits, RATIO)
    for place in range(len(splits)):
        look = PlannedLook(shares, place)
        for alpha in (0.4, 0.05, 0.05 / 9, 1e-4):
            assert look.adjusted(look.level(alpha)) == pytest.approx(alpha, rel=3e-4)
        p = [look.adjusted(one) for one in np.linspace(0, 1, 200)]
        assert np.all(np.diff(p) >= 0)


def judged(values: np.ndarray, look: PlannedLook | None) -> list[Verdict]:
    """Verdicts of a study: float (arms, k)."""
    arms = [
        Evidence(generated=False, to_real=resampled_t(one, RATIO), to_duplicates=None)
        for one in values
    ]
    return judge(arms, margin=1e-9, alpha=ALPHA, title="AUROC", look=look)


@functools.cache
def false_help(schedule: tuple[int, ...], *, spending: bool, arms: int = 1) -> float:
    """Share of studies without an effect in which an arm helps at any look.

    The rule of `judge`, for all studies at once: the smallest p times the number of arms.
    """
    drawn = correlated(np.random.default_rng(0), schedule[-1], RATIO, arms=arms, times=TIMES)
    shares = information(schedule, RATIO)
    helps = np.zeros(TIMES, bool)
    for place, k in enumerate(schedule):
        level = PlannedLook(shares, place).level(ALPHA / arms) if spending else ALPHA / arms
        helps |= (p_greater(drawn[:, :, :k]) <= level).any(axis=1)
    return float(helps.mean())


def p_greater(values: np.ndarray) -> np.ndarray:
    k = values.shape[-1]
    se = values.std(axis=-1, ddof=1) * np.sqrt(1 / k + RATIO)
    return np.asarray(stdtr(k - 1, -values.mean(axis=-1) / se))


def test_the_rule_of_the_simulations_is_that_of_the_verdicts() -> None:
    shares = information((5, 6), RATIO)
    helped = 0
    for study in correlated(np.random.default_rng(3), 6, RATIO, arms=3, times=300) + 1.1:
        for place, k in enumerate((5, 6)):
            look = PlannedLook(shares, place)
            expected = bool((p_greater(study[:, :k]) <= look.level(ALPHA / 3)).any())
            words = {verdict.word for verdict in judged(study[:, :k], look)}
            assert (HELPS in words) == expected
            helped += expected
    assert 60 < helped < 540


@pytest.mark.parametrize("schedule", SCHEDULES, ids=str)
@pytest.mark.parametrize("arms", [1, 4, 9])
def test_any_schedule_of_looks_keeps_the_level(schedule: tuple[int, ...], arms: int) -> None:
    assert false_help(schedule, spending=True, arms=arms) <= ALPHA + 0.015
    if arms == 1:
        assert false_help(schedule, spending=True) >= ALPHA - 0.015


def test_looks_without_spending_are_seen_to_break_it() -> None:
    assert 0.07 <= false_help((5, 10), spending=False) <= 0.085
    assert 0.09 <= false_help((5, 10, 15, 20), spending=False) <= 0.11


def test_a_look_that_was_not_planned_moves_no_word() -> None:
    """The word of the registered number of splits alone counts, however many are added later."""
    assert false_help((5,), spending=False) == pytest.approx(ALPHA, abs=0.005)


def test_what_a_look_could_have_shown_is_by_its_own_level() -> None:
    values = np.random.default_rng(1).normal(0, 1, (3, 5))
    t = resampled_t(values[0], RATIO)
    look = PlannedLook(information((5, 10), RATIO), 0)
    with_look, alone = judged(values, look)[0], judged(values, None)[0]
    assert with_look.detectable == detectable([t], look.level(ALPHA / 3))
    assert alone.detectable == detectable([t], ALPHA / 3)
    assert with_look.p_helps == look.adjusted(alone.p_helps or 0.0)
