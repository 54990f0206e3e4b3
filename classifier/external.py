"""Backbones from torchvision and timm, with random weights or a file of weights."""

import difflib
import pickle
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import safetensors
import safetensors.torch
import timm
import torch
import torchvision
from torch import Tensor, nn

from classifier.backbones import Backbone
from classifier.config import ClassifierConfig
from classifier.heads import remove_head

# ImageNet's mean and deviation of grey, for networks that do not state their own.
_IMAGENET_GREY = 0.449 * 255, 0.226 * 255
_AUXILIARY = ("AuxLogits.", "aux1.", "aux2.")


class ModelError(ValueError):
    """A model or a file of weights that cannot be used as asked."""


def torchvision_backbone(
    name: str, config: ClassifierConfig, *, pretrained: bool = True
) -> Backbone:
    """A classification network of torchvision without its last layer.

    Raises:
        ModelError: The name, the input size or the weights do not fit.
    """
    known = torchvision.models.list_models(module=torchvision.models)
    _require_known("torchvision", name, known)
    options: dict[str, object] = {}
    if name.startswith("vit_"):
        options = {"image_size": config.input_size}
    elif name in ("googlenet", "inception_v3"):
        options = {"aux_logits": False, "init_weights": True}
    try:
        network = torchvision.models.get_model(name, weights=None, **options)
    except ValueError as error:
        raise _unfit(f"torchvision:{name}", config.input_size, error) from None
    _set_dropout(network, config.dropout)
    stem = _make_grey(network)
    head = remove_head(network)
    return _finish(
        network, f"torchvision:{name}", config, pretrained, stem, (head,), _IMAGENET_GREY
    )


def timm_backbone(name: str, config: ClassifierConfig, *, pretrained: bool = True) -> Backbone:
    """A network of timm without its last layer.

    Raises:
        ModelError: The name, the input size or the weights do not fit.
    """
    _require_known("timm", name, timm.list_models())
    options: dict[str, Any] = {}
    card = timm.get_pretrained_cfg(name)
    if card is not None and card.fixed_input_size:
        options["img_size"] = config.input_size
    try:
        network = timm.create_model(name, pretrained=False, in_chans=1, num_classes=0, **options)
    except (TypeError, ValueError, RuntimeError, AssertionError) as error:
        raise _unfit(f"timm:{name}", config.input_size, error) from None
    about = cast(dict[str, Any], network.pretrained_cfg)
    stem, head = about.get("first_conv") or "", about.get("classifier") or ()
    grey = (255 * float(np.mean(about["mean"])), 255 * float(np.mean(about["std"])))
    stems = (stem,) if isinstance(stem, str) else tuple(stem)
    heads = (head,) if isinstance(head, str) else tuple(head)
    return _finish(network, f"timm:{name}", config, pretrained, stems[0], heads, grey)


def read_weights(path: Path) -> dict[str, Tensor]:
    """Read a state dict from a safetensors file or from one of `torch.save`, tensors only.

    Raises:
        ModelError: There is no such file, or it is damaged or holds more than tensors.
    """
    try:
        if path.suffix == ".safetensors":
            return safetensors.torch.load_file(path)
        stored = torch.load(path, weights_only=True, map_location="cpu")
    except OSError as error:
        raise ModelError(
            f"classifier.weights names {path}, which cannot be read ({error.strerror or error}); "
            "give the path of a weights file."
        ) from None
    except (RuntimeError, pickle.UnpicklingError, EOFError, safetensors.SafetensorError):
        raise ModelError(
            f"{path} should be a state dict (torch.save or safetensors) but is damaged or holds "
            "more than tensors; save the model's state_dict() alone."
        ) from None
    if isinstance(stored, Mapping) and isinstance(stored.get("state_dict"), Mapping):
        stored = stored["state_dict"]
    if not isinstance(stored, Mapping) or not all(isinstance(v, Tensor) for v in stored.values()):
        raise ModelError(
            f"{path} should hold a state dict, names to tensors, but holds something else; "
            "save the model's state_dict() alone."
        )
    return dict(stored)


