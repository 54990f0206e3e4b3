"""Feature extractors for FID and KID, registered with torch-fidelity; nothing is downloaded.

A distance is only as good as its recipe, so each extractor has one. `inception` is the network of
the FID paper (Heusel 2017, arXiv 1706.08500) with its 2015 weights, and only its distance is called
plain `fid`; the name of any other extractor is part of the metric's, as in `fid[lite0]`.
"""

import hashlib
import importlib.metadata
import io
import pickle
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch_fidelity.feature_extractor_base import FeatureExtractorBase
from torch_fidelity.feature_extractor_inceptionv3 import (
    URL_INCEPTION_V3,
    FeatureExtractorInceptionV3,
)
from torch_fidelity.registry import FEATURE_EXTRACTORS_REGISTRY, register_feature_extractor

from balancer.errors import ConfigurationError, EnvironmentFault
from balancer.imaging.pixels import GREY
from classifier.lite import (
    FEATURES,
    PIXEL_MEAN,
    PIXEL_SCALE,
    frozen_lite_features,
    lite_weights_path,
)

LITE0_SIDE = 128
"""Side of its input in pixels; a larger one costs more and adds nothing for images of 64 px."""
INCEPTION_SHA256 = "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2"
INCEPTION_FILES = (
    "weights-inception-2015-12-05-6726825d.pth",  # torch-fidelity and torchmetrics
    "pt_inception-2015-12-05-6726825d.pth",  # the same bytes, as pytorch-fid calls them
)


@dataclass(frozen=True)
class Extractor:
    """A frozen network, its names, and all that its features depend on.

    Attributes:
        suffix: Suffix of a metric of these features, as in `fid[lite0]`; empty for Inception-v3
            with the 2015 weights.
        registered_name: Name in torch-fidelity; it holds the hash of the weights, since
            torch-fidelity's own cache uses the name alone.
        dimension: Number of features per image.
        recipe: Network, hash of the weights, preprocessing, dtype and versions; JSON-ready.
        network: uint8 (N, 1 or 3, H, W) -> one-tuple of float32 (N, dimension).
    """

    suffix: str
    registered_name: str
    dimension: int
    recipe: dict[str, Any]
    network: nn.Module

    @property
    def name(self) -> str:
        """Name in the configuration and in the records."""
        return str(self.recipe["extractor"])

    @property
    def weights_sha256(self) -> str:
        """SHA-256 of the weights, hex."""
        return str(self.recipe["weights_sha256"])


class Lite0Extractor(FeatureExtractorBase):  # type: ignore[misc]
    """EfficientNet-Lite0 (ImageNet) at 128 px, its 1,280 pooled features."""

    def __init__(self, name: str, features_list: Sequence[str], **options: object) -> None:
        """Build the network; torch-fidelity passes all of its `options` to every extractor."""
        super().__init__(name, features_list)
        self.trunk = frozen_lite_features("lite0", in_channels=3)

    def train(self, mode: bool = True) -> "Lite0Extractor":
        """Stay in evaluation mode, regardless of a parent module."""
        super().train(False)
        return self

    def forward(self, images: Tensor) -> tuple[Tensor]:
        """Extract: uint8 (N, 1 or 3, H, W) -> (float32 (N, 1280),)."""
        pixels = images.float()
        if pixels.shape[-2:] != (LITE0_SIDE, LITE0_SIDE):
            side = (LITE0_SIDE, LITE0_SIDE)
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


