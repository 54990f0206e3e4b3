"""FID and KID by closed form, by invariance, and against torch-fidelity."""

import numpy as np
import pytest
import torch
from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric
from torch_fidelity.metric_kid import kid_features_to_metric

from balancer.quality.distances import (
    Kernels,
    frechet_distance,
    kid_interval,
    kid_of_all,
    kid_of_subsets,
)


def features(n, d=24, shift=0.0, scale=1.0, seed=0):
    return np.random.default_rng(seed).normal(shift, scale, (n, d))


def torch_fidelity_fid(a, b):
    statistics = [fid_features_to_statistics(torch.from_numpy(x)) for x in (a, b)]
    return fid_statistics_to_metric(*statistics, verbose=False)["frechet_inception_distance"]


# n < d takes the features as they are, n > d a triangular factor; both must be torch-fidelity's.
@pytest.mark.parametrize(("n", "m"), [(20, 60), (200, 90), (16, 12), (24, 25)])
def test_fid_equals_torch_fidelity(n, m):
    a, b = features(n), features(m, shift=0.7, scale=1.4, seed=1)
    assert frechet_distance(a, b) == pytest.approx(torch_fidelity_fid(a, b), rel=1e-6)


def test_fid_of_equal_covariances_is_the_squared_shift():
    a = features(50, d=80)
    shift = np.linspace(-1, 1, 80)
    assert frechet_distance(a, a + shift) == pytest.approx((shift**2).sum(), rel=1e-9)


def test_fid_of_scaled_features_has_a_closed_form():
    a = features(100) - features(100).mean(axis=0)
    variance = a.var(axis=0, ddof=1).sum()
    assert frechet_distance(a, 3 * a) == pytest.approx((3 - 1) ** 2 * variance, rel=1e-9)


@pytest.mark.fault(56)
def test_fid_invariances():
    a, b = features(30), features(40, shift=1, seed=1)
    value = frechet_distance(a, b)
    assert frechet_distance(a, a) == pytest.approx(0, abs=1e-9)
    assert frechet_distance(b, a) == pytest.approx(value, rel=1e-9)
    assert frechet_distance(a[::-1], b) == pytest.approx(value, rel=1e-9)
    rotation = np.linalg.qr(features(24, seed=2))[0]
    assert frechet_distance(a @ rotation, b @ rotation) == pytest.approx(value, rel=1e-9)


@pytest.mark.fault(56)
@pytest.mark.parametrize("function", [frechet_distance, lambda a, b: kid_of_all(Kernels.of(a, b))])
def test_distances_grow_with_noise(function):
    a, b = features(80), features(80, seed=1)
    noise = features(80, seed=2)
    values = [function(a, b + amount * noise) for amount in (0, 1, 2, 4)]
    assert values == sorted(values)


@pytest.mark.parametrize(("n", "m", "size"), [(40, 70, 20), (50, 50, 50)])
def test_kid_equals_torch_fidelity(n, m, size):
    a, b = features(n), features(m, shift=0.3, seed=1)
    expected = kid_features_to_metric(
        torch.from_numpy(a), torch.from_numpy(b), kid_subsets=7, kid_subset_size=size, verbose=False
    )["kernel_inception_distance_mean"]
    value = kid_of_subsets(Kernels.of(a, b), subsets=7, subset_size=size)
    assert value == pytest.approx(expected, rel=1e-6)


def test_kid_of_all_is_the_subset_that_holds_all():
    kernels = Kernels.of(features(30), features(30, shift=0.3, seed=1))
    everything = kid_of_subsets(kernels, subsets=1, subset_size=30)
    assert kid_of_all(kernels) == pytest.approx(everything, rel=1e-9)


def test_kid_of_all_by_hand():
    x, y = np.array([[0.0], [1.0]]), np.array([[2.0], [0.0], [1.0]])

    def k(a, b):
        return (a * b + 1) ** 3

    within_y = (k(2, 0) + k(2, 1) + k(0, 1)) / 3
    between = np.mean([k(a, b) for a in (0, 1) for b in (2, 0, 1)])
    assert kid_of_all(Kernels.of(x, y)) == pytest.approx(k(0, 1) + within_y - 2 * between)


def test_kid_is_unbiased_where_fid_is_not():
    pairs = [(features(8, seed=2 * i), features(8, seed=2 * i + 1)) for i in range(300)]
    kid = [kid_of_all(Kernels.of(a, b)) for a, b in pairs]
    assert abs(np.mean(kid)) < 4 * np.std(kid) / np.sqrt(len(kid))
    assert np.mean([frechet_distance(a, b) for a, b in pairs]) > 10


def test_interval_is_centred_and_covers():
    truth = kid_of_all(Kernels.of(features(2000, seed=90), features(2000, shift=0.5, seed=91)))
    covered = 0
    for trial in range(40):
        kernels = Kernels.of(features(50, seed=trial), features(60, shift=0.5, seed=trial + 50))
        low, high = kid_interval(kernels, np.random.default_rng(trial), samples=300)
        assert low < kid_of_all(kernels) < high
        covered += low < truth < high
    assert covered >= 34


def test_counting_copies_as_pairs_would_lift_the_interval():
    def interval_with_copies(a, b, rng):
        values = []
        for _ in range(300):
            rows, columns = rng.integers(20, size=20), rng.integers(20, size=20)
            values.append(kid_of_all(Kernels.of(a[rows], b[columns])))
        return np.quantile(values, [0.025, 0.975])

    a, b = features(20), features(20, seed=1)
    value = kid_of_all(Kernels.of(a, b))
    low, high = kid_interval(Kernels.of(a, b), np.random.default_rng(0))
    assert low < value < high
    assert interval_with_copies(a, b, np.random.default_rng(0))[0] > value


def test_interval_is_seeded():
    kernels = Kernels.of(features(20), features(20, seed=1))
    one, same, other = (kid_interval(kernels, np.random.default_rng(s)) for s in (3, 3, 4))
    assert one == same != other


@pytest.mark.parametrize(("n", "m"), [(2, 2), (2, 5), (3, 2)])
def test_two_images_are_enough(n, m):
    a, b = features(n), features(m, seed=1)
    kernels = Kernels.of(a, b)
    values = [frechet_distance(a, b), kid_of_all(kernels)]
    values += kid_interval(kernels, np.random.default_rng(0))
    assert np.isfinite(values).all()
