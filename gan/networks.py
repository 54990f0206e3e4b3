"""Networks of a DCGAN (Radford 2015, arXiv 1511.06434), with later improvements."""

import math
from collections.abc import Iterator
from itertools import pairwise
from typing import Any, cast

import torch
import torch.distributed as dist
from torch import Tensor, nn

from gan.config import GANConfig
from gan.transforms import GREY, Channels

SMALLEST_SIDE = 4
GROUPS = 8
FEWEST = 8
"""Minimum number of feature maps at full resolution."""


class Generator(nn.Module):
    """Network from latents to images: a dense layer to 4 x 4, then doublings.

    A doubling is a transposed convolution (the paper), or nearest neighbour and a convolution, to
    avoid checkerboards (Odena 2016, doi 10.23915/distill.00003). The last one gives the image
    itself (the paper), or feature maps for one more convolution (Karras 2018, arXiv 1710.10196):
    grain and edges of single pixels need more than one linear layer.

    With several classes, each has a scale and an offset of its own in every batch norm (de Vries
    2017, arXiv 1707.00683), and shares all other weights. So with its class fixed, the network is
    one of a single class: `of_class`.

    Args:
        config: Recipe.
        channels: Number of channels of the images, C: 1 for grey, 3 for sRGB.
        classes: Number of classes, K.

    Attributes:
        config: Recipe; with the channels and the classes, it determines all shapes.
        channels: As above.
        classes: As above.
    """

    def __init__(self, config: GANConfig, channels: Channels = GREY, classes: int = 1) -> None:
        super().__init__()
        self.config, self.channels, self.classes = config, channels, classes
        widths = _widths(config, config.generator_filters)[::-1]
        # The input of the paper's first transposed convolution is one pixel: a dense layer.
        self.project = nn.Linear(_inputs(config), SMALLEST_SIDE**2 * widths[0], bias=False)
        self.start = nn.Sequential(_batch_norm(widths[0], classes), nn.ReLU(inplace=True))
        self.grow = nn.Sequential(
            *(
                nn.Sequential(
                    _doubling(config, wide, narrow, bias=False),
                    _batch_norm(narrow, classes),
                    nn.ReLU(inplace=True),
                )
                for wide, narrow in pairwise(widths)
            )
        )
        if config.full_resolution:
            self.draw: nn.Module = nn.Conv2d(widths[-1], channels, 3, padding=1)
        else:
            self.draw = _doubling(config, widths[-1], channels, bias=True)
        initialise(self)

    def forward(self, latents: Tensor, labels: Tensor | None = None) -> Tensor:
        """Draw one image per latent.

        Args:
            latents: float32 (N, latent_dim), standard normal.
            labels: int64 (N,), 0 to K - 1, or 0 for the training class and 1 for companions; None:
                all 0, or with several classes as many images of each, in their order.

        Returns:
            float32 (N, C, S, S) in [-1, 1].
        """
        if self.classes > 1:
            if labels is None:
                labels = _in_equal_parts(len(latents), self.classes, latents.device)
            for layer in self.modules():
                if isinstance(layer, ClassBatchNorm):
                    layer.labels = labels
        if self.config.n_classes > 1:
            if labels is None:
                labels = torch.zeros(latents.shape[0], dtype=torch.int64, device=latents.device)
            classes = nn.functional.one_hot(labels, self.config.n_classes)
            latents = torch.cat((latents, classes.to(latents.dtype)), dim=1)
        x = self.project(latents)  # (N, 16 * W), W = filters * S / 8
        # Read as pixels of W channels, so that the result is channels_last without a copy.
        x = x.view(latents.shape[0], SMALLEST_SIDE, SMALLEST_SIDE, -1).permute(0, 3, 1, 2)
        if not self.config.channels_last:
            x = x.contiguous()
        x = self.start(x)  # (N, W, 4, 4)
        x = self.grow(x)  # (N, filters, S / 2, S / 2), or half the filters at full resolution
        return torch.tanh(self.draw(x).float())  # (N, C, S, S)

    def of_class(self, number: int) -> "Generator":
        """Return the network of one class, in eval mode, with copies of the weights."""
        alone = Generator(self.config, self.channels)
        values = self.state_dict()
        for name, layer in self.named_modules():
            if isinstance(layer, ClassBatchNorm):
                scale = 1 + values.pop(f"{name}.scales")[number]
                offset = values.pop(f"{name}.offsets")[number]
                values[f"{name}.weight"] = values[f"{name}.weight"] * scale
                values[f"{name}.bias"] = values[f"{name}.bias"] * scale + offset
        alone.load_state_dict(values)
        return alone.eval().requires_grad_(False)