def _finish(
    network: nn.Module,
    name: str,
    config: ClassifierConfig,
    pretrained: bool,
    stem: str,
    heads: Sequence[str],
    grey: tuple[float, float],
) -> Backbone:
    loads = pretrained and config.weights is not None
    if pretrained and config.weights is not None:
        _load(network, name, config.weights, stem, heads)
    n_features = _count_features(network, name, config.input_size)
    return Backbone(network, n_features, mean=grey[0], std=grey[1], pretrained=loads)


def _load(network: nn.Module, name: str, path: Path, stem: str, heads: Sequence[str]) -> None:
    dropped = (*(f"{head}." for head in heads), *_AUXILIARY)
    weights = {k: v for k, v in read_weights(path).items() if not k.startswith(dropped)}
    wanted = network.state_dict()
    kernel = weights.get(f"{stem}.weight")
    if kernel is not None and kernel.ndim == 4 and kernel.shape[1] == 3:
        weights[f"{stem}.weight"] = kernel.sum(1, keepdim=True)  # grey repeats into the channels
    missing = sorted(wanted.keys() - weights.keys())
    foreign = sorted(weights.keys() - wanted.keys())
    shaped = [k for k in wanted.keys() & weights.keys() if wanted[k].shape != weights[k].shape]
    if not (missing or foreign or shaped):
        network.load_state_dict(weights)
        return
    if missing:
        fault = f"{missing[0]} is missing (and {len(missing) - 1} more)"
    elif foreign:
        fault = f"{foreign[0]} does not belong (nor do {len(foreign) - 1} more)"
    else:
        key = min(shaped)
        fault = f"{key} is {tuple(weights[key].shape)} in place of {tuple(wanted[key].shape)}"
    raise ModelError(
        f"{path} should hold the weights of {name}, but {fault}; "
        "give a file of that network or change classifier.model."
    )


def _make_grey(network: nn.Module) -> str:
    layers: Iterator[tuple[str, nn.Module]] = network.named_modules()
    name, conv = next((name, layer) for name, layer in layers if isinstance(layer, nn.Conv2d))
    grey = nn.Conv2d(
        1,
        conv.out_channels,
        (conv.kernel_size[0], conv.kernel_size[1]),
        stride=(conv.stride[0], conv.stride[1]),
        padding=conv.padding if isinstance(conv.padding, str) else tuple(conv.padding[:2]),  # type: ignore[arg-type]
        bias=conv.bias is not None,
    )
    network.set_submodule(name, grey)
    return name


def _set_dropout(network: nn.Module, dropout: float) -> None:
    for layer in network.modules():
        if isinstance(layer, nn.Dropout):
            layer.p = dropout


def _count_features(network: nn.Module, name: str, side: int) -> int:
    network.eval()
    try:
        with torch.no_grad():
            features = network(torch.zeros(2, 1, side, side))
    except (RuntimeError, ValueError, AssertionError, IndexError) as error:
        raise _unfit(name, side, error) from None
    network.train()
    if not isinstance(features, Tensor) or features.ndim != 2:
        raise ModelError(
            f"{name} gives no flat features and cannot be used as a classifier; choose another."
        )
    return features.shape[1]


def _unfit(name: str, side: int, error: Exception) -> ModelError:
    reason = " ".join(str(error).split())
    return ModelError(
        f"{name} cannot read images of {side} px ({reason:.120}); "
        "change classifier.input_size or classifier.model."
    )


def _require_known(family: str, name: str, known: Sequence[str]) -> None:
    if name not in known:
        near = difflib.get_close_matches(name, known, n=3, cutoff=0.4)
        hint = f"near names are {', '.join(near)}" if near else f"it has {len(known)} others"
        raise ModelError(f"{family} has no model {name!r}; {hint}.")
