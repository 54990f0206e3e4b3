"""Precision, recall, density and coverage against plain loops and torch-fidelity."""

import numpy as np
import pytest
import torch
from torch_fidelity.metric_prc import prc_features_to_metric

from balancer.quality.neighbors import Manifold, distances, manifold


def features(n, d=6, shift=0.0, scale=1.0, seed=0):
    return np.random.default_rng(seed).normal(shift, scale, (n, d))


def by_loops(fake, real, k):
    def radius(point, others):
        return sorted(np.linalg.norm(others - point, axis=1))[k]  # the 0th is the point itself

    real_radii = [radius(point, real) for point in real]
    fake_radii = [radius(point, fake) for point in fake]
    gaps = [[np.linalg.norm(f - r) for r in real] for f in fake]
    hits = np.array([[gap <= r for gap, r in zip(row, real_radii, strict=True)] for row in gaps])
    back = np.array([[gap <= r for gap in row] for row, r in zip(gaps, fake_radii, strict=True)])
    return Manifold(
        precision=np.mean([row.any() for row in hits]),
        recall=np.mean([column.any() for column in back.T]),
        density=hits.sum() / (k * len(fake)),
        coverage=np.mean([column.any() for column in hits.T]),
    )


@pytest.mark.parametrize(
    ("n", "m", "k", "shift"), [(20, 30, 3, 0.5), (40, 15, 5, 1.5), (9, 9, 1, 0)]
)
def test_equals_plain_loops(n, m, k, shift):
    fake, real = features(n, shift=shift), features(m, seed=1)
    found, expected = manifold(fake, real, k=k), by_loops(fake, real, k)
    for name in ("precision", "recall", "density", "coverage"):
        assert getattr(found, name) == pytest.approx(getattr(expected, name), abs=1e-12)


def test_precision_and_recall_equal_torch_fidelity():
    fake, real = features(60, shift=0.8), features(80, seed=1)
    found = manifold(fake, real, k=3)
    expected = prc_features_to_metric(
        torch.from_numpy(real), torch.from_numpy(fake), prc_neighborhood=3, verbose=False
    )
    both = sorted(expected[key] for key in ("precision", "recall"))
    assert sorted([found.precision, found.recall]) == pytest.approx(both, abs=1e-4)


def test_a_set_covers_itself():
    found = manifold(features(30), features(30), k=5)
    assert (found.precision, found.recall, found.coverage) == (1, 1, 1)
    assert found.density == pytest.approx(6 / 5)  # each ball holds its centre and k neighbours


def test_one_image_over_and_over_has_precision_without_coverage():
    real = features(200)
    found = manifold(np.repeat(real[:1], 200, axis=0) + features(200, scale=1e-9), real, k=5)
    assert found.precision == 1
    assert found.coverage < 0.2
    assert found.recall < 0.1


def test_far_sets_share_nothing():
    assert manifold(features(20, shift=100), features(20), k=3) == Manifold(0, 0, 0, 0)


def test_order_and_rotation_change_nothing():
    fake, real = features(25, shift=0.5), features(35, seed=1)
    rotation = np.linalg.qr(features(6, seed=2))[0]
    assert manifold(fake[::-1] @ rotation, real @ rotation, k=4) == manifold(fake, real, k=4)


def test_too_few_images_are_refused():
    with pytest.raises(ValueError, match="5 neighbours need more images than 5"):
        manifold(features(5), features(50), k=5)


def test_distances_are_euclidean_far_from_the_origin_too():
    a, b = features(7, shift=1e4), features(5, shift=1e4, seed=1)
    expected = np.linalg.norm(a[:, None] - b[None], axis=2)
    assert distances(a, b) == pytest.approx(expected, rel=1e-6)