class InceptionExtractor(FeatureExtractorInceptionV3):  # type: ignore[misc]
    """torch-fidelity's Inception-v3, channels last, from a file that is checked before it is read.

    Without `feature_extractor_weights_path` the weights come from the local cache of torch hub.
    """

    def __init__(
        self,
        name: str,
        features_list: Sequence[str],
        feature_extractor_weights_path: str | Path | None = None,
        **options: object,
    ) -> None:
        """Load the weights.

        Raises:
            ConfigurationError: The given file does not exist.
            EnvironmentFault: There are no weights, or they are damaged or of another network.
        """
        path = _inception_path(feature_extractor_weights_path)
        state = _read_weights(path)
        # torch-fidelity unpickles its file without a guard, so it gets our own copy.
        copy = io.BytesIO()
        torch.save(state, copy)
        copy.seek(0)
        try:
            super().__init__(name, list(features_list), feature_extractor_weights_path=copy)
        except (RuntimeError, TypeError) as error:
            raise EnvironmentFault(
                f"{path} should hold the Inception-v3 weights of torch-fidelity, but they do not "
                f"fit: {' '.join(str(error).split()):.200}; replace it by {INCEPTION_FILES[0]}."
            ) from None
        self.to(memory_format=torch.channels_last)

    def train(self, mode: bool = True) -> "InceptionExtractor":
        """Stay in evaluation mode, regardless of a parent module."""
        super().train(False)
        return self

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Extract: uint8 (N, 1 or 3, H, W) -> (float32 (N, 2048),)."""
        rgb = images.expand(-1, 3, -1, -1).contiguous(memory_format=torch.channels_last)
        features: tuple[Tensor, ...] = super().forward(rgb)
        return features


def load_extractor(
    name: str, *, inception_weights: Path | None = None, channels: int = GREY
) -> Extractor:
    """Build an extractor and register it with torch-fidelity.

    Args:
        name: `lite0` or `inception`.
        inception_weights: Path to the Inception weights, of any hash; None: the local cache of
            torch hub, where the hash must be that of the 2015 weights.
        channels: Channels of the images, for the recipe; the network itself takes 1 or 3.

    Raises:
        ConfigurationError: The name is unknown, or the given file does not exist.
        EnvironmentFault: The Inception weights are missing or damaged.
    """
    if name == "lite0":
        return _lite0(channels)
    if name == "inception":
        return _inception(inception_weights, channels)
    raise ConfigurationError(f"quality.extractors should name inception or lite0, not {name!r}.")


def input_words(channels: int) -> str:
    """Name the kind of the images that a network is given."""
    return "8-bit grey" if channels == GREY else "8-bit sRGB"


def _as_rgb(channels: int) -> str:
    repeated = " repeated to RGB" if channels == GREY else ""
    return input_words(channels) + repeated


def _lite0(channels: int) -> Extractor:
    sha256 = _sha256(lite_weights_path("lite0"))
    registered = _register(f"lite0-{LITE0_SIDE}px-{sha256[:8]}", Lite0Extractor)
    return Extractor(
        suffix="[lite0]",
        registered_name=registered,
        dimension=FEATURES,
        recipe={
            "extractor": "lite0",
            "network": "timm tf_efficientnet_lite0, batch norm folded, pooled features",
            "weights": lite_weights_path("lite0").name,
            "weights_sha256": sha256,
            "input": f"{_as_rgb(channels)}, bilinear with antialias to {LITE0_SIDE} px, "
            f"(x - {PIXEL_MEAN:g}) / {PIXEL_SCALE:g}",
            **common_recipe("timm"),
        },
        network=Lite0Extractor(registered, [str(FEATURES)]),
    )


def _inception(weights: Path | None, channels: int) -> Extractor:
    path = _inception_path(weights)
    sha256 = _sha256(path)
    original = sha256 == INCEPTION_SHA256
    registered = _register(f"inception-{sha256[:8]}", InceptionExtractor)
    return Extractor(
        suffix="" if original else f"[inception-{sha256[:8]}]",
        registered_name=registered,
        dimension=2048,
        recipe={
            "extractor": "inception",
            "network": "torch-fidelity Inception-v3 (2015), layer 2048",
            "weights": path.name,
            "weights_sha256": sha256,
            "input": f"{_as_rgb(channels)}, bilinear as in TensorFlow 1 to 299 px, (x - 128) / 128",
            **common_recipe(),
        },
        network=InceptionExtractor(registered, ["2048"], feature_extractor_weights_path=weights),
    )


def _inception_path(given: str | Path | None) -> Path:
    if given is not None:
        if not Path(given).is_file():
            raise ConfigurationError(
                f"quality.inception_weights names {given}, but there is no such file; give the "
                "path of an existing one or leave the setting out."
            )
        return Path(given)
    folder = Path(torch.hub.get_dir()) / "checkpoints"
    path = next((folder / name for name in INCEPTION_FILES if (folder / name).is_file()), None)
    if path is None:
        raise EnvironmentFault(
            f"The extractor inception needs its weights, but {folder} has no {INCEPTION_FILES[0]}; "
            f"put the file from {URL_INCEPTION_V3} there, or name it with "
            "--set quality.inception_weights=FILE, or measure with quality.extractors=[lite0]."
        )
    sha256 = _sha256(path)
    if sha256 != INCEPTION_SHA256:
        raise EnvironmentFault(
            f"{path} should have the SHA-256 {INCEPTION_SHA256[:8]}... but has {sha256[:8]}..., so "
            f"it is incomplete or another file; replace it by the one from {URL_INCEPTION_V3}."
        )
    return path


def _read_weights(path: Path) -> Any:
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, ValueError, pickle.UnpicklingError) as error:
        raise EnvironmentFault(
            f"{path} should hold the weights of Inception-v3 but cannot be read "
            f"({' '.join(str(error).split()):.80}); copy the file again."
        ) from None


def _register(name: str, kind: type[nn.Module]) -> str:
    if name not in FEATURE_EXTRACTORS_REGISTRY:
        register_feature_extractor(name, kind)
    return name


def common_recipe(*packages: str) -> dict[str, Any]:
    """Return the part common to all recipes: dtypes, and versions that decide the features."""
    names = ("torch", "torch-fidelity", *packages)
    versions = {name: importlib.metadata.version(name) for name in names}
    return {"dtype": "float32 features, float64 distances", "versions": versions}


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
