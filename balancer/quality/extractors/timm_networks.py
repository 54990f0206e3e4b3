"""Any network of timm, by its name in timm: `timm:resnet18.a1_in1k`."""

import difflib
import pickle
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import safetensors
import timm
from timm.data.config import resolve_model_data_config

from balancer.errors import ConfigurationError
from balancer.quality.extractors.extractor import (
    Extractor,
    Family,
    Prepared,
    extractor_of,
    find_weights,
    unfit,
)
from classifier.weights import timm_places

_PREFIX = "timm:"
_GREY_LEVELS = 255


class TimmFamily(Family):
    """Networks of timm, their pooled features before the classifier.

    Side, interpolation and colour statistics are those of timm's data configuration for the
    weights. Nothing is cropped: a radiograph has no margin to lose. A grey image is repeated to
    RGB.
    """

    names = ("timm:NAME",)

    def knows(self, name: str) -> bool:
        """Look at the prefix."""
        return name.startswith(_PREFIX)

    def load(self, name: str, weights: Path | None, channels: int) -> Extractor:
        """Build the network, and load its weights as timm does."""
        architecture = _known(name.removeprefix(_PREFIX))
        url, places = timm_places(architecture) or ("", [])
        path = find_weights(name, weights, url, places)
        try:
            network: Any = timm.create_model(
                architecture, pretrained=True, pretrained_cfg_overlay={"file": str(path)}
            )
        except (
            *(RuntimeError, KeyError, OSError, ValueError, AttributeError, TypeError),
            *(pickle.UnpicklingError, EOFError, safetensors.SafetensorError),
        ) as error:
            raise unfit(name, path, error) from None
        network.reset_classifier(0)
        seen: Any = resolve_model_data_config(network)  # type: ignore[no-untyped-call]
        prepared = Prepared(
            network,
            side=seen["input_size"][-1],
            mean=[_GREY_LEVELS * value for value in seen["mean"]],
            std=[_GREY_LEVELS * value for value in seen["std"]],
            resize="bilinear" if seen["interpolation"] == "bilinear" else "bicubic",
        )
        return extractor_of(
            name,
            prepared,
            description=f"timm {architecture}, pooled features",
            weights=path,
            preprocessing=prepared.words(channels),
            packages=["timm"],
        )


def _known(architecture: str) -> str:
    bare, _, tag = architecture.partition(".")
    # Only names of the registry: others, such as hf-hub:..., would be fetched from the network.
    if not timm.is_model(bare):
        near = difflib.get_close_matches(bare.lower(), timm.list_models(), n=3, cutoff=0.5)
        raise ConfigurationError(
            f"quality.extractors should name a network of timm after {_PREFIX}, not "
            f"{architecture!r}; {_similar(near)}."
        )
    tagged = timm.list_pretrained(f"{bare}.*")
    if tag and architecture not in tagged:
        raise ConfigurationError(
            f"timm should have the weights {tag!r} of {bare}, but has others; "
            f"{_similar(tagged[:3])}."
        )
    return architecture


def _similar(names: Sequence[str]) -> str:
    return f"such as {', '.join(_PREFIX + name for name in names)}" if names else "correct it"
