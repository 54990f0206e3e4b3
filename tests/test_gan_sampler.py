"""GANSampler: counts as imbalanced-learn's words say, the given images unchanged, seeded."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from balancer import BalancedBatchSampler, BalancerError, GANSampler
from classifier.samplers import BalancedBatchSampler as Classifiers
from support.tiny_gan import recipe

IMAGES = np.random.default_rng(0).integers(0, 256, (30, 32, 32), np.uint8)
LABELS = np.repeat(["a", "b", "c"], [14, 9, 7])


@pytest.mark.parametrize(
    ("strategy", "made"),
    [
        ("auto", {"a": 0, "b": 5, "c": 7}),
        ("minority", {"c": 7}),
        ({"b": 12}, {"b": 3}),
    ],
)
def test_classes_grow_as_the_strategy_says(strategy: Any, made: dict[str, int]) -> None:
    sampler = GANSampler(sampling_strategy=strategy, config=recipe(), random_state=1)
    images, labels = sampler.fit_resample(IMAGES, LABELS)
    assert sampler.sampling_strategy_ == made
    assert np.array_equal(images[:30], IMAGES)
    assert np.array_equal(labels[:30], LABELS)
    assert {name: int((labels[30:] == name).sum()) for name in made} == made
    again, _ = GANSampler(**sampler.get_params()).fit_resample(IMAGES, LABELS)
    assert np.array_equal(images, again)


@pytest.mark.parametrize("strategy", ["majority", 0.5, {"d": 20}, {"a": 3}])
def test_a_strategy_that_does_not_fit_is_refused(strategy: Any) -> None:
    with pytest.raises(BalancerError):
        GANSampler(sampling_strategy=strategy, config=recipe()).fit_resample(IMAGES, LABELS)


def test_paths_are_the_same_as_their_images(tmp_path: Path) -> None:
    order = np.random.default_rng(1).permutation(30)
    paths = [tmp_path / f"{number:02d}.png" for number in order]
    for path, image in zip(paths, IMAGES, strict=True):
        assert cv2.imwrite(str(path), image)
    sampler = GANSampler(sampling_strategy={"c": 9}, config=recipe(), random_state=1)
    images, labels = sampler.fit_resample([str(path) for path in paths], LABELS)
    expected, same = sampler.fit_resample(IMAGES, LABELS)
    assert np.array_equal(images, expected)
    assert np.array_equal(labels, same)
    with pytest.raises(BalancerError):
        sampler.fit_resample([*map(str, paths[1:]), str(tmp_path / "absent.png")], LABELS)


def test_arrays_of_another_kind_are_refused() -> None:
    for images, labels in ((IMAGES / 255, LABELS), (IMAGES[0], LABELS), (IMAGES, LABELS[1:])):
        with pytest.raises(BalancerError):
            GANSampler(config=recipe()).fit_resample(images, labels)


def test_the_balanced_sampler_stands_at_the_top() -> None:
    assert BalancedBatchSampler is Classifiers
