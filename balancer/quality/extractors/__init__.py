"""Feature extractors for FID and KID, by name; nothing is downloaded.

A distance is only as good as its recipe, so each extractor has one. `inception` with its 2015
weights alone gives plain `fid`; the name of any other extractor is part of the metric's, as in
`fid[lite0]`.
"""

from collections.abc import Mapping
from pathlib import Path

from balancer.errors import ConfigurationError
from balancer.imaging.pixels import GREY
from balancer.quality.config import OWN, QualityConfig
from balancer.quality.extractors.dinov2 import RadDinoFamily
from balancer.quality.extractors.extractor import (
    Extractor,
    Family,
    common_recipe,
    input_words,
)
from balancer.quality.extractors.fidelity import FidelityFamily
from balancer.quality.extractors.inception import INCEPTION_FILES, InceptionFamily
from balancer.quality.extractors.lite import LITE0_SIDE, Lite0Extractor, LiteFamily
from balancer.quality.extractors.timm_networks import TimmFamily
from balancer.quality.extractors.xray import XrayFamily

__all__ = [
    "INCEPTION_FILES",
    "LITE0_SIDE",
    "Extractor",
    "Lite0Extractor",
    "check_names",
    "common_recipe",
    "input_words",
    "load_configured",
    "load_extractor",
]

FAMILIES: tuple[Family, ...] = (
    LiteFamily(),
    InceptionFamily(),
    FidelityFamily(),
    RadDinoFamily(),
    TimmFamily(),
    XrayFamily(),
)


def load_extractor(
    name: str, *, weights: Mapping[str, Path] | None = None, channels: int = GREY
) -> Extractor:
    """Build an extractor.

    Args:
        name: A name of one of `FAMILIES`.
        weights: Paths to weights by name of the extractor, as in `quality.weights`; without one,
            they are where its library keeps downloads.
        channels: Channels of the images, for the recipe; the network itself takes 1 or 3.

    Raises:
        ConfigurationError: The name is unknown, or the given path does not exist.
        EnvironmentFault: A library or the weights are missing, damaged or of another network.
    """
    return _family(name).load(name, (weights or {}).get(name), channels)


def load_configured(config: QualityConfig, channels: int = GREY) -> dict[str, Extractor]:
    """Build the extractors that are configured, by name; all but the run's own classifier.

    Raises:
        ConfigurationError: As for `load_extractor`, or weights are given for no such extractor.
        EnvironmentFault: As for `load_extractor`.
    """
    check_names(config)
    return {
        name: load_extractor(name, weights=config.weights, channels=channels)
        for name in config.extractors
        if name != OWN
    }


def check_names(config: QualityConfig) -> None:
    """Refuse a name that no family knows, and weights of an extractor that is not measured.

    Raises:
        ConfigurationError: There is one.
    """
    for name in config.extractors:
        if name != OWN:
            _family(name)
    strange = [name for name in config.weights if name == OWN or name not in config.extractors]
    if strange:
        raise ConfigurationError(
            f"quality.weights should give files for {', '.join(config.extractors)} alone, which "
            f"quality.extractors names, but gives one for {strange[0]}; correct one of the two."
        )


def _family(name: str) -> Family:
    family = next((family for family in FAMILIES if family.knows(name)), None)
    if family is None:
        known = ", ".join(one for family in FAMILIES for one in family.names)
        raise ConfigurationError(
            f"quality.extractors should name {OWN} (the run's own) or some of {known}, not {name}."
        )
    return family
