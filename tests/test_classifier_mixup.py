import numpy as np
import pytest
import torch

from classifier.transforms import Mixup, mix

IMAGES = torch.randint(
    0, 256, (6, 1, 5, 5), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
)
LABELS = torch.tensor([0, 1, 2, 2, 1, 0])


def test_a_share_of_one_mixes_nothing() -> None:
    partners = torch.tensor([3, 4, 5, 0, 1, 2])
    assert torch.equal(mix(IMAGES, partners, 1.0), IMAGES.float())
    assert torch.equal(mix(IMAGES, partners, 0.0), IMAGES[partners].float())
    assert torch.equal(mix(IMAGES, torch.arange(6), 0.5), IMAGES.float())


def test_means_are_floats_in_range() -> None:
    found = mix(IMAGES, torch.tensor([3, 4, 5, 0, 1, 2]), 0.25)
    assert found.dtype == torch.float32
    assert found[0, 0, 0, 0] == 0.25 * IMAGES[0, 0, 0, 0] + 0.75 * IMAGES[3, 0, 0, 0]
    assert 0 <= found.min() <= found.max() <= 255


def test_images_and_labels_are_mixed_alike() -> None:
    """Images that show their class number are mixed to the mean class number of their label."""
    shown = LABELS.to(torch.uint8)[:, None, None, None].expand(6, 1, 5, 5)
    images, labels = Mixup(1.0, 3, seed=0)(shown, LABELS, step=4)
    torch.testing.assert_close(labels.sum(1), torch.ones(6))
    torch.testing.assert_close(images[:, 0, 0, 0], labels @ torch.arange(3.0))
    assert ((labels > 0).sum(1) <= 2).all()


def test_the_draw_is_a_function_of_seed_and_step() -> None:
    def draw(seed: int, step: int) -> torch.Tensor:
        return Mixup(0.4, 3, seed)(IMAGES, LABELS, step=step)[0]

    state = torch.random.get_rng_state()
    first = draw(0, 7)
    assert torch.equal(torch.random.get_rng_state(), state)
    torch.rand(3)
    draw(0, 8)
    assert torch.equal(draw(0, 7), first)
    assert not torch.equal(draw(0, 8), first)
    assert not torch.equal(draw(1, 7), first)


@pytest.mark.parametrize("alpha", [0.2, 1.0, 8.0])
def test_shares_are_from_the_beta_distribution(alpha: float) -> None:
    """Two moments of Beta(alpha, alpha): mean 1/2, variance 1 / (4 (2 alpha + 1))."""
    mixup = Mixup(alpha, 2, seed=3)
    one = torch.zeros(2, 1, 1, 1, dtype=torch.uint8)
    labels = torch.tensor([0, 1])
    drawn = np.array([float(mixup(one, labels, step=step)[1][0, 0]) for step in range(3000)])
    variance = 1 / (4 * (2 * alpha + 1))
    # Where an image is its own partner, its label stays whole; that is half of the draws here.
    mixed = drawn[drawn != 1]
    assert mixed.mean() == pytest.approx(0.5, abs=4 * np.sqrt(variance / len(mixed)))
    assert mixed.var() == pytest.approx(variance, rel=0.1)
