"""Backbones of torchvision and timm, with random weights, for grey or colour images."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, cast

import timm
import torchvision
from torch import nn
from torchvision.models import VGG, DenseNet, MobileNetV2, SqueezeNet

from classifier.cards import ModelCard, ModelError
from classifier.config import ClassifierConfig
from classifier.heads import GlobalPool, PooledFeatures, remove_head


@dataclass(frozen=True, slots=True)
class HeadlessNetwork:
    """Network without its head.

    Attributes:
        network: Network from normalised images (N, C, S, S) to features (N, F).
        stem: Name of its first convolution, which has three input channels in the library.
        dropped: Names of the parts that were removed, such as the head.
    """

    network: nn.Module
    stem: str
    dropped: tuple[str, ...]


def torchvision_backbone(
    card: ModelCard, config: ClassifierConfig, side: int, channels: int
) -> HeadlessNetwork:
    """Build a classification network of torchvision without its last layer.

    Args:
        card: Card of the network.
        config: The recipe; its `pooling` and `dropout` are used.
        side: Side of the images, for networks that are made for one size.
        channels: C, 1 or 3; the networks of the library have 3.

    Raises:
        ModelError: The network does not fit the input size or the pooling.
    """
    options: dict[str, object] = {}
    if card.architecture.startswith("vit_"):
        options = {"image_size": side}
    elif card.architecture in ("googlenet", "inception_v3"):
        options = {"aux_logits": False, "init_weights": True}
    try:
        network = torchvision.models.get_model(card.architecture, weights=None, **options)
    except (ValueError, RuntimeError, AssertionError) as error:
        raise unfit(card.name, side, error) from None
    stem = _find_stem(network, channels)
    auxiliary = ("AuxLogits", "aux1", "aux2")
    dense_vgg = isinstance(network, VGG) and card.keeps_dense
    if isinstance(network, VGG | DenseNet | MobileNetV2 | SqueezeNet) and not dense_vgg:
        # Their forward pools with a function; here the pool is a module that can be replaced.
        network = PooledFeatures(
            network.features, config.pooling, activate=isinstance(network, DenseNet)
        )
        return HeadlessNetwork(network, stem, ("classifier", *auxiliary))
    head = remove_head(network)
    _set_dropout(network, head, config.dropout)
    if config.pooling != "average":
        _replace_pool(network, card, config)
    return HeadlessNetwork(network, stem, (head, *auxiliary))


def timm_backbone(
    card: ModelCard, config: ClassifierConfig, side: int, channels: int
) -> HeadlessNetwork:
    """Build a network of timm without its last layer; see `torchvision_backbone`."""
    options: dict[str, Any] = {}
    recipe = timm.get_pretrained_cfg(card.architecture)
    if recipe is not None and recipe.fixed_input_size:
        options["img_size"] = side
    if config.pooling != "average":
        options["global_pool"] = "catavgmax"
    try:
        network = timm.create_model(
            card.architecture, pretrained=False, in_chans=channels, num_classes=0, **options
        )
    except (TypeError, ValueError, RuntimeError, AssertionError) as error:
        if config.pooling != "average":
            raise _no_global_pool(card) from None
        raise unfit(card.name, side, error) from None
    about = cast(dict[str, Any], network.pretrained_cfg)
    stems, heads = about.get("first_conv") or "", about.get("classifier") or ()
    return HeadlessNetwork(
        network,
        stems if isinstance(stems, str) else stems[0],
        (heads,) if isinstance(heads, str) else tuple(heads),
    )


def unfit(name: str, side: int, error: Exception) -> ModelError:
    """Return the error of a network that cannot read images of a size."""
    reason = " ".join(str(error).split())
    return ModelError(
        f"{name} cannot read images of {side} px ({reason:.120}); "
        "change classifier.input_size or classifier.model."
    )


def _find_stem(network: nn.Module, channels: int) -> str:
    """Return the name of the first convolution, and let it take another number of channels."""
    layers: Iterator[tuple[str, nn.Module]] = network.named_modules()
    name, conv = next((name, layer) for name, layer in layers if isinstance(layer, nn.Conv2d))
    if conv.in_channels == channels:
        return name
    stem = nn.Conv2d(
        channels,
        conv.out_channels,
        (conv.kernel_size[0], conv.kernel_size[1]),
        stride=(conv.stride[0], conv.stride[1]),
        padding=conv.padding if isinstance(conv.padding, str) else tuple(conv.padding[:2]),  # type: ignore[arg-type]
        bias=conv.bias is not None,
    )
    network.set_submodule(name, stem)
    return name


def _set_dropout(network: nn.Module, head: str, dropout: float) -> None:
    """Set the dropout between hidden dense layers; none at the end, because our head has it."""
    names = [name for name, layer in network.named_modules() if layer is not network]
    for name in reversed(names[: names.index(head)]):
        layer = network.get_submodule(name)
        if isinstance(layer, nn.Dropout):
            network.set_submodule(name, nn.Identity())
        elif next(layer.parameters(recurse=False), None) is not None:
            break
    for layer in network.modules():
        if isinstance(layer, nn.Dropout):
            layer.p = dropout


def _replace_pool(network: nn.Module, card: ModelCard, config: ClassifierConfig) -> None:
    pool = getattr(network, "avgpool", None)
    if not isinstance(pool, nn.AdaptiveAvgPool2d) or pool.output_size not in (1, (1, 1)):
        raise _no_global_pool(card)
    network.set_submodule("avgpool", GlobalPool(config.pooling))


def _no_global_pool(card: ModelCard) -> ModelError:
    return ModelError(
        f"classifier.pooling (average+max) needs a network with a global pool that can be "
        f"replaced, but {card.name} has none; leave it out or change classifier.model."
    )
