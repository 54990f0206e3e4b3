"""Write generated images as marked PNGs, those that were rejected apart from the others."""

import hashlib
import logging
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from balancer.data.io import png_bytes
from balancer.errors import DataError
from balancer.manifest import SYNTHETIC, SyntheticRecord
from gan.checkpoint import LoadedGenerator
from gan.sampling import generate

log = logging.getLogger(__name__)

REJECTED = "rejected"
Screening = Callable[[NDArray[np.uint8]], Sequence[str]]
"""Images (N, S, S) to the reason against each; an empty one where there is none."""

_ENCODERS = 2
_BATCHES_AHEAD = 4


def write_images(
    loaded: LoadedGenerator,
    label: str,
    *,
    count: int,
    folder: Path,
    device: torch.device | str,
    screen: Screening | None = None,
    most: int | None = None,
) -> Iterator[SyntheticRecord]:
    """Write images 0, 1, 2, ... of a generator until `count` of them are accepted.

    They go to `folder/label/`, rejected ones to `folder/rejected/label/`; neither may exist.

    Args:
        loaded: The generator; its own seed chooses the images.
        label: The class they are of.
        count: How many are wanted.
        folder: The folder of all classes.
        device: Where the generator runs.
        screen: Decides which are accepted; None: all are.
        most: How many are made at most; None: `count`.

    Yields:
        One training record per image, in the order of their numbers.

    Raises:
        DataError: Too few were accepted.
        OSError: A file cannot be written.
    """
    (folder / label).mkdir()
    log.info("Making %d images of %s", count, label)
    with ThreadPoolExecutor(_ENCODERS) as pool:
        waiting: list[Future[list[SyntheticRecord]]] = []
        for first, images, reasons in _screened(
            loaded, label, count, most or count, device, screen
        ):
            waiting.append(
                pool.submit(
                    _write_batch, images, reasons, first, label, loaded.checkpoint_hash, folder
                )
            )
            if len(waiting) > _BATCHES_AHEAD:
                yield from waiting.pop(0).result()
        for future in waiting:
            yield from future.result()


def _screened(
    loaded: LoadedGenerator,
    label: str,
    count: int,
    most: int,
    device: torch.device | str,
    screen: Screening | None,
) -> Iterator[tuple[int, NDArray[np.uint8], Sequence[str]]]:
    """Number of the first image, images and reasons, cut after the last image that is wanted."""
    against: Counter[str] = Counter()
    seed = loaded.metadata.seed
    with closing(generate(loaded, start=0, count=most, seed=seed, device=device)) as batches:
        for first, images in batches:
            reasons = [""] * len(images) if screen is None else list(screen(images))
            accepted = np.cumsum([not reason for reason in reasons]) + against[""]
            needed = int(np.searchsorted(accepted, count)) + 1
            against.update(reasons[:needed])
            yield first, images[:needed], reasons[:needed]
            if against[""] == count:
                return
    reasons_found = ", ".join(f"{reason} {n:,}" for reason, n in against.most_common() if reason)
    raise DataError(
        f"The plan wants {count:,} images of {label}, but of {most:,} made only {against['']:,} "
        f"passed the screen ({reasons_found}); train a better generator, or loosen gate or "
        "synthesis.screen."
    )


def _write_batch(
    images: NDArray[np.uint8],
    reasons: Sequence[str],
    first: int,
    label: str,
    checkpoint: str,
    folder: Path,
) -> list[SyntheticRecord]:
    if any(reasons):
        (folder / REJECTED / label).mkdir(parents=True, exist_ok=True)
    return [
        _write_one(image, reason, number, label, checkpoint, folder)
        for number, (image, reason) in enumerate(zip(images, reasons, strict=True), first)
    ]


def _write_one(
    image: NDArray[np.uint8], reason: str, number: int, label: str, checkpoint: str, folder: Path
) -> SyntheticRecord:
    marks = {"Synthetic": "true", "Checkpoint": checkpoint, "Seed": str(number)}
    content = png_bytes(image, marks)
    path = Path(*([REJECTED] if reason else []), label, f"{number:06d}.png")
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
        accepted=not reason,
        reason=reason,
    )
