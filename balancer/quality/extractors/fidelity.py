"""Further networks of torch-fidelity: CLIP (Radford 2021), DINOv2 (Oquab 2023) and VGG-16.

Each is used as torch-fidelity uses it: bilinear as in TensorFlow 1 to the side of the network (224
px for most), then the colour statistics that it was trained with. torch-fidelity would download the
weights, and unpickle them without a guard; here they are found on the disk and read as tensors.
"""

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch_fidelity.feature_extractor_base import FeatureExtractorBase
from torch_fidelity.feature_extractor_clip import (
    MODEL_METADATA,
    MODEL_URLS,
    FeatureExtractorCLIP,
    build_model,
)
from torch_fidelity.feature_extractor_dinov2 import MODEL_METADATA as DINOV2_NAMES
from torch_fidelity.feature_extractor_dinov2 import FeatureExtractorDinoV2
from torch_fidelity.feature_extractor_vgg16 import FeatureExtractorVGG16
from torchvision.models import VGG16_Weights

from balancer.quality.extractors.dinov2 import dinov2_network
from balancer.quality.extractors.extractor import (
    Extractor,
    Family,
    Frozen,
    as_rgb,
    extractor_of,
    find_weights,
    sha256_of,
    unfit,
)
from balancer.quality.extractors.tensors import in_memory, read_tensors
from classifier.weights import downloads

_DINOV2_URL = "https://dl.fbaipublicfiles.com/dinov2/{0}/{0}_pretrain.pth"
_TIMM_DINOV2 = "vit_{size}_patch14_dinov2"
_SIZES = {"s": "small", "b": "base", "l": "large", "g": "giant"}
_VGG16 = "vgg16"


class ClipExtractor(FeatureExtractorCLIP):  # type: ignore[misc]
    """CLIP's image encoder from a file on the disk; its projected embedding.

    Args:
        name: Name in torch-fidelity.
        features_list: Its only layer.
        path: OpenAI's own file, or a state dict with the same names.
    """

    def __init__(self, name: str, features_list: Sequence[str], path: Path) -> None:
        FeatureExtractorBase.__init__(self, name, list(features_list))
        self.feature_extractor_internal_dtype = torch.float32
        if sha256_of(path) == MODEL_METADATA[name]["hash"]:
            # A TorchScript archive is a program, so only OpenAI's own is opened as one.
            with warnings.catch_warnings(action="ignore"):  # torch would have others written now
                archive: Any = torch.jit.load(str(path), map_location="cpu")  # type: ignore[no-untyped-call]
            state = dict(archive.state_dict())
        else:
            state = read_tensors(path)
        self.model = build_model(state, torch.float32)
        self.resolution = self.model.visual.input_resolution


class DinoV2Extractor(FeatureExtractorDinoV2):  # type: ignore[misc]
    """DINOv2's class token, from a file on the disk; torch-fidelity fetches and runs its code.

    Args:
        name: Name in torch-fidelity.
        features_list: Its only layer.
        path: Meta's file, or one with the same names.
    """

    def __init__(self, name: str, features_list: Sequence[str], path: Path) -> None:
        FeatureExtractorBase.__init__(self, name, list(features_list))
        self.feature_extractor_internal_dtype = torch.float32
        architecture = _TIMM_DINOV2.format(size=_SIZES[name.split("-")[2]])
        self.model = dinov2_network(architecture, read_tensors(path), self.INPUT_IMAGE_SIZE)


class FidelityFamily(Family):
    """CLIP, DINOv2 and VGG-16 by their names in torch-fidelity.

    CLIP's hashes are known, so other weights have theirs in the name of a metric.
    """

    names = (*MODEL_URLS, *DINOV2_NAMES, _VGG16)

    def knows(self, name: str) -> bool:
        """Compare with the names."""
        return name in self.names

    def load(self, name: str, weights: Path | None, channels: int) -> Extractor:
        """Build the network."""
        url, file = _source(name)
        path = find_weights(name, weights, url, [downloads() / file])
        try:
            network = _network(name, path)
        except (RuntimeError, KeyError, AttributeError, IndexError) as error:
            raise unfit(name, path, error) from None
        side = getattr(network, "resolution", 224)
        return extractor_of(
            name,
            Frozen(network),
            description=f"torch-fidelity {name}, layer {network.features_list[0]}",
            weights=path,
            preprocessing=f"{as_rgb(channels)}, bilinear as in TensorFlow 1 to {side} px, colour "
            "statistics of torch-fidelity",
            packages=["timm"] if name in DINOV2_NAMES else ["torchvision"],
            original_sha256=MODEL_METADATA[name]["hash"] if name in MODEL_URLS else None,
        )


def _network(name: str, path: Path) -> FeatureExtractorBase:
    if name in MODEL_URLS:
        return ClipExtractor(name, ["clip"], path)
    if name in DINOV2_NAMES:
        return DinoV2Extractor(name, ["dinov2"], path)
    copy = in_memory(read_tensors(path))
    return FeatureExtractorVGG16(name, ["fc2_relu"], feature_extractor_weights_path=copy)


def _source(name: str) -> tuple[str, str]:
    """Return the address of the weights, and the name under which the library keeps them."""
    if name in MODEL_URLS:
        return MODEL_URLS[name], f"{name}-{MODEL_METADATA[name]['hash']}.pt"
    if name in DINOV2_NAMES:
        url = _DINOV2_URL.format(DINOV2_NAMES[name])
    else:
        url = VGG16_Weights.IMAGENET1K_V1.url
    return url, url.rpartition("/")[2]
