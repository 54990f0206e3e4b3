"""MS-SSIM of pairs against torchmetrics' own call, and what a collapse does to it."""

import numpy as np
import pytest
import torch
from torchmetrics.image import MultiScaleStructuralSimilarityIndexMeasure

from balancer.quality.diversity import ms_ssim_recipe, pairwise_ms_ssim, twin_share


def images(n, side=64, seed=0):
    rng = np.random.default_rng(seed)
    small = rng.integers(0, 256, (n, 8, 8)).astype(np.uint8)
    return small.repeat(side // 8, axis=1).repeat(side // 8, axis=2)


def rng():
    return np.random.default_rng(0)


def test_two_images_give_the_value_of_torchmetrics():
    pair = images(2, side=176)
    metric = MultiScaleStructuralSimilarityIndexMeasure(data_range=255.0)
    first, second = torch.from_numpy(pair).float()[:, None]
    assert pairwise_ms_ssim(pair, rng(), pairs=9) == pytest.approx(
        float(metric(first[None], second[None])), abs=1e-5
    )


@pytest.mark.parametrize(("side", "scales"), [(16, 1), (32, 2), (64, 3), (128, 4), (256, 5)])
def test_scales_are_as_many_as_fit(side, scales):
    assert ms_ssim_recipe(side, 7).startswith(f"MS-SSIM of {scales} scales, mean over 7")
    assert 0 <= pairwise_ms_ssim(images(4, side=side), rng(), pairs=3) < 1


def test_one_image_over_and_over_is_1():
    assert pairwise_ms_ssim(np.repeat(images(1), 5, axis=0), rng(), pairs=10) == pytest.approx(1)


def test_the_fewer_the_images_behind_a_set_the_higher():
    values = [
        pairwise_ms_ssim(images(n).repeat(24 // n, axis=0), rng(), pairs=200) for n in (24, 6, 2)
    ]
    assert values == sorted(values)
    assert values[2] > values[0] + 0.2


def test_pairs_are_drawn_once_each_and_seeded():
    everything = pairwise_ms_ssim(images(6), rng(), pairs=15)
    assert pairwise_ms_ssim(images(6), np.random.default_rng(5), pairs=99) == pytest.approx(
        everything, abs=1e-6
    )
    assert pairwise_ms_ssim(images(6), rng(), pairs=4) == pairwise_ms_ssim(
        images(6), rng(), pairs=4
    )


def test_twins_are_counted():
    some = images(10)
    assert twin_share(some, 0.9) == 0
    assert twin_share(np.concatenate((some, some[:3, :, ::-1])), 0.9) == pytest.approx(6 / 13)
