"""Write images of a source as marked PNGs, rejected ones in a folder of their own."""

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
from balancer.synthetic.gates import REJECTS
from balancer.synthetic.source import SyntheticSource

log = logging.getLogger(__name__)

FindReasons = Callable[[NDArray[np.uint8]], Sequence[str]]
"""Return the reason against each image of uint8 (N, S, S); an empty one where there is none."""

_ENCODERS = 2
_BATCHES_AHEAD = 4


def write_images(
    source: SyntheticSource,
    label: str,
    *,
    count: int,
    folder: Path,
    device: torch.device | str,
    find_reasons: FindReasons | None = None,
    most: int | None = None,
) -> Iterator[SyntheticRecord]:
    """Write images 0, 1, 2, ... of a source until `count` of them are accepted.

    They go to `folder/label/`, rejected ones to `folder/rejected/label/`; neither may exist.

    Args:
        source: The source of the images.
        label: Class of the images.
        count: Number of accepted images to write.
        folder: Folder of all classes.
        device: Device that draws the images.
        find_reasons: Screen of the images; None: all are accepted.
        most: Largest number of images to draw; None: `count`.

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
            source, label, count, most or count, device, find_reasons
        ):
            waiting.append(pool.submit(_write_batch, images, reasons, first, label, source, folder))
            if len(waiting) > _BATCHES_AHEAD:
                yield from waiting.pop(0).result()
        for future in waiting:
            yield from future.result()


def _screened(
    source: SyntheticSource,
    label: str,
    count: int,
    most: int,
    device: torch.device | str,
    find_reasons: FindReasons | None,
) -> Iterator[tuple[int, NDArray[np.uint8], Sequence[str]]]:
    """Yield the number of the first image, images and reasons, up to the last image needed."""
    against: Counter[str] = Counter()  # empty: accepted
    with closing(source.draw(0, most, device)) as batches:
        for first, images in batches:
            reasons = [""] * len(images) if find_reasons is None else list(find_reasons(images))
            accepted = np.cumsum([not reason for reason in reasons]) + against[""]
            needed = int(np.searchsorted(accepted, count)) + 1
            against.update(reasons[:needed])
            yield first, images[:needed], reasons[:needed]
            if against[""] == count:
                return
    reasons_found = ", ".join(f"{reason} {n:,}" for reason, n in against.most_common() if reason)
    raise DataError(
        f"The plan needs {count:,} images of {label}, but of {against.total():,} made only "
        f"{against['']:,} passed the screen ({reasons_found or 'no reason against any'}); train a "
        "better generator or bring more images, ask for fewer (--ratio), or loosen gate or "
        "synthesis.screen."
    )


def _write_batch(
    images: NDArray[np.uint8],
    reasons: Sequence[str],
    first: int,
    label: str,
    source: SyntheticSource,
    folder: Path,
) -> list[SyntheticRecord]:
    if any(reasons):
        (folder / REJECTS / label).mkdir(parents=True, exist_ok=True)
    return [
        _write_one(image, reason, number, label, source, folder)
        for number, (image, reason) in enumerate(zip(images, reasons, strict=True), first)
    ]


def _write_one(
    image: NDArray[np.uint8],
    reason: str,
    number: int,
    label: str,
    source: SyntheticSource,
    folder: Path,
) -> SyntheticRecord:
    checkpoint = source.checkpoint
    marks = {"Synthetic": "true"}
    if checkpoint is not None:
        marks |= {"Checkpoint": checkpoint, "Seed": str(number)}
    content = png_bytes(image, marks)
    path = Path(*([REJECTS] if reason else []), label, f"{number:06d}.png")
    (folder / path).write_bytes(content)
    return SyntheticRecord(
        image_id=hashlib.sha256(content).hexdigest(),
        path=path.as_posix(),
        label=label,
        group=f"synthetic-{source.fingerprint[:12]}-{number:06d}",
        source=source.name,
        width=image.shape[1],
        height=image.shape[0],
        split="train",
        origin=SYNTHETIC,
        seed=None if checkpoint is None else number,
        checkpoint=checkpoint,
        accepted=not reason,
        reason=reason,
    )
