import pytest
import torch
from torch.nn import functional as F

from gan.losses import discriminator_loss, generator_gradient, generator_loss
from gan.networks import Discriminator, FoldedDoubling, Generator, initialise
from gan.transforms import to_uint8, to_unit_range
from support.tiny_gan import recipe


@pytest.mark.parametrize("side", [32, 64, 128, 256])
@pytest.mark.parametrize("channels_last", [True, False])
@pytest.mark.parametrize(("upsampling", "norm"), [("transposed", "batch"), ("nearest", "group")])
@pytest.mark.parametrize("full", [True, False])
def test_shapes_and_range(
    side: int, channels_last: bool, upsampling: str, norm: str, full: bool
) -> None:
    config = recipe(
        image_size=side,
        channels_last=channels_last,
        upsampling=upsampling,
        discriminator_norm=norm,
        full_resolution=full,
    )
    images = Generator(config)(torch.randn(3, config.latent_dim))
    assert images.shape == (3, 1, side, side)
    assert images.dtype is torch.float32
    assert images.abs().max() <= 1
    assert Discriminator(config)(images).shape == (3,)


def test_last_hidden_layer_has_the_configured_width_and_each_halving_doubles_it() -> None:
    config = recipe(
        image_size=64,
        generator_filters=4,
        discriminator_filters=8,
        upsampling="transposed",
        full_resolution=False,
    )
    generator, discriminator = Generator(config), Discriminator(config)
    assert generator.draw.in_channels == 4
    assert generator.project.out_features == 16 * 32
    assert [block[0].out_channels for block in discriminator.shrink] == [16, 32, 64]


def test_at_full_resolution_half_the_filters_see_single_pixels() -> None:
    config = recipe(image_size=64, generator_filters=32, discriminator_filters=32)
    generator, discriminator = Generator(config), Discriminator(config)
    seen: list[torch.Tensor] = []
    generator.grow.register_forward_hook(lambda layer, inputs, output: seen.append(output))
    discriminator.look[0].register_forward_hook(lambda layer, inputs, out: seen.append(out))
    discriminator(generator(torch.randn(2, config.latent_dim)))
    assert [features.shape for features in seen] == [(2, 16, 64, 64)] * 2
    paper = recipe(
        image_size=64, generator_filters=32, discriminator_filters=32, full_resolution=False
    )
    for ours, theirs in ((generator, Generator(paper)), (discriminator, Discriminator(paper))):
        counts = [sum(weight.numel() for weight in n.parameters()) for n in (ours, theirs)]
        assert counts[0] == pytest.approx(counts[1], rel=0.02)


def test_with_companions_the_class_decides_what_is_drawn_and_judged() -> None:
    config = recipe(companion_share=0.5)
    generator, discriminator = Generator(config).eval(), Discriminator(config).eval()
    assert generator.project.in_features == config.latent_dim + 2
    latents = torch.randn(4, config.latent_dim)
    own, other = torch.zeros(4).long(), torch.ones(4).long()
    torch.testing.assert_close(generator(latents), generator(latents, own))
    assert not torch.equal(generator(latents, own), generator(latents, other))
    images = generator(latents).detach()
    torch.testing.assert_close(discriminator(images), discriminator(images, own))
    assert not torch.equal(discriminator(images, own), discriminator(images, other))
    mixed = discriminator(images, torch.tensor([0, 1, 0, 1]))
    torch.testing.assert_close(mixed[1::2], discriminator(images, other)[1::2])


@pytest.mark.parametrize(
    ("share", "batch", "companions"),
    [(0, 8, 0), (0.5, 16, 8), (0.5, 3, 2), (0.1, 4, 1), (0.9, 2, 1)],
)
def test_companions_of_a_batch(share: float, batch: int, companions: int) -> None:
    assert recipe(companion_share=share).n_companions(batch) == companions


@pytest.mark.parametrize("filters", [4, 5, 12, 32])
def test_group_norm_judges_each_image_alone(filters: int) -> None:
    config = recipe(discriminator_filters=filters)
    network = Discriminator(config).train()
    images = torch.rand(6, 1, 32, 32) * 2 - 1
    torch.testing.assert_close(network(images)[:2], network(images[:2]), rtol=1e-4, atol=1e-5)


