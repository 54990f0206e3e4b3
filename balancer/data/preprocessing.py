"""The preprocessing of an index: its record, its lung masks, and the fingerprint of the index."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from balancer.data.cache import full_recipe
from balancer.data.records import PrepareMetrics
from balancer.data.roots import Roots
from balancer.errors import IntegrityError
from balancer.imaging.config import ImageRecipe
from balancer.imaging.preprocess import from_record, preprocessor
from balancer.manifest import fingerprint
from balancer.results import StageResult, difference, read_result

if TYPE_CHECKING:
    from balancer.data.masks.of_index import LungMasks

INDEX_NAME = "index.csv"


def read_preprocessing(
    result: StageResult[PrepareMetrics], index_dir: Path, roots: Roots
) -> tuple[ImageRecipe, "LungMasks | None"]:
    """Read back the settings of an index and the lung masks that they need.

    Raises:
        IntegrityError: The settings are of another version, or the table of masks was changed.
    """
    where = f"{index_dir / 'result.json'}"
    preprocessing = from_record(result.setting("preprocessing", {}), where)
    if preprocessing.lungs == "none":
        return preprocessing, None
    # Imported here alone: an index without a view of the lungs needs no code for masks.
    from balancer.data.masks.of_index import MASKS_NAME, read_masks

    masks = read_masks(index_dir, roots)
    if masks.fingerprint != result.metrics.masks_sha256:
        raise IntegrityError(
            f"{index_dir / MASKS_NAME} should be as prepare wrote it, but was changed; run prepare "
            "again with --force."
        )
    return preprocessing, masks


def index_fingerprint(table: bytes, preprocessing: ImageRecipe, masks: "LungMasks | None") -> str:
    """Return what later stages record as their input: the records and all that decides the pixels.

    Args:
        table: Content of `index.csv`.
        preprocessing: Preprocessing of the images; the default adds nothing, so that this is the
            SHA-256 of the table.
        masks: Lung masks, where the preprocessing needs them.
    """
    recipe: Sequence[str] = full_recipe(preprocessor(preprocessing), masks)
    return fingerprint(table + "\n".join(recipe).encode())


def learnt_from(provenance: Mapping[str, Any], where: str) -> ImageRecipe:
    """Return the preprocessing of the images that a checkpoint learnt from.

    Args:
        provenance: Provenance of the checkpoint; one older than the preprocessing records none.
        where: Name of the checkpoint, for the error.

    Raises:
        IntegrityError: The record is of another version, or is no such record.
    """
    return from_record(provenance.get("preprocessing", {}), where)


def refuse_other_preprocessing(
    provenance: Mapping[str, Any], wanted: ImageRecipe, where: str
) -> None:
    """Refuse a checkpoint that learnt from images with another preprocessing than those at hand.

    Raises:
        IntegrityError: The two differ; or see `learnt_from`.
    """
    learnt = learnt_from(provenance, where)
    keys = (*learnt.settings(), *wanted.settings())
    unlike = difference(_named(learnt, keys), _named(wanted, keys))
    if unlike:
        raise IntegrityError(
            f"{where} should have learnt from images prepared as those of this index, but was made "
            f"with {unlike}; train it again, or run prepare with its settings."
        )


def _named(config: ImageRecipe, keys: Sequence[str]) -> dict[str, Any]:
    values = config.model_dump(mode="json")
    return {"preprocessing": {key: values[key] for key in keys}}


def hash_of_index(index_dir: Path) -> str:
    """Return the fingerprint of the index in a folder, without reading its records.

    Raises:
        IntegrityError: See `read_preprocessing`.
    """
    table, result = (index_dir / INDEX_NAME).read_bytes(), read_result(index_dir, PrepareMetrics)
    if result is None:
        return fingerprint(table)
    return index_fingerprint(table, *read_preprocessing(result, index_dir, Roots({})))
