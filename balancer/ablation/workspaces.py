"""A workspace for each fold, so that its GANs and images pass the same gates as any others."""

import logging
import os
from pathlib import Path

from balancer.ablation.folds import Fold
from balancer.data.build import split_table
from balancer.data.details_table import DETAILS_NAME, details_bytes
from balancer.data.index import Index, load_index
from balancer.data.masks.of_index import MASKS_NAME, masks_bytes
from balancer.data.preprocessing import INDEX_NAME
from balancer.data.records import PrepareMetrics
from balancer.manifest import ImageRecord, fingerprint, table_bytes
from balancer.results import StageResult, perform, read_result, standing_result
from balancer.workspace import Workspace

log = logging.getLogger(__name__)


def write_fold(workspace: Workspace, index: Index, fold: Fold, *, force: bool) -> Index:
    """Write the index of a fold and read it back through the gate.

    Args:
        workspace: The main workspace; that of the fold is in its `runs/folds/`.
        index: The main index.
        fold: The fold.
        force: Replace an existing fold of other splits.

    Raises:
        ConfigurationError: A fold of that name has other splits, and `force` is off.
        IntegrityError: It was changed.
    """
    place = workspace.fold(fold.name)
    main = _main_result(index)
    table = table_bytes(fold.records, ImageRecord)
    settings = main.settings | {"fold": fold.name, "splits": fingerprint(table)}
    inputs = {"index": index.index_hash}
    standing = standing_result(
        place.index_dir,
        PrepareMetrics,
        settings=settings,
        inputs=inputs,
        force=force,
        keep_on_new_inputs=True,
        announce=False,
    )
    if standing is None:
        perform(
            "ablate",
            place,
            place.index_dir,
            settings=settings,
            inputs=inputs,
            work=lambda folder: _write(folder, table, fold, index, main.metrics),
        )
    _share_pixels(index.directory, place.index_dir)
    return load_index(place.index_dir)


def _main_result(index: Index) -> StageResult[PrepareMetrics]:
    result = read_result(index.directory, PrepareMetrics)
    if result is None:
        raise RuntimeError(f"{index.directory} was loaded but has no result.json.")
    return result


def _write(
    folder: Path, table: bytes, fold: Fold, index: Index, metrics: PrepareMetrics
) -> PrepareMetrics:
    (folder / INDEX_NAME).write_bytes(table)
    # A split that leaves a source out holds a part of the images.
    known = {one.image_id: one for one in index.details()}
    details = details_bytes([known[record.image_id] for record in fold.records])
    (folder / DETAILS_NAME).write_bytes(details)
    if index.masks is not None:
        (folder / MASKS_NAME).write_bytes(masks_bytes(index.masks, fold.records))
    labels = sorted({record.label for record in fold.records})
    return metrics.model_copy(
        update={
            "index_sha256": fingerprint(table),
            "details_sha256": fingerprint(details),
            "splits": split_table(fold.records, labels),
        }
    )


def _share_pixels(main: Path, fold: Path) -> None:
    """Link the main cache: folds have the same images in the same order."""
    cache = fold / "cache"
    if not cache.is_symlink() and not cache.exists():
        (main / "cache").mkdir(exist_ok=True)
        cache.symlink_to(os.path.relpath(main / "cache", fold), target_is_directory=True)
