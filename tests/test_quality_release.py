"""The word on sharing: what is independent of both sides gives neither away, what leaks does."""

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import binom

from balancer.quality.figures import Leak, Release
from balancer.quality.release import NEVER, SHARE, copying_p, judged, measure_leak

Features = NDArray[np.float32]


def drawn(rng: np.random.Generator, n: int) -> Features:
    return rng.normal(size=(n, 20)).astype(np.float32)


def release(leaks: dict[str, Leak], *, copies: int = 0, n: int = 60) -> Release:
    found = Release(
        word=SHARE, reasons=(), n=n, copies=tuple(range(copies)), expected_copies=0.0,
        reproduced=copies, leaks=leaks,
    )  # fmt: skip
    return judged(found, held_out_copies=0, n_held_out=60)


def test_independent_images_rarely_look_like_a_leak_however_large_the_sides() -> None:
    """Four times as many training as held-out images; 5 % false alarms a side are allowed."""
    alarms = {"closer": 0, "membership": 0}
    for seed in range(40):
        draw = np.random.default_rng(seed)
        leak = measure_leak(*(drawn(draw, n) for n in (400, 100, 200)), rng=draw)
        assert leak.closer_interval[0] <= leak.closer <= leak.closer_interval[1]
        alarms["closer"] += leak.closer_interval[0] > 0.5
        alarms["membership"] += leak.membership_interval[0] > 0.5
    assert max(alarms.values()) <= 4, alarms


def test_copies_of_one_side_are_a_leak() -> None:
    draw = np.random.default_rng(0)
    training, held_out = (drawn(draw, 200) for _ in range(2))
    noise = draw.normal(scale=0.1, size=(200, 20)).astype(np.float32)
    leak = measure_leak(training, held_out, training + noise, rng=draw)
    assert leak.closer_interval[0] > 0.5
    assert leak.membership_interval[0] > 0.5
    assert release({"a": leak}).word == NEVER


def test_independent_images_are_condemned_in_at_most_five_of_a_hundred_sets() -> None:
    """Two spaces, and near copies at the rate of held-out ones: five tests, one family."""
    condemned, without_correction, n = 0, 0, 60
    for seed in range(60):
        draw = np.random.default_rng(seed)
        leaks = {
            space: measure_leak(*(drawn(draw, size) for size in (120, 60, 60)), rng=draw)
            for space in ("a", "b")
        }
        found = release(leaks, copies=int(draw.binomial(n, 0.002)), n=n)
        condemned += found.word == NEVER
        values = [p for leak in leaks.values() for p in (leak.membership_p, leak.closer_p)]
        without_correction += min(p for p in values if p is not None) < 0.05
    assert condemned <= binom.ppf(0.99, 60, 0.05)
    assert without_correction > condemned


@pytest.mark.parametrize(("p", "word"), [(0.02, SHARE), (0.009, NEVER)])
def test_the_five_tests_are_corrected_for_their_number(p: float, word: str) -> None:
    """Holm: the smallest p counts five times."""
    quiet = {"membership_interval": (0.4, 0.55), "closer_interval": (0.4, 0.6), "closer": 0.5}
    first, second = (
        Leak(membership=0.5, **quiet, membership_p=own, closer_p=1.0)  # type: ignore[arg-type]
        for own in (p, 1.0)
    )
    found = release({"a": first, "b": second})
    assert found.word == word
    assert found.tests["membership, a"] == pytest.approx(5 * p)


def test_one_image_alike_is_chance_and_many_are_not() -> None:
    assert copying_p(0, 60, 0, 60) == pytest.approx(1.0)
    assert copying_p(1, 60, 0, 60) > 0.2
    assert copying_p(8, 60, 0, 60) < 0.01
    assert copying_p(8, 60, 8, 60) > 0.4  # as many as among held-out images
    # With very many held-out images their rate is known, and the test is the binomial one.
    assert copying_p(5, 60, 20_000, 1_000_000) == pytest.approx(binom.sf(4, 60, 0.02), rel=0.01)
