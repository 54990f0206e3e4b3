"""Networks of DINOv2 (Oquab 2023, arXiv 2304.07193), built by timm from weights of other origins.

RAD-DINO (Pérez-García 2025, arXiv 2401.10815) is a ViT-B/14 that DINOv2 trained on chest
radiographs. Microsoft keeps it as a folder of Hugging Face, whose names of weights differ.
"""

import json
import re
from collections.abc import Mapping
from functools import partial
from math import isqrt
from pathlib import Path
from typing import Any

import timm
import torch
import torch.nn.functional as F
from timm.models.vision_transformer import VisionTransformer, checkpoint_filter_fn
from torch import Tensor, nn

from balancer.errors import EnvironmentFault
from balancer.quality.extractors.extractor import (
    Extractor,
    Family,
    Prepared,
    extractor_of,
    find_weights,
    unfit,
)
from balancer.quality.extractors.tensors import read_tensors
from classifier.weights import downloads, hub_snapshots

_RAD_DINO = "rad-dino"
_REPOSITORY = "microsoft/rad-dino"
_OFFSET = 0.1
"""Offset that DINOv2 adds to a side before it divides, against rounding errors."""
_GREY_LEVELS = 255
_RENAMED = (
    (r"^embeddings\.position_embeddings$", "pos_embed"),
    (r"^embeddings\.patch_embeddings\.projection", "patch_embed.proj"),
    (r"^embeddings\.", ""),
    (r"^encoder\.layer\.", "blocks."),
    (r"^layernorm\.", "norm."),
    (r"attention\.attention\.", "attn."),
    (r"attention\.output\.dense", "attn.proj"),
    (r"layer_scale(\d)\.lambda1", r"ls\1.gamma"),
)


def dinov2_network(architecture: str, state: Mapping[str, Tensor], side: int) -> nn.Module:
    """Build a network from weights with DINOv2's own names.

    Args:
        architecture: Name in timm, such as `vit_small_patch14_dinov2`.
        state: The weights.
        side: Side of its input in pixels; the embeddings of positions are resized as DINOv2 does.

    Returns:
        Normalised float32 (N, 3, side, side) -> class token (N, F), after the last norm.

    Raises:
        RuntimeError: The weights are of another network.
        KeyError: Likewise.
    """
    network: Any = timm.create_model(architecture, pretrained=False, img_size=side, num_classes=0)
    grid = network.patch_embed.grid_size[0]
    resized = {**state, "pos_embed": _positions(state["pos_embed"], grid)}
    network.load_state_dict(checkpoint_filter_fn(resized, network))
    built: nn.Module = network
    return built


def _positions(embedded: Tensor, grid: int) -> Tensor:
    """Resize embeddings of positions, (1, 1 + g * g, F) to (1, 1 + grid * grid, F)."""
    first, patches = embedded[:, :1], embedded[:, 1:]
    was = isqrt(patches.shape[1])
    if was == grid:
        return embedded
    square = patches.transpose(1, 2).reshape(1, -1, was, was)
    scale = (grid + _OFFSET) / was
    resized = F.interpolate(square, scale_factor=(scale, scale), mode="bicubic")
    return torch.cat((first, resized.flatten(2).transpose(1, 2)), dim=1)


class RadDinoFamily(Family):
    """RAD-DINO, the class token of its last layer.

    Its weights are a folder: `config.json`, `model.safetensors` and `preprocessor_config.json`,
    which has the side and the statistics of its input; a grey image is repeated to RGB.
    """

    names = (_RAD_DINO,)

    def knows(self, name: str) -> bool:
        """Compare with the name."""
        return name == _RAD_DINO

    def load(self, name: str, weights: Path | None, channels: int) -> Extractor:
        """Build the network of the folder."""
        places = [downloads() / name, *hub_snapshots(_REPOSITORY)]
        url = f"https://huggingface.co/{_REPOSITORY}"
        folder = find_weights(name, weights, url, places, folder=True)
        path = folder / "model.safetensors"
        shape, prepared = (_json(folder, f) for f in ("config.json", "preprocessor_config.json"))
        state = read_tensors(path)
        try:
            network = Prepared(
                _from_hugging_face(shape, state),
                side=shape["image_size"],
                mean=[_GREY_LEVELS * value for value in prepared["image_mean"]],
                std=[_GREY_LEVELS * value for value in prepared["image_std"]],
                resize="bicubic",
            )
        except (RuntimeError, KeyError, TypeError, ValueError, AssertionError) as error:
            raise unfit(name, folder, error) from None
        return extractor_of(
            name,
            network,
            description=f"{_REPOSITORY} by timm, class token",
            weights=path,
            preprocessing=network.words(channels),
            packages=["timm"],
        )


def _json(folder: Path, name: str) -> dict[str, Any]:
    try:
        found = json.loads((folder / name).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise EnvironmentFault(
            f"{folder} should be a copy of https://huggingface.co/{_REPOSITORY}, but its {name} "
            f"cannot be read ({' '.join(str(error).split()):.100}); copy the folder again."
        ) from None
    return dict(found)


def _from_hugging_face(shape: Mapping[str, Any], state: Mapping[str, Tensor]) -> nn.Module:
    """Build the network that `config.json` describes: class token, as in `Dinov2Model`."""
    network = VisionTransformer(
        img_size=shape["image_size"],
        patch_size=shape["patch_size"],
        num_classes=0,
        global_pool="token",
        embed_dim=shape["hidden_size"],
        depth=shape["num_hidden_layers"],
        num_heads=shape["num_attention_heads"],
        mlp_ratio=shape["mlp_ratio"],
        init_values=1.0,
        norm_layer=partial(nn.LayerNorm, eps=shape["layer_norm_eps"]),
    )
    renamed = _renamed(state)
    grid = network.patch_embed.grid_size[0]
    network.load_state_dict({**renamed, "pos_embed": _positions(renamed["pos_embed"], grid)})
    return network


def _renamed(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename the weights of Hugging Face; query, key and value become one."""
    weights: dict[str, Tensor] = {}
    for name, value in state.items():
        for pattern, replacement in _RENAMED:
            name = re.sub(pattern, replacement, name)
        weights[name] = value
    weights.pop("mask_token", None)
    for name in [name for name in weights if ".attn.query." in name]:
        parts = [weights.pop(name.replace("query", part)) for part in ("query", "key", "value")]
        weights[name.replace("query", "qkv")] = torch.cat(parts)
    return weights