class Discriminator(nn.Module):
    """Network from images to logits: strided convolutions to 4 x 4, then a dense layer.

    The paper's batch norm makes an image's score depend on its batch, all real or all fake; group
    norm (Wu and He 2018, arXiv 1803.08494) treats each image alone and suits small batches.

    With several classes a logit has a part that all share and the projection on a direction of its
    class (Miyato and Koyama 2018, arXiv 1802.05637).

    Args:
        config: Recipe.
        channels: Number of channels of the images, C: 1 for grey, 3 for sRGB.
        classes: Number of classes, K.

    Attributes:
        config: Recipe; with the channels and the classes, it determines all shapes.
    """

    def __init__(self, config: GANConfig, channels: Channels = GREY, classes: int = 1) -> None:
        super().__init__()
        self.config = config
        widths = _widths(config, config.discriminator_filters)
        self.look = nn.Sequential(*_first_layers(config, widths, channels))
        self.shrink = nn.Sequential(
            *(
                nn.Sequential(
                    nn.Conv2d(narrow, wide, 4, stride=2, padding=1, bias=False),
                    _norm(config, wide),
                    nn.LeakyReLU(0.2, inplace=True),
                )
                for narrow, wide in pairwise(widths[1:] if config.full_resolution else widths)
            )
        )
        self.judge = nn.Linear(SMALLEST_SIDE**2 * widths[-1], config.n_classes)
        self.directions: nn.Parameter | None = None
        if classes > 1:
            self.directions = nn.Parameter(torch.zeros(classes, SMALLEST_SIDE**2 * widths[-1]))
        initialise(self)

    def forward(self, images: Tensor, labels: Tensor | None = None) -> Tensor:
        """Score images; the sigmoid of a score is the probability that the image is real.

        Args:
            images: float32 (N, C, S, S), about [-1, 1].
            labels: int64 (N,), 0 to K - 1, or 0 for the training class and 1 for companions; None:
                all 0.

        Returns:
            float32 (N,), logits.
        """
        if self.config.channels_last:
            # With one channel the two memory formats are ambiguous, and the convolution would
            # return the default one, which each later layer would convert. These strides are not.
            if images.shape[1] == GREY:
                images = images.squeeze(1).unsqueeze(3).permute(0, 3, 1, 2)
            else:
                images = images.contiguous(memory_format=torch.channels_last)
        x = self.look(images)  # (N, filters, S / 2, S / 2)
        x = self.shrink(x)  # (N, W, 4, 4), W = filters * S / 8
        x = x.permute(0, 2, 3, 1).flatten(1)  # (N, 16 * W), pixels of W channels
        logits: Tensor = self.judge(x).float()  # (N, 1), or (N, 2) with companions
        if self.directions is not None and labels is not None:
            logits = logits + (x * self.directions[labels]).sum(1, keepdim=True).float()
            return logits[:, 0]
        return logits[:, 0] if labels is None else logits.gather(1, labels[:, None]).squeeze(1)


class BatchNorm(nn.BatchNorm2d):
    """Batch norm that can share its statistics with the other processes of a training.

    It is then as torch's `SyncBatchNorm`, which needs a GPU. All processes must have equal numbers
    of images, and pass through the layer together.

    Attributes:
        is_shared: True: in training mode, statistics are of the batches of all processes.
    """

    is_shared = False

    def forward(self, input: Tensor) -> Tensor:
        """Normalise float (N, C, H, W)."""
        if not (self.is_shared and self.training):
            return super().forward(input)
        values = input.float()
        mean = _MeanOfProcesses.apply(values.mean((0, 2, 3)))
        centred = values - mean[:, None, None]
        variance = _MeanOfProcesses.apply(centred.square().mean((0, 2, 3)))
        with torch.no_grad():
            n = input.numel() // input.shape[1] * dist.get_world_size()
            for running, now in (
                (self.running_mean, mean),
                (self.running_var, variance * n / (n - 1)),
            ):
                cast(Tensor, running).lerp_(now, cast(float, self.momentum))
            cast(Tensor, self.num_batches_tracked).add_(1)
        scale = self.weight * torch.rsqrt(variance + self.eps)
        result: Tensor = centred * scale[:, None, None] + self.bias[:, None, None]
        return result.to(input.dtype)


class ClassBatchNorm(BatchNorm):
    """Batch norm with a further scale and offset for each class.

    Args:
        channels: C.
        classes: K.

    Attributes:
        labels: Class of each image of the next pass, int64 (N,).
    """

    labels: Tensor

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__(channels)
        self.scales = nn.Parameter(torch.zeros(classes, channels))
        self.offsets = nn.Parameter(torch.zeros(classes, channels))

    def forward(self, input: Tensor) -> Tensor:
        """Normalise float (N, C, H, W)."""
        scale, offset = (each[self.labels, :, None, None] for each in (self.scales, self.offsets))
        result: Tensor = super().forward(input) * (1 + scale) + offset
        return result


