"""What an index notes of its preprocessing, and the name that it gives the index."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from balancer.data.cache import full_recipe
from balancer.data.masks.of_index import MASKS_NAME, LungMasks, read_masks
from balancer.data.roots import Roots
from balancer.errors import IntegrityError
from balancer.imaging.config import PreprocessingConfig
from balancer.imaging.preprocess import from_record, preprocessor
from balancer.manifest import fingerprint
from balancer.results import UntypedResult, difference, read_result

INDEX_NAME = "index.csv"


def read_preprocessing(
    result: UntypedResult, index_dir: Path, roots: Roots
) -> tuple[PreprocessingConfig, LungMasks | None]:
    """Read back the settings of an index and the lung masks that they ask for.

    Raises:
        IntegrityError: They are of another version, or the table of masks was changed.
    """
    where = f"{index_dir / 'result.json'}"
    preprocessing = from_record(result.settings.get("preprocessing", {}), where)
    if preprocessing.lungs == "none":
        return preprocessing, None
    masks = read_masks(index_dir, roots)
    if masks.fingerprint != result.metrics.get("masks_sha256"):
        raise IntegrityError(
            f"{index_dir / MASKS_NAME} should be as prepare wrote it, but was changed; run prepare "
            "again with --force."
        )
    return preprocessing, masks


def index_fingerprint(
    table: bytes, preprocessing: PreprocessingConfig, masks: LungMasks | None
) -> str:
    """What later stages record as their input: the records and all that makes their pixels.

    Args:
        table: Content of `index.csv`.
        preprocessing: Of its images; by default it adds nothing, and this is the table's SHA-256.
        masks: Of the lungs, where the preprocessing asks for them.
    """
    recipe: Sequence[str] = full_recipe(preprocessor(preprocessing), masks)
    return fingerprint(table + "\n".join(recipe).encode())


def learnt_from(provenance: Mapping[str, Any], where: str) -> PreprocessingConfig:
    """What was done to the films that a checkpoint learnt from.

    Args:
        provenance: Of the checkpoint; one from before there was preprocessing notes none.
        where: The checkpoint, for the error.

    Raises:
        IntegrityError: The note is of another version, or no such note.
    """
    return from_record(provenance.get("preprocessing", {}), where)


def refuse_other_preprocessing(
    provenance: Mapping[str, Any], wanted: PreprocessingConfig, where: str
) -> None:
    """Refuse a checkpoint that learnt from films prepared otherwise than those at hand.

    Raises:
        IntegrityError: It did; or as of `learnt_from`.
    """
    learnt = learnt_from(provenance, where)
    keys = (*learnt.settings(), *wanted.settings())
    unlike = difference(_named(learnt, keys), _named(wanted, keys))
    if unlike:
        raise IntegrityError(
            f"{where} should have learnt from films prepared as those of this index, but was made "
            f"with {unlike}; train it again, or run prepare with its settings."
        )


def _named(config: PreprocessingConfig, keys: Sequence[str]) -> dict[str, Any]:
    values = config.model_dump(mode="json")
    return {"preprocessing": {key: values[key] for key in keys}}


def hash_of_index(index_dir: Path) -> str:
    """The fingerprint of the index in a folder, without reading its records.

    Raises:
        IntegrityError: As of `read_preprocessing`.
    """
    table, result = (index_dir / INDEX_NAME).read_bytes(), read_result(index_dir)
    if result is None:
        return fingerprint(table)
    return index_fingerprint(table, *read_preprocessing(result, index_dir, Roots({})))
