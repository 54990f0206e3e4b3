from typing import get_args

import pytest
import torch

from gan.augment import ZOOM_SHARE, diff_augment
from gan.config import Augmentation
from gan.randomness import BatchRandom

ALL: tuple[Augmentation, ...] = get_args(Augmentation)


def random(seed: int = 0) -> BatchRandom:
    return BatchRandom(torch.Generator().manual_seed(seed))


@pytest.fixture
def images() -> torch.Tensor:
    return torch.rand(16, 1, 16, 16, generator=random(9).stream) * 2 - 1


def test_empty_policy_changes_nothing(images: torch.Tensor) -> None:
    assert diff_augment(images, (), random()) is images


@pytest.mark.parametrize("name", ALL)
def test_each_transform_is_random_per_image_and_fixed_by_the_generator(
    name: Augmentation,
) -> None:
    same = (torch.rand(1, 3, 16, 16, generator=random(9).stream) * 2 - 1).expand(16, -1, -1, -1)
    once = diff_augment(same, (name,), random(1))
    assert once.shape == same.shape
    assert torch.equal(once, diff_augment(same, (name,), random(1)))
    assert not torch.equal(once, diff_augment(same, (name,), random(2)))
    assert len({image.numpy().tobytes() for image in once}) > 1


@pytest.mark.parametrize("name", ALL)
def test_gradients_match_finite_differences(name: Augmentation) -> None:
    images = torch.rand(
        2, 3, 8, 8, generator=random(9).stream, dtype=torch.float64, requires_grad=True
    )
    assert torch.autograd.gradcheck(lambda x: diff_augment(x, (name,), random()), images)


def test_a_probability_leaves_the_other_images_as_they_are(images: torch.Tensor) -> None:
    many = images[:1].expand(2000, -1, -1, -1)
    changed = diff_augment(many, ("brightness",), random(), 0.3)
    touched = (changed != many).flatten(1).any(1).float().mean().item()
    assert touched == pytest.approx(0.3, abs=0.04)


def test_zoom_keeps_the_centre_and_scales_distances_from_it() -> None:
    """A ramp stays a ramp about the same middle; its slope is one over the factor."""
    ramp = torch.linspace(-1, 1, 33).expand(8, 1, 33, 33).contiguous()
    zoomed = diff_augment(ramp, ("zoom",), random())
    torch.testing.assert_close(zoomed[..., 16], torch.zeros(8, 1, 33), rtol=0, atol=1e-6)
    slopes = (zoomed[..., 17] - zoomed[..., 15]) / (ramp[..., 17] - ramp[..., 15])
    assert slopes.min() >= 1 / (1 + ZOOM_SHARE) - 1e-4
    assert slopes.max() <= 1 / (1 - ZOOM_SHARE) + 1e-4
    assert slopes.std(dim=0).max() > 0.05


def test_brightness_moves_all_pixels_of_an_image_by_one_number(images: torch.Tensor) -> None:
    change = (diff_augment(images, ("brightness",), random()) - images).flatten(1)
    assert change.std(dim=1).max() < 1e-6
    assert change.abs().max() <= 0.5 + 1e-6


def test_saturation_keeps_the_mean_of_the_channels_and_scales_their_differences() -> None:
    colours = torch.rand(32, 3, 8, 8, generator=random(9).stream)
    result = diff_augment(colours, ("saturation",), random())
    torch.testing.assert_close(result.mean(1), colours.mean(1))
    scale = result.std(1) / colours.std(1)  # (N, S, S), one number for each image
    assert (scale - scale[:, :1, :1]).abs().max() < 1e-3
    assert 0 <= scale.min() < scale.max() <= 2
    greys = colours[:, :1].expand_as(colours)
    torch.testing.assert_close(diff_augment(greys, ("saturation",), random()), greys)


@pytest.mark.parametrize("name", ["brightness", "contrast", "translation", "cutout"])
def test_all_channels_of_an_image_change_alike(name: Augmentation, images: torch.Tensor) -> None:
    alone = diff_augment(images, (name,), random(1))
    together = diff_augment(images.expand(-1, 3, -1, -1), (name,), random(1))
    torch.testing.assert_close(together, alone.expand_as(together))


def test_contrast_keeps_the_mean_and_scales_the_deviation(images: torch.Tensor) -> None:
    result = diff_augment(images, ("contrast",), random())
    torch.testing.assert_close(result.mean((1, 2, 3)), images.mean((1, 2, 3)))
    scale = result.flatten(1).std(1) / images.flatten(1).std(1)
    assert 0.5 <= scale.min() < scale.max() <= 1.5


def test_translation_moves_whole_pixels_and_fills_with_zero() -> None:
    images = torch.zeros(64, 1, 16, 16)
    images[:, 0, 8, 8] = 1
    result = diff_augment(images, ("translation",), random())
    places = result.squeeze(1).nonzero()
    assert len(places) == 64
    assert torch.equal(result.sum((1, 2, 3)), torch.ones(64))
    shifts = places[:, 1:] - 8
    assert set(shifts.flatten().tolist()) == {-2, -1, 0, 1, 2}


def test_translation_keeps_pixel_values_exactly_and_directions_independent() -> None:
    rows = torch.arange(16.0).view(1, 1, 16, 1).expand(64, 1, 16, 16) + 100
    result = diff_augment(rows, ("translation",), random())
    inside = result[:, 0, 4:12, 4:12]
    assert torch.equal(inside, inside.round())
    assert torch.equal(inside[:, 1:] - inside[:, :-1], torch.ones(64, 7, 8))


def test_cutout_blanks_at_most_a_quarter(images: torch.Tensor) -> None:
    result = diff_augment(images, ("cutout",), random())
    blank = (result == 0).sum((1, 2, 3))
    assert blank.max() <= 64
    assert blank.min() >= 16
    assert torch.equal(result[result != 0], images[result != 0])


def test_flip_is_left_to_right_only(images: torch.Tensor) -> None:
    result = diff_augment(images, ("horizontal-flip",), random())
    kept = [torch.equal(a, b) for a, b in zip(result, images, strict=True)]
    flipped = [torch.equal(a, b.flip(2)) for a, b in zip(result, images, strict=True)]
    assert any(kept)
    assert any(flipped)
    assert all(a != b for a, b in zip(kept, flipped, strict=True))


def test_unknown_name_is_refused_with_the_known_ones(images: torch.Tensor) -> None:
    with pytest.raises(ValueError, match="one of brightness, contrast"):
        diff_augment(images, ("vertical-flip",), random())  # type: ignore[arg-type]
