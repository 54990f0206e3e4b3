"""GAN training against the classic loop as people write it, end to end, in one run.

The classic loop follows pytorch/examples `dcgan/main.py`: an ImageFolder whose files are decoded
and resized again in each epoch by a DataLoader's workers, two plain Adams, default memory format.
Both train the paper's networks from the files on disk, at the same batch, for the same number of
images, without augmentation. Ours reads the files once and includes its records and checkpoints.

Usage: python benchmarks/gan_training.py [--data FOLDER] [--image-size 64] [--filters 32]
"""

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import click
import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader
from torch.utils.flop_counter import FlopCounterMode
from torchvision import datasets, transforms

from gan import GANConfig, GANTrainerOptions, train
from gan.losses import discriminator_loss, generator_loss
from gan.networks import Discriminator, Generator


def classic_networks(config: GANConfig) -> tuple[Generator, Discriminator]:
    """Our networks in the default memory format."""
    plain = config.model_copy(update={"channels_last": False})
    return Generator(plain), Discriminator(plain)


def classic_step(config: GANConfig) -> Callable[[Tensor], None]:
    """The step of pytorch/examples, on logits."""
    generator, discriminator = classic_networks(config)
    criterion = nn.BCEWithLogitsLoss()
    betas = (config.beta1, config.beta2)
    optimizer_d = torch.optim.Adam(discriminator.parameters(), lr=2e-4, betas=betas)
    optimizer_g = torch.optim.Adam(generator.parameters(), lr=2e-4, betas=betas)

    def step(real: Tensor) -> None:
        ones, zeros = torch.ones(len(real)), torch.zeros(len(real))
        discriminator.zero_grad()
        criterion(discriminator(real), ones).backward()
        fake = generator(torch.randn(len(real), config.latent_dim))
        criterion(discriminator(fake.detach()), zeros).backward()
        optimizer_d.step()
        generator.zero_grad()
        criterion(discriminator(fake), ones).backward()
        optimizer_g.step()

    return step


def train_classic(config: GANConfig, root: Path, workers: int) -> int:
    """Train from the files on disk; returns the images shown."""
    size = config.image_size
    pixels = transforms.Compose(
        [
            transforms.Grayscale(),
            transforms.Resize(size),
            transforms.CenterCrop(size),
            transforms.ToTensor(),
            transforms.Normalize((0.5,), (0.5,)),
        ]
    )
    loader = DataLoader(
        datasets.ImageFolder(str(root), pixels),
        batch_size=config.batch_size,
        shuffle=True,
        num_workers=workers,
    )
    step, shown = classic_step(config), 0
    while shown < config.images_shown:
        for real, _ in loader:
            step(real)
            shown += len(real)
            if shown >= config.images_shown:
                break
    return shown


def train_ours(config: GANConfig, root: Path, out_dir: Path) -> int:
    """Train from the files on disk; returns the images shown."""
    side = config.image_size
    paths = sorted(path for path in root.rglob("*") if path.is_file())
    pixels = []
    for path in paths:
        with Image.open(path) as image:
            resized = image.convert("L").resize((side, side), Image.Resampling.BILINEAR)
        pixels.append(np.asarray(resized))
    options = GANTrainerOptions(accelerator="cpu")
    return train(np.stack(pixels), config, out_dir=out_dir, trainer_options=options).images_shown


