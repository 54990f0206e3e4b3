"""Images made and written as PNGs, against the bare forward pass of the same generator.

python benchmarks/synthesis.py [--images 5000] [--image-size 64] [--filters 32] [--rounds 3]
"""

import os
import tempfile
import time
from pathlib import Path

import click
import torch

from balancer.synthetic.dcgan import DcganSource
from balancer.synthetic.write import write_images
from gan import GANConfig, LoadedGenerator, Provenance, load
from gan.checkpoint import save_generator
from gan.networks import Generator, initialise

BATCH = 64


def untrained(config: GANConfig, directory: Path) -> LoadedGenerator:
    """A saved and loaded generator; the weights make no difference to the speed."""
    generator = Generator(config)
    initialise(generator, torch.Generator().manual_seed(0))
    provenance = Provenance(class_name="benchmark", index_hash="", training_ids=())
    directory.mkdir()
    save_generator(directory, generator.eval(), provenance=provenance, seed=0, images_shown=0)
    return load(directory)


def bare_rate(loaded: LoadedGenerator, images: int) -> float:
    """Images per second of the forward pass alone."""
    latents = torch.randn(BATCH, loaded.config.latent_dim)
    started = time.perf_counter()
    with torch.inference_mode():
        for _ in range(images // BATCH):
            loaded.generator(latents)
    return images // BATCH * BATCH / (time.perf_counter() - started)


def written_rate(loaded: LoadedGenerator, images: int, folder: Path) -> float:
    """Images per second to PNGs on disk and their records."""
    folder.mkdir()
    os.sync()  # or this round would pay for writing back the files of the one before
    started = time.perf_counter()
    records = list(
        write_images(DcganSource(loaded), "COVID", count=images, folder=folder, device="cpu")
    )
    seconds = time.perf_counter() - started
    if len(records) != images or len(list((folder / "COVID").iterdir())) != images:
        raise RuntimeError(f"{images} images should stand in {folder}, but do not.")
    return images / seconds


@click.command()
@click.option("--images", default=5_000, show_default=True)
@click.option("--image-size", default=64, show_default=True)
@click.option("--filters", default=32, show_default=True)
@click.option("--rounds", default=3, show_default=True, help="In turns; the best of each counts.")
def main(images: int, image_size: int, filters: int, rounds: int) -> None:
    """Print images per second of both, and their ratio."""
    config = GANConfig(image_size=image_size, generator_filters=filters)
    bare, written = [], []
    with tempfile.TemporaryDirectory() as name:
        loaded = untrained(config, Path(name) / "generator")
        bare_rate(loaded, BATCH * 2)  # the first calls choose their kernels
        for number in range(rounds):
            bare.append(bare_rate(loaded, images))
            written.append(written_rate(loaded, images, Path(name) / f"round-{number}"))
    for label, rates in (("bare forward pass", bare), ("PNGs on disk", written)):
        listed = " ".join(f"{rate:.0f}" for rate in rates)
        print(f"{label:18s} {max(rates):6.0f} images/s (rounds: {listed})")
    print(
        f"{images} images of {image_size} px, {filters} filters: PNGs on disk at "
        f"{max(written) / max(bare):.2f} of the bare rate"
    )


if __name__ == "__main__":
    main()
