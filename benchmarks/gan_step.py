"""The step of the default GAN against the same step as the papers write it, in one run.

As written: nearest neighbour and convolution as two layers, and a pass through the discriminator
for each of the two losses. Ours computes the two layers as one, and both losses from one pass
(docs/results/gan-recipes.md). One thread, CPU seconds, the two in turn; bf16 too, where asked.

Usage: OMP_NUM_THREADS=1 python benchmarks/gan_step.py [--image-size 64] [--precision bf16-mixed]
"""

import tempfile
import time
from collections.abc import Callable
from typing import Any, cast

import click
import numpy as np
import torch
from lightning.pytorch.core.optimizer import LightningOptimizer
from torch import Tensor, nn

import gan
from gan.losses import discriminator_loss, generator_loss
from gan.module import LitDCGAN
from gan.networks import FoldedDoubling
from gan.randomness import Purpose, random_stream
from gan.transforms import to_unit_range

WARM, TIMED = 160, 1_600
"""Images shown before and while the time is taken."""


def two_pass_step(self: LitDCGAN, images: Tensor, batch_idx: int) -> None:
    """Train D, then G through the D that has just changed."""
    random = random_stream(Purpose.STEP, self.seed, self.images_shown, 0)
    latents = torch.randn(len(images), self.config.latent_dim, generator=random)
    optimizer_d, optimizer_g = cast(list[LightningOptimizer], self.optimizers())
    fakes = self.generator(latents)
    real = self._logits(to_unit_range(images), None, random)
    loss_d = discriminator_loss(real, self._logits(fakes.detach(), None, random))
    optimizer_d.zero_grad(set_to_none=True)
    self.manual_backward(loss_d)
    optimizer_d.step()
    self.discriminator.requires_grad_(False)
    loss_g = generator_loss(self._logits(fakes, None, random))
    optimizer_g.zero_grad(set_to_none=True)
    self.manual_backward(loss_g)
    optimizer_g.step()
    self.discriminator.requires_grad_(True)
    self.images_shown += len(images)
    self._update_average(len(images))
    self.losses = torch.stack((loss_d.detach(), loss_g.detach()))


def seconds_per_image(side: int, precision: str) -> float:
    """Return CPU seconds per image shown, without the start and the end of the training."""

    def train(shown: int) -> float:
        rng = np.random.default_rng(0)
        images = rng.integers(0, 256, (64, side, side), dtype=np.uint8)
        config = gan.GANConfig(image_size=side, images_shown=shown, evaluate_every=0)
        options = gan.GANTrainerOptions(accelerator="cpu", precision=precision)
        with tempfile.TemporaryDirectory() as folder:
            start = time.process_time()
            gan.train(images, config, out_dir=folder, trainer_options=options)
            return time.process_time() - start

    before = train(WARM)
    return (train(WARM + TIMED) - before) / TIMED


def as_written(measure: Callable[[], float]) -> float:
    """Measure with the layers and the step of the papers in place of ours."""
    ours: dict[type, tuple[str, Any]] = {
        FoldedDoubling: ("forward", FoldedDoubling.forward),
        LitDCGAN: ("training_step", LitDCGAN.training_step),
    }
    try:
        FoldedDoubling.forward = nn.Sequential.forward  # type: ignore[method-assign]
        LitDCGAN.training_step = two_pass_step  # type: ignore[method-assign]
        return measure()
    finally:
        for kind, (name, method) in ours.items():
            setattr(kind, name, method)


@click.command()
@click.option("--image-size", default=64, show_default=True)
@click.option("--precision", default="32-true", show_default=True)
@click.option("--repeats", default=3, show_default=True)
def main(image_size: int, precision: str, repeats: int) -> None:
    """Print images per second and core of both, and their ratio."""
    torch.set_num_threads(1)
    written, ours = [], []
    for _ in range(repeats):
        written.append(as_written(lambda: seconds_per_image(image_size, "32-true")))
        ours.append(seconds_per_image(image_size, precision))
    print(f"as written, 32-true: {1 / min(written):.0f} images/s and core")
    print(f"ours, {precision}: {1 / min(ours):.0f} images/s and core")
    print(f"ratio of the best: {min(written) / min(ours):.2f}")


if __name__ == "__main__":
    main()
