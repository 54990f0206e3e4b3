"""Probes: chance where nothing separates the sets, certainty where something does."""

import numpy as np
import pytest

from balancer.quality.blind_probe import degraded
from balancer.quality.checks.judged_class import labels_given
from balancer.quality.checks.nearest_class import class_distances
from balancer.quality.descriptors import STATISTICS, edge_histograms, trivial_statistics
from balancer.quality.distances import Kernels, kid_difference_interval, kid_of_all
from balancer.quality.probes import separation, train_probe, usefulness


def features(n, shift=0.0, seed=0, d=10):
    return np.random.default_rng(seed).normal(shift, 1, (n, d))


def test_like_sets_cannot_be_separated():
    values = [
        separation(features(60, seed=s), features(70, seed=s + 99), seed=s) for s in range(12)
    ]
    assert abs(np.mean([found.value for found in values]) - 0.5) < 0.05
    assert all(found.n == 60 for found in values)
    assert sum(found.interval[0] <= 0.5 <= found.interval[1] for found in values) >= 9


def test_unlike_sets_can():
    found = separation(features(40), features(40, shift=3, seed=1), seed=0)
    assert found.value > 0.99
    assert found.interval[0] > 0.95
    assert found.n == 40


def test_too_few_images_are_not_probed():
    assert separation(features(4), features(50), seed=0) is None


def test_separation_is_seeded():
    a, b = features(30), features(40, shift=0.5, seed=1)
    assert separation(a, b, seed=1) == separation(a, b, seed=1)
    assert separation(a, b, seed=1) != separation(a, b, seed=2)


def sets(seed, shift=2.0):
    return {"covid": features(40, shift, seed), "normal": features(90, 0, seed + 50)}


def test_good_synthetic_images_are_as_useful_as_real_ones_and_noise_is_not():
    training, validation = sets(0), sets(1)
    good = usefulness("covid", features(40, 2.0, 7), training, validation)
    real = good.train_real_test_real
    assert real.auroc > 0.95
    assert good.train_synthetic_test_real.auroc == pytest.approx(real.auroc, abs=0.05)
    assert good.train_real_test_synthetic.auroc == pytest.approx(real.auroc, abs=0.05)
    swapped = usefulness("covid", features(40, 0.0, 8), training, validation)
    assert swapped.train_synthetic_test_real.auroc < 0.9
    assert swapped.train_real_test_synthetic.auroc < 0.7
    assert swapped.train_real_test_real == real


def test_images_of_another_class_are_nearer_to_it():
    rng = np.random.default_rng(0)
    training = sets(0)
    table = class_distances("covid", features(50, 0, 3), features(20, 2.0, 4), training, rng)
    assert table["normal"].generated < table["covid"].generated
    assert table["normal"].own_minus_this > 0
    assert table["normal"].interval[0] > 0
    assert table["covid"].held_out < table["normal"].held_out
    honest = class_distances("covid", features(50, 2.0, 3), features(20, 2.0, 4), training, rng)
    assert honest["normal"].interval[1] < 0


def test_a_probe_labels_images_by_what_they_look_like():
    probe = train_probe(sets(0))
    shares = labels_given("covid", probe, features(50, 0, 3), features(30, 2.0, 4))
    assert shares.generated.labels["normal"] > 0.9
    assert shares.held_out.labels["covid"] > 0.9
    assert sum(shares.generated.labels.values()) == pytest.approx(1)
    assert probe.probabilities(features(9)).sum(axis=1) == pytest.approx(1)


def test_the_interval_of_a_difference_of_distances_holds_it():
    own = Kernels.of(features(40), features(50, 0.5, 1))
    other = Kernels.of(features(40), features(50, 0.1, 2))
    low, high = kid_difference_interval(own, other, np.random.default_rng(0))
    assert low < kid_of_all(own) - kid_of_all(other) < high


def test_statistics_by_hand():
    image = np.full((16, 16), 100, np.uint8)
    image[0], image[5, 5] = 0, 255
    found = dict(zip(STATISTICS, trivial_statistics(image[None])[0], strict=True))
    assert found["mean"] == pytest.approx(image.mean())
    assert found["black share"] == pytest.approx(1 / 16)
    assert found["white share"] == pytest.approx(1 / 256)
    assert found["border mean"] == pytest.approx(100 * 44 / 60)
    assert found["corner mean"] == pytest.approx(50)
    flat = dict(
        zip(STATISTICS, trivial_statistics(np.full((1, 16, 16), 9, np.uint8))[0], strict=True)
    )
    assert (flat["sharpness"], flat["gradient"], flat["standard deviation"]) == (0, 0, 0)


def test_edges_are_blind_to_brightness_and_see_shapes():
    rng = np.random.default_rng(0)
    image = rng.integers(0, 90, (8, 8)).astype(np.uint8).repeat(8, axis=0).repeat(8, axis=1)
    other = rng.integers(0, 90, (8, 8)).astype(np.uint8).repeat(8, axis=0).repeat(8, axis=1)
    one, brighter, else_ = edge_histograms(np.stack([image, image * 2 + 20, other]))
    assert one.shape == (1764,)
    assert np.linalg.norm(one - brighter) < 0.01 * np.linalg.norm(one - else_)
    assert edge_histograms(np.full((1, 64, 64), 7, np.uint8)).max() == 0


def test_an_edge_votes_for_its_own_direction():
    across = np.zeros((1, 64, 64), np.uint8)
    across[:, :, 32:] = 200  # a vertical edge: the gradient points right, direction 0
    cells = edge_histograms(across)[0].reshape(7, 7, 4, 9)
    assert cells.sum(axis=(0, 1, 2)).argmax() == 0
    assert cells[..., 1:].max() == pytest.approx(0, abs=1e-6)


def test_degraded_images_keep_their_grey_level_and_are_seeded():
    images = np.full((20, 32, 32), 128, np.uint8)
    images[:, 8:24, 8:24] = 90
    one, same, other = (degraded(images, np.random.default_rng(s)) for s in (0, 0, 1))
    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)
    assert one.dtype == np.uint8
    assert one.mean() == pytest.approx(images.mean(), abs=1)
