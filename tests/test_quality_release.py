"""The attacks of the word on sharing: what is independent of both sides gives neither away."""

import numpy as np

from balancer.quality.release import measure_leak


def test_independent_images_rarely_look_like_a_leak_however_large_the_sides() -> None:
    """Four times as many training as held-out images; 5 % false alarms a side are allowed."""
    alarms = {"closer": 0, "membership": 0}
    for seed in range(40):
        draw = np.random.default_rng(seed)
        sets = (draw.normal(size=(n, 20)).astype(np.float32) for n in (400, 100, 200))
        leak = measure_leak(*sets, rng=draw)
        assert leak.closer_interval[0] <= leak.closer <= leak.closer_interval[1]
        alarms["closer"] += leak.closer_interval[0] > 0.5
        alarms["membership"] += leak.membership_interval[0] > 0.5
    assert max(alarms.values()) <= 4, alarms


def test_copies_of_one_side_are_a_leak() -> None:
    draw = np.random.default_rng(0)
    training, held_out = (draw.normal(size=(200, 20)).astype(np.float32) for _ in range(2))
    noise = draw.normal(scale=0.1, size=(200, 20)).astype(np.float32)
    leak = measure_leak(training, held_out, training + noise, rng=draw)
    assert leak.closer_interval[0] > 0.5
    assert leak.membership_interval[0] > 0.5
