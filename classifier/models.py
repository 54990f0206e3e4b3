"""Classifiers by name: grey levels in, logits out."""

import difflib
from dataclasses import asdict, dataclass

import torch
from torch import Tensor, nn

from classifier.backbones import Backbone, bam_cnn, lite0
from classifier.config import ClassifierConfig
from classifier.external import ModelError, timm_backbone, torchvision_backbone
from classifier.heads import linear_head

__all__ = ["GreyClassifier", "ModelError", "Preprocessing", "build"]

_OWN = ("bam-cnn", "lite0")
_FAMILIES = ("torchvision", "timm")


@dataclass(frozen=True, slots=True)
class Preprocessing:
    """What happens between an 8-bit grey image and the backbone.

    Attributes:
        input_size: Side in pixels, reached by `tables.resize`.
        mean: Subtracted from the grey levels.
        std: Divides them afterwards.
    """

    input_size: int
    mean: float
    std: float

    def as_json(self) -> dict[str, float | int | str]:
        """The recipe in words and numbers, for the checkpoint."""
        return {**asdict(self), "resize": "cubic up, area down"}


class GreyClassifier(nn.Module):
    """Backbone and head behind the normalisation that the backbone was made for.

    Attributes:
        backbone: Normalised grey images (N, 1, S, S) to features (N, F).
        head: Features to logits (N, n_classes); what is trained first.
        pretrained: Whether the backbone has learnt from other images before.
    """

    def __init__(self, backbone: Backbone, config: ClassifierConfig, n_classes: int) -> None:
        super().__init__()
        self.backbone = backbone.network
        self.head = linear_head(backbone.n_features, n_classes, config.dropout)
        self.pretrained = backbone.pretrained
        self.preprocessing = Preprocessing(config.input_size, backbone.mean, backbone.std)

    def features(self, images: Tensor) -> Tensor:
        """Grey images (N, 1, S, S) in [0, 255], any dtype, to features float (N, F)."""
        dtype = next(self.head.parameters()).dtype
        normal = (images.to(dtype) - self.preprocessing.mean) / self.preprocessing.std
        features: Tensor = self.backbone(normal)
        return features

    def forward(self, images: Tensor) -> Tensor:
        """Grey images (N, 1, S, S) in [0, 255] to logits (N, n_classes)."""
        logits: Tensor = self.head(self.features(images))
        return logits


def build(config: ClassifierConfig, n_classes: int, *, pretrained: bool = True) -> GreyClassifier:
    """Make the network that a configuration names.

    Args:
        config: The recipe; its `model` is `bam-cnn`, `lite0`, `torchvision:NAME` or `timm:NAME`.
        n_classes: Number of logits.
        pretrained: False leaves all weights random, for a checkpoint to fill.

    Raises:
        ModelError: The name is unknown, or the weights or the input size do not fit it.
    """
    model = GreyClassifier(_backbone(config, pretrained), config, n_classes)
    if config.channels_last:
        return model.to(memory_format=torch.channels_last)
    return model


def _backbone(config: ClassifierConfig, pretrained: bool) -> Backbone:
    family, colon, name = config.model.partition(":")
    if colon and family in _FAMILIES:
        make = torchvision_backbone if family == "torchvision" else timm_backbone
        return make(name, config, pretrained=pretrained)
    if config.model not in _OWN:
        near = difflib.get_close_matches(config.model, _OWN, n=1)
        hint = f"did you mean {near[0]}?" if near else "choose one of these."
        raise ModelError(
            f"classifier.model should be {', '.join(_OWN)}, torchvision:NAME or timm:NAME, "
            f"not {config.model!r}; {hint}"
        )
    if config.weights is not None and pretrained:
        raise ModelError(
            f"classifier.weights ({config.weights}) is for torchvision and timm models, not for "
            f"{config.model}; leave it out or change classifier.model."
        )
    if config.model == "bam-cnn":
        return bam_cnn(config)
    return lite0(pretrained=pretrained)
