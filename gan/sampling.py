"""Generated images by number: image n depends only on the checkpoint, the seed and n."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from collections.abc import Generator as Yielding
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gan.arguments import require_whole
from gan.checkpoint import LoadedGenerator
from gan.networks import Generator
from gan.randomness import Purpose, random_stream
from gan.transforms import to_pictures, to_uint8

BLOCK = 64
"""Number of images per forward pass, fixed: the last bit of a product depends on the batch size."""


def sample(
    generator: LoadedGenerator | Generator,
    n: int,
    *,
    seed: int = 0,
    start: int = 0,
    device: torch.device | str = "cpu",
) -> NDArray[np.uint8]:
    """Generate n images in one array.

    Args:
        generator: Trained generator; moved to the device and set to eval mode.
        n: Number of images, at least 0.
        seed: Seed for the sequence of latents, at least 0.
        start: Number of the first image, at least 0.
        device: Device of the network.

    Returns:
        uint8 (n, S, S), or (n, S, S, 3) of a generator of colours.

    Raises:
        ValueError: A number is negative or not whole, or the generator was not loaded.

    Example:
        >>> import gan, numpy as np
        >>> images = np.random.default_rng(0).integers(0, 256, (64, 32, 32), dtype=np.uint8)
        >>> config = gan.GANConfig(image_size=32, images_shown=256)
        >>> result = gan.train(images, config, out_dir="noise-gan")
        >>> gan.sample(gan.load("noise-gan"), 100).shape
        (100, 32, 32)
    """
    if not isinstance(generator, LoadedGenerator | Generator):
        raise ValueError(
            "The generator should be a loaded one but is of type "
            f"{type(generator).__name__}; call gan.load first."
        )
    require_whole(n=n, start=start, seed=seed)
    network = generator if isinstance(generator, Generator) else generator.generator
    side = network.config.image_size
    none = torch.empty(0, network.channels, side, side, dtype=torch.uint8)
    batches = generate(generator, start=start, count=n, seed=seed, device=device)
    return np.concatenate([to_pictures(none), *(batch for _, batch in batches)])


def generate(
    source: LoadedGenerator | Generator,
    *,
    start: int,
    count: int,
    seed: int,
    device: torch.device | str = "cpu",
) -> Yielding[tuple[int, NDArray[np.uint8]], None, None]:
    """Generate images number start to start + count - 1, in batches.

    Args:
        source: Generator; moved to the device and set to eval mode.
        start: Number of the first image, at least 0.
        count: Number of images, at least 0.
        seed: Seed for the sequence of latents, at least 0.
        device: Device of the network.

    Yields:
        Number of the first image of a batch, and the batch: uint8 (B, S, S) or (B, S, S, 3),
        1 <= B <= 64.

    Raises:
        ValueError: A number is negative or not whole.
    """
    require_whole(start=start, count=count, seed=seed)
    generator = source if isinstance(source, Generator) else source.generator
    generator.eval().to(device)
    stop = start + count

    def make(block: int) -> tuple[int, NDArray[np.uint8]]:
        first = block * BLOCK
        low, high = max(start - first, 0), min(stop - first, BLOCK)
        with torch.inference_mode():
            latents = block_of_latents(generator.config.latent_dim, seed, block).to(device)
            images = to_uint8(generator(latents)[low:high])
        return first + low, to_pictures(images)

    blocks = range(start // BLOCK, -(-stop // BLOCK) if count else 0)
    if torch.device(device).type == "cpu":
        yield from _in_threads(make, blocks)
    else:
        yield from map(make, blocks)


def _in_threads(
    make: Callable[[int], tuple[int, NDArray[np.uint8]]], blocks: Iterable[int]
) -> Iterator[tuple[int, NDArray[np.uint8]]]:
    """Generate blocks in their order, each in one thread.

    A pass that shares its work between threads waits for the slowest one after each layer, above
    all when other threads encode files; whole blocks do not wait for each other.
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
        torch.set_num_threads(threads)  # the pool lowered the default of new threads


def block_of_latents(latent_dim: int, seed: int, block: int) -> Tensor:
    """Draw the latents of images 64 * block to 64 * block + 63.

    Always drawn on the CPU, so that they are the same on all devices.

    Returns:
        float32 (64, latent_dim), standard normal.
    """
    return torch.randn(BLOCK, latent_dim, generator=random_stream(Purpose.SAMPLE, seed, block))


def interpolate(source: LoadedGenerator, *, walks: int, steps: int, seed: int) -> NDArray[np.uint8]:
    """Generate images between pairs of latents, on great circles (White 2016, arXiv 1609.04468).

    A generator that memorized its training images jumps from one to the next; one that learnt their
    common features changes gradually.

    Args:
        source: Generator, on the CPU.
        walks: Number of walks.
        steps: Number of images per walk, ends included, at least 2.
        seed: Seed for the ends.

    Returns:
        uint8 (walks * steps, S, S) or (walks * steps, S, S, 3), one walk after another.
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
    return to_pictures(images)
