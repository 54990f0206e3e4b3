"""The network of the FID paper: Inception-v3 with its 2015 weights, which alone give plain `fid`.

Source: Heusel 2017, arXiv 1706.08500; the network is torch-fidelity's.
"""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor
from torch_fidelity.feature_extractor_inceptionv3 import (
    URL_INCEPTION_V3,
    FeatureExtractorInceptionV3,
)
from torch_fidelity.registry import FEATURE_EXTRACTORS_REGISTRY, register_feature_extractor

from balancer.errors import EnvironmentFault
from balancer.quality.extractors.extractor import (
    Extractor,
    Family,
    as_rgb,
    common_recipe,
    find_weights,
    sha256_of,
    unfit,
)
from balancer.quality.extractors.tensors import in_memory, read_tensors
from classifier.weights import downloads

INCEPTION_SHA256 = "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2"
INCEPTION_FILES = (
    "weights-inception-2015-12-05-6726825d.pth",  # torch-fidelity and torchmetrics
    "pt_inception-2015-12-05-6726825d.pth",  # the same bytes, as pytorch-fid calls them
)
_NAME = "inception"


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
        given = feature_extractor_weights_path
        path = _find(None if given is None else Path(given))
        copy = in_memory(read_tensors(path))
        try:
            super().__init__(name, list(features_list), feature_extractor_weights_path=copy)
        except (RuntimeError, TypeError) as error:
            raise unfit(_NAME, path, error) from None
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


class InceptionFamily(Family):
    """Inception-v3; other weights than those of 2015 have their hash in the name of a metric."""

    names = (_NAME,)

    def knows(self, name: str) -> bool:
        """Compare with the name."""
        return name == _NAME

    def load(self, name: str, weights: Path | None, channels: int) -> Extractor:
        """Build the network; a file that is not given has to be that of 2015."""
        path = _find(weights)
        sha256 = sha256_of(path)
        registered = f"inception-{sha256[:8]}"
        if registered not in FEATURE_EXTRACTORS_REGISTRY:
            register_feature_extractor(registered, InceptionExtractor)
        return Extractor(
            suffix="" if sha256 == INCEPTION_SHA256 else f"[inception-{sha256[:8]}]",
            registered_name=registered,
            dimension=2048,
            recipe={
                "extractor": _NAME,
                "network": "torch-fidelity Inception-v3 (2015), layer 2048",
                "weights": path.name,
                "weights_sha256": sha256,
                "input": f"{as_rgb(channels)}, bilinear as in TensorFlow 1 to 299 px, "
                "(x - 128) / 128",
                **common_recipe(),
            },
            network=InceptionExtractor(
                registered, ["2048"], feature_extractor_weights_path=weights
            ),
        )


def _find(given: Path | None) -> Path:
    places = [downloads() / name for name in INCEPTION_FILES]
    path = find_weights(_NAME, given, URL_INCEPTION_V3, places)
    if given is None and (sha256 := sha256_of(path)) != INCEPTION_SHA256:
        raise EnvironmentFault(
            f"{path} should have the SHA-256 {INCEPTION_SHA256[:8]}... but has {sha256[:8]}..., so "
            f"it is incomplete or another file; replace it by the one from {URL_INCEPTION_V3}."
        )
    return path
