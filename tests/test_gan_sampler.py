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
        ("auto", {"b": 5, "c": 7}),
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
    table = np.stack([LABELS, LABELS], axis=1)
    for images, labels in (
        *(
            (images, LABELS)
            for images in (
                *(IMAGES / 2.0, IMAGES - 1.0, IMAGES > 9, IMAGES[:, :, 1:9]),
                *(IMAGES[:0], [*IMAGES[1:], IMAGES[0][:5]], []),
            )
        ),
        *((IMAGES, labels) for labels in (LABELS[1:], LABELS[:9], table, np.linspace(0, 1, 30))),
    ):
        for error in (BalancerError, ValueError):
            with pytest.raises(error):
                GANSampler(config=recipe()).fit(images, labels)


def test_a_seed_may_be_a_random_state() -> None:
    sampler = GANSampler(sampling_strategy={"c": 9}, config=recipe(images_shown=8))
    first, again, other = (
        sampler.set_params(random_state=np.random.RandomState(seed)).fit_resample(IMAGES, LABELS)[0]
        for seed in (1, 1, 2)
    )
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_colours_in_rows_are_those_of_the_images() -> None:
    images = np.repeat(IMAGES[:, :, :, None], 3, axis=3)
    sampler = GANSampler(sampling_strategy={"c": 9}, config=recipe(images_shown=8))
    expected, _ = sampler.fit_resample(images, LABELS)
    rows, _ = sampler.fit_resample(images.reshape(30, -1), LABELS)
    assert expected.shape == (32, 32, 32, 3)
    assert np.array_equal(rows, expected.reshape(32, -1))


def test_the_balanced_sampler_stands_at_the_top() -> None:
    assert BalancedBatchSampler is Classifiers
