"""Find the lungs of every image of an index, with a few images in memory at a time."""

import heapq
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track

from balancer.data.cache import verified_film
from balancer.data.index import Index
from balancer.data.io import png_bytes, resize_square
from balancer.data.masks.decode import read_fitting_mask
from balancer.data.masks.of_index import CLASSICAL, UNET
from balancer.data.threads import map_threaded
from balancer.imaging.lungs.segment import LungField, dice, judge_mask, segment_lungs
from balancer.imaging.pixels import Mask, Pixels, fit_mask
from balancer.lungs.sheets import SheetImage, save_outlines, save_views
from balancer.lungs.table import LungRow, mask_names
from balancer.manifest import ImageRecord

OUTLINES, VIEWS = "outlines.png", "before-after.png"
_AT_A_TIME = 16
_DOUBTFUL, _AT_RANDOM, _ROWS = 12, 12, 6
_SHEET_SIDE = 512
_WORTH_A_BAR = 500

Predict = Callable[[NDArray[np.uint8]], NDArray[np.float32]]


@dataclass(frozen=True, slots=True)
class LungPredictor:
    """A trained U-Net as a function.

    Attributes:
        predict: Maps uint8 (N, S, S) to the probability of lung, float32 (N, S, S).
        image_size: S.
    """

    predict: Predict
    image_size: int


def apply_to_index(
    index: Index,
    network: LungPredictor | None,
    annotated: Mapping[str, Path],
    folder: Path,
    *,
    seed: int,
) -> list[LungRow]:
    """Find the lungs of every image, and draw two sheets of some.

    Args:
        index: The images; their files are read unchanged, before any preprocessing.
        network: Finds the lungs; None: the segmentation without training finds them.
        annotated: Image id to the file of an annotated mask, to compare with.
        folder: Folder for `masks/`, as large as the images, and the two sheets.
        seed: Seed for the choice of images for the sheets.

    Returns:
        A row per image, in the order of the index.

    Raises:
        IntegrityError: An image is not the one that was prepared.
        DataError: A mask cannot be read.
    """
    names = mask_names([record.path for record in index.records])
    for parent in sorted({str(Path(name).parent) for name in names.values()}):
        (folder / "masks" / parent).mkdir(parents=True, exist_ok=True)
    chosen = np.random.default_rng(seed).permutation(len(index.records))[:_AT_RANDOM]
    wanted = {index.records[row].image_id for row in chosen}
    rows: list[LungRow] = []
    at_random: list[SheetImage] = []
    doubtful: list[tuple[float, int, SheetImage]] = []
    console = Console(stderr=True)
    starts = range(0, len(index.records), _AT_A_TIME)
    silent = len(index.records) < _WORTH_A_BAR or not console.is_terminal
    for start in track(starts, "Finding lungs", console=console, transient=True, disable=silent):
        records = index.records[start : start + _AT_A_TIME]
        films = map_threaded(
            lambda one: verified_film(index.roots, one), records, task="Reading films"
        )
        jobs = list(zip(records, films, _fields(films, network), strict=True))

        def finish(job: tuple[ImageRecord, Pixels, LungField]) -> tuple[LungRow, SheetImage]:
            record, film, found = job
            (folder / "masks" / names[record.path]).write_bytes(
                png_bytes(found.mask.astype(np.uint8) * 255, {})
            )
            method = CLASSICAL if network is None else UNET
            return _row_of(record, film, found, method, annotated.get(record.image_id))

        for row, shown in map_threaded(finish, jobs, task="Writing masks"):
            # The rank is unique, so that images themselves are never compared.
            heapq.heappush(doubtful, (-row.quality, -len(rows), shown))
            if len(doubtful) > _DOUBTFUL:
                heapq.heappop(doubtful)
            if row.image_id in wanted:
                at_random.append(shown)
            rows.append(row)
    worst = [shown for *_, shown in sorted(doubtful, reverse=True, key=lambda one: one[:2])]
    save_outlines([*worst, *at_random], folder / OUTLINES)
    save_views(at_random[:_ROWS], folder / VIEWS)
    return rows


def _fields(films: Sequence[Pixels], network: LungPredictor | None) -> list[LungField]:
    if network is None:
        return map_threaded(segment_lungs, films, task="Finding lungs")
    # Imported late: the segmentation without training needs no torch.
    from balancer.imaging.lungs.unet import lung_mask

    squares = [resize_square(film, network.image_size) for film in films]
    chances = network.predict(np.stack(squares))

    def judged(row: int) -> LungField:
        mask = lung_mask(chances[row], films[row].shape)
        return LungField(mask, *judge_mask(films[row], mask))

    return map_threaded(judged, range(len(films)), task="Judging masks")


def _row_of(
    record: ImageRecord, film: Pixels, found: LungField, method: str, file: Path | None
) -> tuple[LungRow, SheetImage]:
    mask = None if file is None else read_fitting_mask(file, film.shape)
    agreement = None if mask is None else dice(found.mask, mask)
    caption = f"{record.image_id[:8]}  quality {found.quality:.2f}"
    if agreement is not None:
        caption += f"  Dice {agreement:.3f}"
    row = LungRow(record.image_id, record.path, method, found.quality, found.flags, agreement)
    return row, _small(film, found.mask, mask, caption)


def _small(film: Pixels, found: Mask, drawn: Mask | None, caption: str) -> SheetImage:
    """Shrink an image for a sheet, so that it does not hold images of full size."""
    scale = min(1.0, _SHEET_SIDE / max(film.shape))
    height, width = (max(1, round(side * scale)) for side in film.shape)
    small = np.asarray(cv2.resize(film, (width, height), interpolation=cv2.INTER_AREA), np.uint8)
    annotated = None if drawn is None else fit_mask(drawn, small.shape)
    return SheetImage(small, fit_mask(found, small.shape), annotated, caption)