def draw_noise(directory: Path, count: int, side: int) -> None:
    """Write smooth noise as PNGs."""
    random = np.random.default_rng(0)
    for number in range(count):
        coarse = random.integers(0, 256, (side // 8, side // 8), dtype=np.uint8)
        image = Image.fromarray(coarse).resize((side, side), Image.Resampling.BICUBIC)
        image.save(directory / f"{number:04d}.png")


def matmul_peak() -> float:
    """Best rate of a float32 product in FLOP/s, at several sizes."""
    best = 0.0
    for side in (1024, 2048):
        a, b = torch.rand(side, side), torch.rand(side, side)
        for _ in range(8):
            started = time.perf_counter()
            a @ b
            best = max(best, 2 * side**3 / (time.perf_counter() - started))
    return best


def our_step(config: GANConfig) -> Callable[[Tensor], None]:
    """Multiplications of one of our steps: D's weights are left out of G's backward pass."""
    generator, discriminator = Generator(config), Discriminator(config)

    def step(real: Tensor) -> None:
        fakes = generator(torch.randn(len(real), config.latent_dim))
        discriminator_loss(discriminator(real), discriminator(fakes.detach())).backward()
        discriminator.requires_grad_(False)
        generator_loss(discriminator(fakes)).backward()

    return step


def flops_per_image(config: GANConfig, step: Callable[[Tensor], None]) -> float:
    """Floating-point operations of the convolutions of a step."""
    real = torch.rand(config.batch_size, 1, config.image_size, config.image_size)
    with FlopCounterMode(display=False) as counter:
        step(real)
    return counter.get_total_flops() / config.batch_size


def measure(train: Callable[[], int]) -> float:
    """Images per second of a training."""
    started = time.perf_counter()
    shown = train()
    return shown / (time.perf_counter() - started)


@click.command()
@click.option("--data", type=click.Path(path_type=Path, exists=True, file_okay=False), default=None)
@click.option("--image-size", default=64, show_default=True)
@click.option("--filters", default=32, show_default=True)
@click.option("--batch-size", default=32, show_default=True)
@click.option("--images-shown", default=9_600, show_default=True, help="Per round, for each.")
@click.option("--workers", default=2, show_default=True, help="Of the classic DataLoader.")
@click.option("--rounds", default=3, show_default=True, help="In turns; the best of each counts.")
def main(
    data: Path | None,
    image_size: int,
    filters: int,
    batch_size: int,
    images_shown: int,
    workers: int,
    rounds: int,
) -> None:
    """Print images per second of both loops, their ratio, and the share of the CPU's peak."""
    config = GANConfig(
        image_size=image_size,
        generator_filters=filters,
        discriminator_filters=filters,
        batch_size=batch_size,
        images_shown=images_shown,
        upsampling="transposed",
        full_resolution=False,
        discriminator_norm="batch",
        companion_share=0,
        decay_share=0,
        augment=(),
    )
    with tempfile.TemporaryDirectory() as name:
        root = Path(name) / "classes"
        root.mkdir()
        if data is None:
            (root / "noise").mkdir()
            draw_noise(root / "noise", 295, 224)
        else:
            (root / "class").symlink_to(data.resolve(), target_is_directory=True)
        folder = next(root.iterdir()).resolve()
        rates: dict[str, list[float]] = {"classic": [], "ours": []}
        peaks = []
        for number in range(rounds):
            out_dir = Path(name) / f"run-{number}"
            peaks.append(matmul_peak())
            rates["classic"].append(measure(lambda: train_classic(config, root, workers)))
            rates["ours"].append(
                measure(lambda folder=folder, out_dir=out_dir: train_ours(config, folder, out_dir))
            )
    peak = max(peaks)
    work = {
        "classic": flops_per_image(config, classic_step(config)),
        "ours": flops_per_image(config, our_step(config)),
    }
    print(
        f"{image_size} px, {filters} filters, batch {batch_size}, {images_shown} images per round"
    )
    print(f"matrix product peak of this CPU: {peak / 1e9:.0f} GFLOP/s")
    for label, values in rates.items():
        listed = " ".join(f"{value:.0f}" for value in values)
        share = max(values) * work[label] / peak
        print(
            f"{label:8s} {max(values):6.0f} images/s (rounds: {listed}), "
            f"{work[label] / 1e9:.2f} GFLOP per image, {share:.0%} of the peak"
        )
    print(f"ratio    {max(rates['ours']) / max(rates['classic']):.2f} end to end")


if __name__ == "__main__":
    main()