def test_initial_weights_are_normal_with_deviation_002() -> None:
    generator = Generator(recipe(generator_filters=32))
    initialise(generator, torch.Generator().manual_seed(0))
    weight = generator.project.weight
    assert weight.std().item() == pytest.approx(0.02, rel=0.05)
    assert weight.mean().item() == pytest.approx(0, abs=1e-3)
    assert generator.start[0].weight.mean().item() == pytest.approx(1, abs=0.01)


def test_memory_format_changes_nothing_but_the_speed() -> None:
    fast, plain = recipe(channels_last=True), recipe(channels_last=False)
    images = torch.rand(4, 1, 32, 32) * 2 - 1
    one, other = Discriminator(fast).to(memory_format=torch.channels_last), Discriminator(plain)
    other.load_state_dict(one.state_dict())
    torch.testing.assert_close(one(images), other(images))


def test_channels_last_holds_through_the_one_channel_layer() -> None:
    """A one-channel image looks like both formats; a convolution would fall back to the default."""
    network = Discriminator(recipe()).to(memory_format=torch.channels_last)
    seen = []
    network.look.register_forward_hook(lambda layer, inputs, output: seen.append(output))
    network(torch.rand(4, 1, 32, 32))
    assert seen[0].is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("memory", [torch.contiguous_format, torch.channels_last])
def test_a_folded_doubling_is_nearest_neighbour_and_a_convolution(
    memory: torch.memory_format,
) -> None:
    """In values, and in the gradients of the weights and of the input."""
    layer = FoldedDoubling(6, 5, bias=True).double().to(memory_format=memory)
    plain = torch.nn.Sequential(torch.nn.Upsample(scale_factor=2), layer[1])
    x = torch.randn(3, 6, 4, 7, dtype=torch.float64, requires_grad=True)
    torch.testing.assert_close(layer(x), plain(x))
    leaves = [x, *layer.parameters()]
    folded, direct = (torch.autograd.grad(f(x).square().sum(), leaves) for f in (layer, plain))
    torch.testing.assert_close(folded, direct)


def test_a_certain_discriminator_gives_the_generator_a_finite_gradient() -> None:
    logits = torch.tensor([-500.0, -60.0, 0.0, 5.0], requires_grad=True)
    fakes = torch.ones(4, 1, 1, 1, requires_grad=True)
    (of_d,) = torch.autograd.grad(discriminator_loss(logits, fakes.view(4) * logits), fakes)
    of_g = generator_gradient(of_d, logits)
    (wanted,) = torch.autograd.grad(generator_loss(fakes.view(4) * logits), fakes)
    assert torch.isfinite(of_g).all()
    torch.testing.assert_close(of_g[1:], wanted[1:])


def test_losses_are_binary_cross_entropy() -> None:
    real, fake = torch.randn(5, dtype=torch.float64), torch.randn(7, dtype=torch.float64)
    bce = F.binary_cross_entropy_with_logits
    expected = bce(real, torch.ones_like(real)) + bce(fake, torch.zeros_like(fake))
    torch.testing.assert_close(discriminator_loss(real, fake), expected)
    torch.testing.assert_close(generator_loss(fake), bce(fake, torch.ones_like(fake)))


def test_generator_loss_does_not_saturate_where_the_discriminator_wins() -> None:
    logits = torch.tensor([-30.0], requires_grad=True)
    generator_loss(logits).backward()
    assert logits.grad is not None
    assert logits.grad.item() == pytest.approx(-1)


def test_pixel_round_trip_is_exact() -> None:
    levels = torch.arange(256, dtype=torch.uint8)
    floats = to_unit_range(levels)
    assert floats.min() == -1
    assert floats.max() == 1
    assert torch.equal(to_uint8(floats), levels)


def test_pixels_outside_the_range_are_clipped_not_wrapped() -> None:
    assert to_uint8(torch.tensor([-1.5, 1.5])).tolist() == [0, 255]


def test_transforms_refuse_the_other_type() -> None:
    with pytest.raises(ValueError, match="should be uint8"):
        to_unit_range(torch.zeros(1))
    with pytest.raises(ValueError, match="should be floats"):
        to_uint8(torch.zeros(1, dtype=torch.uint8))
