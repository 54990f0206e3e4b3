"""Settings of the data and preprocessing of an index: those given, or those of an existing one."""

import importlib.resources
import logging
from pathlib import Path
from typing import Any

from balancer.config import BalancerConfig
from balancer.data.config import DataConfig
from balancer.data.ingest.urls import resolved
from balancer.data.records import PrepareMetrics
from balancer.data.roots import Roots
from balancer.domains.domain import CHEST
from balancer.errors import ConfigurationError
from balancer.imaging.config import ImageRecipe, PreprocessingConfig
from balancer.imaging.pixels import GREY
from balancer.imaging.preprocess import from_record, recorded
from balancer.results import StageResult, difference, read_result
from balancer.workspace import Workspace

log = logging.getLogger(__name__)

_OF_THE_COMMAND = {"skip_bad", "external_classes", "max_memory_mb"}
"""Not settings of the index: one decides whether there is one, one concerns other archives, and the
memory is that of the machine."""
_DECIDED = "channels"
"""Setting whose decision is recorded with the preprocessing, which it is a part of for readers."""
_LATER: dict[str, Any] = {
    "target": None,
    "patients": "known",
    "follow_links": False,
    "domain": CHEST,
    "official_split": False,
}
"""Settings that older versions did not know, with their defaults, which are not recorded."""
_RECORDED = object()


def data_roots(config: DataConfig, workspace: Workspace) -> Roots:
    """Return the archives given, else those of the existing index, else the bundled samples."""
    if config.places:
        return Roots.of([resolved(place) for place in config.places])
    standing = read_result(workspace.index_dir, PrepareMetrics)
    if standing is not None:
        return _standing_roots(standing)
    samples = Path(str(importlib.resources.files("samples"))).resolve()
    log.info("No --data given: using the bundled samples, drawings of chests (%s).", samples)
    return Roots.of([samples])


def _standing_roots(standing: StageResult[PrepareMetrics]) -> Roots:
    root = standing.setting("data.root")
    return Roots.of([Path(str(place)) for place in (root if isinstance(root, list) else [root])])


def index_settings(config: BalancerConfig, roots: Roots) -> dict[str, Any]:
    """Return the settings that an index depends on, JSON types.

    Args:
        config: Configuration, with the channels that were decided.
        roots: Archives of the images.
    """
    data = config.data.model_dump(mode="json", exclude={*_OF_THE_COMMAND, _DECIDED})
    data = {key: value for key, value in data.items() if value != _LATER.get(key, _RECORDED)}
    places = roots.places
    done = recorded(image_recipe(config))
    return {
        "seed": config.seed,
        "data": data | {"root": places if places[1:] else places[0]},
        **({"preprocessing": done} if done else {}),
    }


def image_recipe(config: BalancerConfig) -> ImageRecipe:
    """Return the way from a file to its pixels; undecided channels count as one."""
    channels = config.data.channels
    return config.preprocessing.in_channels(GREY if channels == "auto" else channels)


def as_standing(config: BalancerConfig, workspace: Workspace) -> BalancerConfig:
    """Fill settings that are not given from the existing index, if it is of the same archives.

    A later command can name its data again without repeating how they were prepared.
    """
    standing = read_result(workspace.index_dir, PrepareMetrics)
    if standing is None or not config.data.places:
        return config
    if data_roots(config.data, workspace) != _standing_roots(standing):
        return config
    made = standing.setting("data", {})
    given = config.data.model_fields_set | _OF_THE_COMMAND
    data = {
        key: value if key in given else made.get(key, value)
        for key, value in config.data.model_dump(mode="json").items()
    }
    recipe = _standing_recipe(standing)
    if _DECIDED not in given:
        data[_DECIDED] = recipe.channels
    done = recipe.preprocessing.model_dump(mode="json")
    done |= config.preprocessing.model_dump(
        mode="json", include=config.preprocessing.model_fields_set
    )
    return config.model_copy(
        update={
            "data": DataConfig.model_validate(data),
            "preprocessing": PreprocessingConfig.model_validate(done),
        }
    )


def refuse_other_settings(config: BalancerConfig, workspace: Workspace) -> None:
    """Refuse settings of `data` and `preprocessing` that the existing index was not made with.

    Settings that are not given, in a file or on the command line, are those of the index.

    Raises:
        ConfigurationError: A setting was given and differs.
    """
    standing = read_result(workspace.index_dir, PrepareMetrics)
    if standing is None:
        return
    roots = _standing_roots(standing)
    made = _LATER | standing.settings.get("data", {})
    recipe = _standing_recipe(standing)
    wanted = _LATER | index_settings(config, roots)["data"]
    given = {key: wanted[key] for key in wanted.keys() & config.data.model_fields_set}
    if config.data.channels != "auto":
        made, given = made | {_DECIDED: recipe.channels}, given | {_DECIDED: config.data.channels}
    if config.data.domain == "auto":
        given.pop("domain", None)
    unlike = difference({key: made.get(key) for key in given}, given)
    unlike = unlike or _other_preprocessing(config.preprocessing, standing)
    if unlike:
        raise ConfigurationError(
            f"{workspace.index_dir} was made with {unlike}; add --force to `balancer prepare` to "
            "replace it, or choose another --workspace to keep it."
        )


def _other_preprocessing(wanted: PreprocessingConfig, standing: StageResult[PrepareMetrics]) -> str:
    """Return how the given settings differ from those of the index; empty where none does."""
    made = _standing_recipe(standing).model_dump(mode="json")
    given = wanted.model_dump(mode="json", include=wanted.model_fields_set)
    return difference(
        {"preprocessing": {key: made[key] for key in given}}, {"preprocessing": given}
    )


def _standing_recipe(standing: StageResult[PrepareMetrics]) -> ImageRecipe:
    recorded_then = standing.setting("preprocessing", {})
    return from_record(recorded_then, "The index of this workspace")
