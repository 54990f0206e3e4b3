"""Files of pretrained weights: find one on the disk, load it into a backbone."""

import os
import pickle
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import timm
import torch
import torchvision
from torch import Tensor, nn

from classifier.cards import Library, ModelCard, ModelError
from classifier.library_backbones import HeadlessNetwork

_WORDS = ("auto", "none", "torchvision", "timm")
_OURS = "0.backbone."
"""Prefix of the first backbone in a file of `save_classifier`."""


def find_weights(choice: str, card: ModelCard) -> Path | None:
    """Return the file that `classifier.weights` names; None: no file.

    Args:
        choice: `auto` or `none` (no file), `torchvision` or `timm` (the library's default ImageNet
            weights for this network; never downloaded), or a path.
        card: Card of the network.

    Raises:
        ModelError: The library has no weights for the network, or they are not on the disk; the
            sentence says what to download and where to put it.
    """
    if choice in ("auto", "none"):
        return None
    if choice not in ("torchvision", "timm"):
        return Path(choice).expanduser()
    if card.library != choice:
        source = "auto, none or a file" if card.library == "own" else card.library
        raise ModelError(
            f"classifier.weights ({choice}) is for networks of {choice}, not for {card.name}; "
            f"give {source}, or change classifier.model."
        )
    find = _torchvision_file if choice == "torchvision" else _timm_file
    url, places = find(card)
    found = next((place for place in places if place.is_file()), None)
    if found is None:
        raise ModelError(
            f"classifier.weights ({choice}) needs the ImageNet weights of {card.name}, which are "
            f"not on this machine; download {url} to {places[0]}, or set classifier.weights."
        )
    return found


def load_weights(network: HeadlessNetwork, card: ModelCard, path: Path, *, channels: int) -> None:
    """Load a file of weights into a network without its head.

    For grey images, the weights of a colour stem are summed over the colours: an image then gives
    the same output as the image repeated three times. Weights of heads are skipped. The file may
    also be that of a trained classifier, whose first network is used.

    Raises:
        ModelError: The file cannot be read or does not hold exactly the weights of the network.
    """
    stored = read_weights(path)
    if any(name.startswith(_OURS) for name in stored):
        stored = {
            name.removeprefix(_OURS): value
            for name, value in stored.items()
            if name.startswith(_OURS)
        }
    dropped = tuple(f"{name}." for name in network.dropped)
    weights = {k: v for k, v in stored.items() if not dropped or not k.startswith(dropped)}
    kernel = weights.get(f"{network.stem}.weight")
    if kernel is not None and kernel.ndim == 4 and kernel.shape[1] == 3 and channels == 1:
        weights[f"{network.stem}.weight"] = kernel.sum(1, keepdim=True)
    _check_fit(network.network, weights, path, card.name)
    network.network.load_state_dict(weights)


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
            f"give {', '.join(_WORDS)} or the path of a weights file."
        ) from None
    except (RuntimeError, pickle.UnpicklingError, EOFError, safetensors.SafetensorError):
        raise ModelError(
            f"{path} should be a state dict (torch.save or safetensors) but is damaged or has "
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


def _check_fit(network: nn.Module, weights: Mapping[str, Tensor], path: Path, name: str) -> None:
    wanted = network.state_dict()
    missing = sorted(wanted.keys() - weights.keys())
    foreign = sorted(weights.keys() - wanted.keys())
    shaped = [k for k in wanted.keys() & weights.keys() if wanted[k].shape != weights[k].shape]
    if not (missing or foreign or shaped):
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


def _torchvision_file(card: ModelCard) -> tuple[str, Sequence[Path]]:
    weights = getattr(torchvision.models.get_model_weights(card.architecture), "DEFAULT", None)
    if weights is None:
        raise _no_weights("torchvision", card)
    return weights.url, [_checkpoints() / weights.url.rpartition("/")[2]]


def _timm_file(card: ModelCard) -> tuple[str, Sequence[Path]]:
    recipe: Any = timm.get_pretrained_cfg(card.architecture)
    if recipe is None or not (recipe.url or recipe.hf_hub_id):
        raise _no_weights("timm", card)
    if recipe.hf_hub_id:
        repository = recipe.hf_hub_id
        name = recipe.hf_hub_filename or "model.safetensors"
        url = f"https://huggingface.co/{repository}/resolve/main/{name}"
        place = _checkpoints() / f"{repository.rpartition('/')[2]}{Path(name).suffix}"
        cached = _hub_cache() / f"models--{repository.replace('/', '--')}" / "snapshots"
        return url, [place, *sorted(cached.glob(f"*/{name}"))]
    return recipe.url, [_checkpoints() / recipe.url.rpartition("/")[2]]


def _checkpoints() -> Path:
    """Return the folder of torch.hub's downloads; TORCH_HOME moves it."""
    return Path(torch.hub.get_dir()) / "checkpoints"


def _hub_cache() -> Path:
    """Return the folder of huggingface_hub's downloads."""
    if place := os.environ.get("HF_HUB_CACHE"):
        return Path(place)
    cache = Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser()
    return Path(os.environ.get("HF_HOME", cache / "huggingface")) / "hub"


def _no_weights(library: Library, card: ModelCard) -> ModelError:
    return ModelError(
        f"{library} has no ImageNet weights for {card.name}; set classifier.weights to none or to "
        "a file, or change classifier.model."
    )
