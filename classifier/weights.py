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

from classifier.cards import ModelCard, ModelError
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
        ModelError: There is no such file; or the library has no weights for the network, or they
            are not on the disk: the sentence says what to download and where to put it.
    """
    if choice in ("auto", "none"):
        return None
    if choice not in ("torchvision", "timm"):
        path = Path(choice).expanduser()
        if not path.exists():
            raise ModelError(
                f"classifier.weights names {choice}, which does not exist; give "
                f"{', '.join(_WORDS)} or the path of a weights file."
            )
        return path
    if card.library != choice:
        source = "auto, none or a file" if card.library == "own" else card.library
        raise ModelError(
            f"classifier.weights ({choice}) is for networks of {choice}, not for {card.name}; "
            f"give {source}, or change classifier.model."
        )
    find = _torchvision_places if choice == "torchvision" else timm_places
    known = find(card.architecture)
    if known is None:
        raise ModelError(
            f"{choice} has no ImageNet weights for {card.name}; set classifier.weights to none or "
            "to a file, or change classifier.model."
        )
    url, places = known
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
            f"{path} should be a file of weights but cannot be read ({error.strerror or error}); "
            "give the path of one."
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


def _torchvision_places(architecture: str) -> tuple[str, Sequence[Path]] | None:
    weights = getattr(torchvision.models.get_model_weights(architecture), "DEFAULT", None)
    if weights is None:
        return None
    return weights.url, [downloads() / weights.url.rpartition("/")[2]]


def timm_places(architecture: str) -> tuple[str, Sequence[Path]] | None:
    """Return where timm fetches the weights of a network, and the places where they may be.

    Args:
        architecture: Name of the network in timm, with the tag of its weights or without.

    Returns:
        Their address and the paths, the preferred one first; None: timm has none.
    """
    recipe: Any = timm.get_pretrained_cfg(architecture)
    if recipe is None or not (recipe.url or recipe.hf_hub_id):
        return None
    if recipe.hf_hub_id:
        repository = recipe.hf_hub_id
        name = recipe.hf_hub_filename or "model.safetensors"
        url = f"https://huggingface.co/{repository}/resolve/main/{name}"
        place = downloads() / f"{repository.rpartition('/')[2]}{Path(name).suffix}"
        return url, [place, *(folder / name for folder in hub_snapshots(repository))]
    return recipe.url, [downloads() / recipe.url.rpartition("/")[2]]


def downloads() -> Path:
    """Return the folder of torch.hub's downloads; TORCH_HOME moves it."""
    return Path(torch.hub.get_dir()) / "checkpoints"


def hub_snapshots(repository: str) -> list[Path]:
    """Return the folders in which huggingface_hub keeps what it fetched of a repository."""
    home = Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser() / "huggingface"
    cache = os.environ.get("HF_HUB_CACHE") or Path(os.environ.get("HF_HOME", home)) / "hub"
    return sorted(Path(cache).glob(f"models--{repository.replace('/', '--')}/snapshots/*"))
