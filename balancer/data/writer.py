"""Write generated images as marked PNGs; encoding runs beside the generator."""

import hashlib
import logging
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from balancer.data.io import png_bytes
from balancer.manifest import SYNTHETIC, SyntheticRecord
from gan.checkpoint import LoadedGenerator
from gan.sample import generate

log = logging.getLogger(__name__)

_ENCODERS = 2
_BATCHES_AHEAD = 4


def write_images(
    loaded: LoadedGenerator, label: str, *, count: int, folder: Path, device: torch.device | str
) -> Iterator[SyntheticRecord]:
    """Write images 0 to count - 1 of a generator to `folder/label/`, which must not exist.

    Args:
        loaded: The generator; its own seed chooses the images.
        label: The class they are of.
        count: How many.
        folder: The folder of all classes.
        device: Where the generator runs.

    Yields:
        One training record per image, in the order of their numbers.

    Raises:
        OSError: A file cannot be written.
    """
    (folder / label).mkdir()
    log.info("Making %d images of %s", count, label)
    batches = generate(loaded, start=0, count=count, seed=loaded.metadata.seed, device=device)
    with ThreadPoolExecutor(_ENCODERS) as pool:
        waiting: list[Future[list[SyntheticRecord]]] = []
        for first, images in batches:
            waiting.append(
                pool.submit(_write_batch, images, first, label, loaded.checkpoint_hash, folder)
            )
            if len(waiting) > _BATCHES_AHEAD:
                yield from waiting.pop(0).result()
        for future in waiting:
            yield from future.result()


def _write_batch(
    images: NDArray[np.uint8], first: int, label: str, checkpoint: str, folder: Path
) -> list[SyntheticRecord]:
    return [
        _write_one(image, number, label, checkpoint, folder)
        for number, image in enumerate(images, first)
    ]


def _write_one(
    image: NDArray[np.uint8], number: int, label: str, checkpoint: str, folder: Path
) -> SyntheticRecord:
    marks = {"Synthetic": "true", "Checkpoint": checkpoint, "Seed": str(number)}
    content = png_bytes(image, marks)
    path = Path(label, f"{number:06d}.png")
    (folder / path).write_bytes(content)
    return SyntheticRecord(
        image_id=hashlib.sha256(content).hexdigest(),
        path=path.as_posix(),
        label=label,
        group=f"synthetic-{checkpoint[:12]}-{number:06d}",
        source="dcgan",
        width=image.shape[1],
        height=image.shape[0],
        split="train",
        origin=SYNTHETIC,
        seed=number,
        checkpoint=checkpoint,
        accepted=True,
        reason="",
    )
