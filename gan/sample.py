"""Images by number: image n depends on the checkpoint, the seed and n alone."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from collections.abc import Generator as Yielding
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gan.checkpoint import LoadedGenerator
from gan.networks import Generator
from gan.randomness import Purpose, random_stream
from gan.transforms import to_uint8

BLOCK = 64
"""Images per forward pass, always: a product's last bit depends on the size of the batch."""


def generate(
    source: LoadedGenerator | Generator,
    *,
    start: int,
    count: int,
    seed: int,
    device: torch.device | str = "cpu",
) -> Yielding[tuple[int, NDArray[np.uint8]], None, None]:
    """Make images number start to start + count - 1.

    Args:
        source: A generator; it is moved to the device and put in eval mode.
        start: Number of the first image, at least 0.
        count: How many images, at least 0.
        seed: Chooses the sequence of latents, at least 0.
        device: Where the network runs.

    Yields:
        Number of the first image of a batch, and the batch: uint8 (B, S, S), 1 <= B <= 64.

    Raises:
        ValueError: A number is negative.
    """
    if start < 0 or count < 0 or seed < 0:
        raise ValueError(
            f"start, count and seed should be at least 0, not {start}, {count} and {seed}."
        )
    generator = source if isinstance(source, Generator) else source.generator
    generator.eval().to(device)
    stop = start + count

    def make(block: int) -> tuple[int, NDArray[np.uint8]]:
        first = block * BLOCK
        low, high = max(start - first, 0), min(stop - first, BLOCK)
        with torch.inference_mode():
            latents = block_of_latents(generator.config.latent_dim, seed, block).to(device)
            images = to_uint8(generator(latents)[low:high])
        return first + low, images.squeeze(1).cpu().numpy()

    blocks = range(start // BLOCK, -(-stop // BLOCK) if count else 0)
    if torch.device(device).type == "cpu":
        yield from _in_threads(make, blocks)
    else:
        yield from map(make, blocks)


def _in_threads(
    make: Callable[[int], tuple[int, NDArray[np.uint8]]], blocks: Iterable[int]
) -> Iterator[tuple[int, NDArray[np.uint8]]]:
    """Blocks in their order, each made by one thread.

    A pass that shares its work between threads waits for the slowest of them after each layer, the
    more so beside threads that encode; whole blocks do not wait for each other.
    """
    threads = torch.get_num_threads()
    try:
        with ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            waiting: deque[Future[tuple[int, NDArray[np.uint8]]]] = deque()
            for block in blocks:
                waiting.append(pool.submit(make, block))
                if len(waiting) > 2 * threads:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
    finally:
        torch.set_num_threads(threads)  # the pool has lowered what further threads begin with


def block_of_latents(latent_dim: int, seed: int, block: int) -> Tensor:
    """Latents of images 64 * block to 64 * block + 63.

    Drawn on the CPU whatever the device, so that they are the same on all.

    Returns:
        float32 (64, latent_dim), standard normal.
    """
    return torch.randn(BLOCK, latent_dim, generator=random_stream(Purpose.SAMPLE, seed, block))


def interpolate(source: LoadedGenerator, *, walks: int, steps: int, seed: int) -> NDArray[np.uint8]:
    """Walk from latent to latent, along great circles as White 2016 (arXiv 1609.04468) advises.

    A generator that has stored its training images jumps from one to the next; one that has learnt
    what they share changes gradually.

    Args:
        source: The generator, on the CPU.
        walks: How many walks.
        steps: Images of a walk, ends included, at least 2.
        seed: Chooses the ends.

    Returns:
        uint8 (walks * steps, S, S), one walk after another.
    """
    shape = (2, walks, 1, source.config.latent_dim)
    start, end = torch.randn(shape, generator=random_stream(Purpose.WALK, seed))
    angle = torch.arccos(torch.cosine_similarity(start, end, dim=-1))[..., None]
    share = torch.linspace(0, 1, steps)[:, None]
    latents = (torch.sin((1 - share) * angle) * start + torch.sin(share * angle) * end) / torch.sin(
        angle
    )
    with torch.inference_mode():
        images = to_uint8(source.generator.eval()(latents.flatten(0, 1)))
    return images.squeeze(1).numpy()
