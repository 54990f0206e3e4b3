"""Classifiers by name: grey levels in, logits out."""

from dataclasses import asdict, dataclass
from functools import cached_property

import torch
from torch import Tensor, nn

from classifier.anatomy import Anatomy, examine, group_layers
from classifier.backbones import own_backbone
from classifier.cards import BUNDLED, ModelCard, ModelError, model_card, registered_models
from classifier.config import ClassifierConfig
from classifier.external import ForeignNetwork, timm_backbone, torchvision_backbone
from classifier.heads import dense_head
from classifier.weights import find_weights, load_weights

__all__ = [
    "GreyClassifier",
    "ModelCard",
    "ModelError",
    "Preprocessing",
    "build",
    "model_card",
    "registered_models",
]


@dataclass(frozen=True, slots=True)
class Preprocessing:
    """What happens between an 8-bit grey image and the backbone.

    Attributes:
        input_size: Side in pixels, reached by `tables.resize`.
        mean: Subtracted from the grey levels.
        std: Divides them afterwards.
        contrast: What is done to the contrast before all that.
    """

    input_size: int
    mean: float
    std: float
    contrast: str = "none"

    def as_json(self) -> dict[str, float | int | str]:
        """The recipe in words and numbers, for the checkpoint."""
        return {**asdict(self), "resize": "cubic up, area down"}


class GreyClassifier(nn.Module):
    """Backbone and head behind the normalisation that the backbone was made for.

    Args:
        backbone: Normalised grey images (N, 1, S, S) to features (N, F).
        card: What the registry knows of it.
        config: The recipe; of it, the head and the preprocessing are used.
        n_classes: Number of logits.
        pretrained: Whether the backbone has learnt from other images before.

    Attributes:
        backbone: As above.
        head: Features to logits (N, n_classes); what is trained first.
        pretrained: As above.
        preprocessing: What the backbone wants done to images.
        card: As above.

    Raises:
        ModelError: The backbone cannot take images of the size.
    """

    def __init__(
        self,
        backbone: nn.Module,
        card: ModelCard,
        config: ClassifierConfig,
        n_classes: int,
        *,
        pretrained: bool,
    ) -> None:
        super().__init__()
        side = config.input_size or card.input_size
        self.backbone = backbone
        self.head = dense_head(
            examine(backbone, card.name, side).n_features,
            n_classes,
            dropout=config.dropout,
            units=config.head_units,
            batch_norm=config.head_batch_norm,
        )
        self.pretrained = pretrained
        self.preprocessing = Preprocessing(side, card.mean, card.std, config.contrast)
        self.card = card

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

    def layers(self) -> list[nn.Module]:
        """The backbone's layers in the order in which they are used.

        They are its smallest modules with parameters of their own; each parameter is in one.
        """
        return [self.backbone.get_submodule(name) for name in self._anatomy.layers]

    def layer_groups(self) -> list[list[nn.Module]]:
        """The same layers in groups, from the stem to the last: stages of about one map size."""
        return [
            [self.backbone.get_submodule(name) for name in group]
            for group in group_layers(self._anatomy, self.card.groups)
        ]

    @property
    def last_convolution(self) -> nn.Module:
        """The backbone's module whose feature maps (N, C, h, w) Grad-CAM looks at.

        Raises:
            ModelError: The network has none beyond its stem, as vision transformers have not.
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
        """At the size that the network was made for: at small ones its stages look alike."""
        try:
            return examine(self.backbone, self.card.name, self.card.input_size)
        except ModelError:  # made for the recipe's size alone
            return examine(self.backbone, self.card.name, self.preprocessing.input_size)


def build(config: ClassifierConfig, n_classes: int, *, pretrained: bool = True) -> GreyClassifier:
    """Make the network that a configuration names.

    Args:
        config: The recipe; its `model` is one of `registered_models()`, `torchvision:NAME` or
            `timm:NAME`. Without `input_size` it is the side that the network was made for.
        n_classes: Number of logits.
        pretrained: False leaves all weights random, for a checkpoint to fill.

    Raises:
        ModelError: The name is unknown, its weights are not there or do not fit, or the input size
            or the pooling does not.
    """
    card = model_card(config.model)
    path = find_weights(config.weights, card) if pretrained else None
    bundled = pretrained and config.model in BUNDLED and config.weights == "auto"
    found = _foreign(card, config, bundled=bundled)
    if path is not None:
        load_weights(found, card, path)
    model = GreyClassifier(
        found.network, card, config, n_classes, pretrained=bundled or path is not None
    )
    _check_phases(model, config)
    if config.channels_last:
        return model.to(memory_format=torch.channels_last)
    return model


def _check_phases(model: GreyClassifier, config: ClassifierConfig) -> None:
    """Refuse phases that the network cannot go through, before any of them is trained."""
    for side in {phase.input_size for phase in config.phases if phase.input_size}:
        examine(model.backbone, model.card.name, side)
    in_parts = any(0 < phase.unfrozen < 1 for phase in config.phases)
    if (in_parts or config.lowest_learning_rate is not None) and len(model.layers()) == 1:
        raise ModelError(
            f"{model.card.name} holds parameters at its root and cannot be parted into layers, so "
            "phases should unfreeze 0 or 1 of it and lowest_learning_rate should be null; change "
            "these or classifier.model."
        )


def _foreign(card: ModelCard, config: ClassifierConfig, *, bundled: bool) -> ForeignNetwork:
    side = config.input_size or card.input_size
    if card.library == "torchvision":
        return torchvision_backbone(card, config, side)
    if card.library == "timm":
        return timm_backbone(card, config, side)
    network = own_backbone(card.name, config, pretrained=bundled)
    return ForeignNetwork(network, stem="conv_stem", dropped=("classifier",))  # as Lite names them
