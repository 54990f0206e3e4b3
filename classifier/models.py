"""Classifiers by name, from 8-bit images to logits."""

from dataclasses import asdict, dataclass
from functools import cached_property

import torch
from torch import Tensor, nn

from classifier.anatomy import Anatomy, examine, group_layers
from classifier.backbones import own_backbone
from classifier.cards import BUNDLED, ModelCard, ModelError, model_card, registered_models
from classifier.config import ClassifierConfig
from classifier.heads import dense_head
from classifier.library_backbones import HeadlessNetwork, timm_backbone, torchvision_backbone
from classifier.tables import GREY
from classifier.weights import find_weights, load_weights

__all__ = [
    "ImageClassifier",
    "ModelCard",
    "ModelError",
    "Preprocessing",
    "build",
    "model_card",
    "registered_models",
]


@dataclass(frozen=True, slots=True)
class Preprocessing:
    """Steps between an 8-bit image and the backbone.

    Attributes:
        input_size: Side in pixels after `tables.resize`.
        mean: Number subtracted from all pixel values.
        std: Number that divides them afterwards.
        contrast: Contrast of the recipe, applied before the normalisation.
        channels: 1 for grey images, 3 for sRGB.
    """

    input_size: int
    mean: float
    std: float
    contrast: str = "none"
    channels: int = GREY

    def as_json(self) -> dict[str, float | int | str]:
        """Return words and numbers for the checkpoint; those of grey images name no channels."""
        values = {**asdict(self), "resize": "cubic up, area down"}
        if self.channels == GREY:
            del values["channels"]
        return values


class ImageClassifier(nn.Module):
    """Backbone and head after the normalisation that the backbone was made for.

    Args:
        backbone: Network from normalised images (N, C, S, S) to features (N, F).
        card: Card of the network.
        config: The recipe; its settings of the head and the preprocessing are used.
        n_classes: Number of logits.
        channels: C.
        pretrained: True if the backbone has learned from other images before.

    Attributes:
        backbone: As above.
        head: Layers from features to logits (N, n_classes); trained first.
        pretrained: As above.
        preprocessing: Steps before the backbone.
        card: As above.

    Raises:
        ModelError: The backbone cannot read images of the size.
    """

    def __init__(
        self,
        backbone: nn.Module,
        card: ModelCard,
        config: ClassifierConfig,
        n_classes: int,
        *,
        channels: int,
        pretrained: bool,
    ) -> None:
        super().__init__()
        side = config.input_size or card.input_size
        self.backbone = backbone
        self.head = dense_head(
            examine(backbone, card.name, side, channels).n_features,
            n_classes,
            dropout=config.dropout,
            units=config.head_units,
            batch_norm=config.head_batch_norm,
            cosine_scale=config.ldam_scale if config.loss == "ldam" else None,
        )
        self.pretrained = pretrained
        self.preprocessing = Preprocessing(side, card.mean, card.std, config.contrast, channels)
        self.card = card

    def features(self, images: Tensor) -> Tensor:
        """Compute features float (N, F) of images (N, C, S, S) in [0, 255], any dtype."""
        dtype = next(self.head.parameters()).dtype
        normal = (images.to(dtype) - self.preprocessing.mean) / self.preprocessing.std
        features: Tensor = self.backbone(normal)
        return features

    def forward(self, images: Tensor) -> Tensor:
        """Compute logits (N, n_classes) of images (N, C, S, S) in [0, 255]."""
        logits: Tensor = self.head(self.features(images))
        return logits

    def layers(self) -> list[nn.Module]:
        """Return the backbone's layers in the order in which they are used.

        They are its smallest modules with parameters of their own; each parameter is in one.
        """
        return [self.backbone.get_submodule(name) for name in self._anatomy.layers]

    def layer_groups(self) -> list[list[nn.Module]]:
        """Return the same layers in groups, first to last: stages of about one map size."""
        return [
            [self.backbone.get_submodule(name) for name in group]
            for group in group_layers(self._anatomy, self.card.groups)
        ]

    @property
    def last_convolution(self) -> nn.Module:
        """Module of the backbone whose feature maps (N, C, h, w) Grad-CAM uses.

        Raises:
            ModelError: Only the stem of the network has feature maps, as in vision transformers.
        """
        name = self.card.last_convolution or self._anatomy.maps
        if not name:
            raise ModelError(
                f"{self.card.name} has no feature maps beyond its stem, which Grad-CAM needs; "
                "choose a convolutional network."
            )
        return self.backbone.get_submodule(name)

    @cached_property
    def _anatomy(self) -> Anatomy:
        """Anatomy at the size that the network was made for: at small ones its stages are alike."""
        seen = self.preprocessing
        try:
            return examine(self.backbone, self.card.name, self.card.input_size, seen.channels)
        except ModelError:  # made for the recipe's size alone
            return examine(self.backbone, self.card.name, seen.input_size, seen.channels)


def build(
    config: ClassifierConfig, n_classes: int, *, channels: int = GREY, pretrained: bool = True
) -> ImageClassifier:
    """Build the network of a recipe.

    Args:
        config: The recipe; its `model` is one of `registered_models()`, `torchvision:NAME` or
            `timm:NAME`. A null `input_size` is the side that the network was made for.
        n_classes: Number of logits.
        channels: 1 for grey images; 3 for sRGB, which pretrained networks learnt from.
        pretrained: False leaves all weights random, to be replaced by those of a checkpoint.

    Raises:
        ModelError: The name is unknown, its weights are missing or do not fit, or the network
            does not fit the input size or the pooling.
    """
    card = model_card(config.model)
    path = find_weights(config.weights, card) if pretrained else None
    bundled = pretrained and config.model in BUNDLED and config.weights == "auto"
    found = _backbone(card, config, channels, bundled=bundled)
    if path is not None:
        load_weights(found, card, path, channels=channels)
    model = ImageClassifier(
        found.network,
        card,
        config,
        n_classes,
        channels=channels,
        pretrained=bundled or path is not None,
    )
    _check_phases(model, config)
    if config.channels_last:
        return model.to(memory_format=torch.channels_last)
    return model


def _check_phases(model: ImageClassifier, config: ClassifierConfig) -> None:
    """Refuse phases that the network cannot be trained in, before any training."""
    for side in {phase.input_size for phase in config.phases if phase.input_size}:
        examine(model.backbone, model.card.name, side, model.preprocessing.channels)
    in_parts = any(0 < phase.unfrozen < 1 for phase in config.phases)
    if (in_parts or config.lowest_learning_rate is not None) and len(model.layers()) == 1:
        raise ModelError(
            f"{model.card.name} has parameters at its root and cannot be divided into layers, so "
            "classifier.phases should have unfrozen 0 or 1 and classifier.lowest_learning_rate "
            "should be null; change these or classifier.model."
        )


def _backbone(
    card: ModelCard, config: ClassifierConfig, channels: int, *, bundled: bool
) -> HeadlessNetwork:
    side = config.input_size or card.input_size
    if card.library == "torchvision":
        return torchvision_backbone(card, config, side, channels)
    if card.library == "timm":
        return timm_backbone(card, config, side, channels)
    network = own_backbone(card.name, config, channels, pretrained=bundled)
    return HeadlessNetwork(network, stem="conv_stem", dropped=("classifier",))  # as Lite names them