class _MeanOfProcesses(torch.autograd.Function):
    """Mean of a tensor over all processes, whose gradient is that of the sum of their losses."""

    @staticmethod
    def forward(ctx: Any, value: Tensor) -> Tensor:
        return _mean_of_processes(value)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        return _mean_of_processes(gradients[0])


def _mean_of_processes(value: Tensor) -> Tensor:
    total = value.clone()
    dist.all_reduce(total)
    return total / dist.get_world_size()


class FoldedDoubling(nn.Sequential):
    """Nearest neighbour to twice the side, then a 3 x 3 convolution, computed as one layer.

    Both together are a transposed 4 x 4 convolution with stride 2 whose kernel sums the weights
    that meet the same pixel: 4 products per pixel instead of 9 (after Karras 2020, arXiv
    1912.04958, `conv2d_resample`). The weights are those of the convolution.
    """

    def __init__(self, wide: int, narrow: int, *, bias: bool) -> None:
        super().__init__(
            nn.Upsample(scale_factor=2), nn.Conv2d(wide, narrow, 3, padding=1, bias=bias)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Double the side: float (N, wide, H, W) to (N, narrow, 2H, 2W)."""
        convolution = cast(nn.Conv2d, self[1])
        weight = convolution.weight
        narrow, wide = weight.shape[:2]
        # Along one axis, which of the 3 weights meet in each of the 4, last one first.
        one = torch.eye(3, dtype=weight.dtype, device=weight.device)
        meet = (nn.functional.pad(one, (0, 0, 0, 1)) + nn.functional.pad(one, (0, 0, 1, 0))).flip(0)
        # A product is several times as fast as sums of shifted weights, and so is its gradient.
        kernel = weight.reshape(narrow * wide, 9) @ torch.kron(meet, meet).T
        kernel = kernel.view(narrow, wide, 4, 4).transpose(0, 1)
        return nn.functional.conv_transpose2d(x, kernel, convolution.bias, stride=2, padding=1)


def _inputs(config: GANConfig) -> int:
    """Return the number of inputs per image: the latent, and the classes if there are several."""
    return config.latent_dim + (config.n_classes if config.n_classes > 1 else 0)


def _doubling(config: GANConfig, wide: int, narrow: int, *, bias: bool) -> nn.Module:
    if config.upsampling == "transposed":
        return nn.ConvTranspose2d(wide, narrow, 4, stride=2, padding=1, bias=bias)
    return FoldedDoubling(wide, narrow, bias=bias)


def _batch_norm(channels: int, classes: int) -> BatchNorm:
    return BatchNorm(channels) if classes == 1 else ClassBatchNorm(channels, classes)


def _in_equal_parts(count: int, classes: int, device: torch.device) -> Tensor:
    """Return sorted classes, int64 (count,), as many of each as can be."""
    return torch.arange(count, device=device) * classes // count


def _norm(config: GANConfig, channels: int) -> nn.Module:
    if config.discriminator_norm == "batch":
        return BatchNorm(channels)
    return nn.GroupNorm(math.gcd(GROUPS, channels), channels)


def initialise(network: nn.Module, random: torch.Generator | None = None) -> None:
    """Draw all weights again: N(0, 0.02), batch norm scales N(1, 0.02), offsets 0.

    Args:
        network: Network, changed in place.
        random: Random stream; None: torch's global one.
    """
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d | nn.Linear | nn.BatchNorm2d):
            mean = 1.0 if isinstance(layer, nn.BatchNorm2d) else 0.0
            nn.init.normal_(layer.weight, mean, 0.02, generator=random)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


def _first_layers(config: GANConfig, widths: list[int], channels: int) -> Iterator[nn.Module]:
    """Yield the layers from pixels to features at half the side, without a norm (the paper)."""
    if config.full_resolution:
        yield nn.Conv2d(channels, widths[0], 3, padding=1)
        yield nn.LeakyReLU(0.2, inplace=True)
        channels, widths = widths[0], widths[1:]
    yield nn.Conv2d(channels, widths[0], 4, stride=2, padding=1)
    yield nn.LeakyReLU(0.2, inplace=True)


def _widths(config: GANConfig, filters: int) -> list[int]:
    """Return the feature maps at sides S (at full resolution only), S / 2, S / 4, ..., 4."""
    halvings = (config.image_size // SMALLEST_SIDE).bit_length() - 1
    halved = [filters * 2**k for k in range(halvings)]
    return [max(FEWEST, filters // 2), *halved] if config.full_resolution else halved
