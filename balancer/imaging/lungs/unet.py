"""A small U-Net for lung fields, and its two files: `unet.safetensors` and `unet.json`.

Ronneberger, Fischer and Brox 2015 (arXiv 1505.04597), with padded convolutions, group norm where it
has none (batches are small) and a first convolution of stride 2: lungs have no details that need
the last factor of two, which takes four fifths of the time.
"""

import hashlib
import importlib.metadata
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor, nn

from balancer.imaging.pixels import Pixels

WEIGHTS, CARD = "unet.safetensors", "unet.json"
KIND: Literal["lung-unet"] = "lung-unet"
FORMAT: Literal[1] = 1
_PACKAGES = ("torch", "lightning", "numpy", "safetensors")
_LEVELS = (1, 2, 4, 8, 8)
"""Feature maps of each resolution, as multiples of the filters."""
MULTIPLE = 2 ** len(_LEVELS)
"""Divisor of the sides that the network halves without a remainder."""
_GROUP = 4
_SMALLEST_PART = 0.1


class UNetError(ValueError):
    """A file of a saved network is missing, damaged or changed."""


class UNetCard(BaseModel):
    """The content of `unet.json`.

    Attributes:
        filters: Feature maps of the first level.
        image_size: Side in pixels that films are stretched to.
        provenance: Record of the training, as the caller gave it.
        weights_sha256: SHA-256 of the weights file, hex.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["lung-unet"] = KIND
    format: Literal[1] = FORMAT
    filters: Annotated[int, Field(ge=_GROUP, le=32, multiple_of=_GROUP)]
    image_size: Annotated[int, Field(ge=MULTIPLE, le=1024, multiple_of=MULTIPLE)]
    provenance: dict[str, Any]
    versions: dict[str, str]
    weights_sha256: str


@dataclass(frozen=True, slots=True)
class LoadedUNet:
    """A network ready to predict, in eval mode, on the CPU, and its card."""

    network: "LungUNet"
    card: UNetCard


class LungUNet(nn.Module):
    """Network that gives the logit of lung for every pixel; 16 filters have 1.1 million weights.

    Args:
        filters: Number of feature maps of the first level, a multiple of 4.
    """

    def __init__(self, filters: int) -> None:
        super().__init__()
        widths = [filters * factor for factor in _LEVELS]
        self.filters = filters
        self.stem = nn.Conv2d(1, widths[0], 5, stride=2, padding=2)
        self.down = nn.ModuleList(
            _convolutions(before, after)
            for before, after in zip([widths[0], *widths[:-1]], widths, strict=True)
        )
        self.up = nn.ModuleList(
            _convolutions(low + high, high)
            for low, high in zip(widths[:0:-1], widths[-2::-1], strict=True)
        )
        self.head = nn.Conv2d(widths[0], 1, 1)

    def forward(self, films: Tensor) -> Tensor:
        """Return logits, float (N, 1, S, S), for grey images (N, 1, S, S) of any range.

        Each image is standardised by its own mean and deviation, which removes exposure.
        """
        films = films.float()
        mean = films.mean(dim=(2, 3), keepdim=True)
        deviation = films.std(dim=(2, 3), keepdim=True, correction=0)
        x = self.stem((films - mean) / (deviation + 1e-3))
        skips = []
        for number, block in enumerate(self.down):
            x = block(x if number == 0 else F.max_pool2d(x, 2))
            skips.append(x)
        for block, skip in zip(self.up, skips[-2::-1], strict=True):
            x = block(torch.cat([F.interpolate(x, scale_factor=2.0), skip], dim=1))
        logits: Tensor = F.interpolate(self.head(x), scale_factor=2.0, mode="bilinear")
        return logits


def predict_lungs(network: LungUNet, films: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return the probability of lung for every pixel, on the device of the network.

    Args:
        network: The network, in eval mode.
        films: uint8 (N, S, S).

    Returns:
        float32 (N, S, S) in [0, 1].
    """
    device = next(network.parameters()).device
    with torch.inference_mode():
        batch = torch.from_numpy(np.ascontiguousarray(films))[:, None].to(device)
        return np.asarray(network(batch).sigmoid()[:, 0].cpu().numpy(), np.float32)


def lung_mask(probabilities: NDArray[np.float32], shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Return a mask at the resolution of an image, without holes and without specks.

    Args:
        probabilities: float32 (S, S).
        shape: Height and width of the image.

    Returns:
        bool (H, W); parts smaller than a tenth of the largest are left out.
    """
    height, width = shape
    large = cv2.resize(probabilities, (width, height), interpolation=cv2.INTER_LINEAR)
    outlines, _ = cv2.findContours(
        (large >= 0.5).astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE
    )
    filled: Pixels = np.zeros((height, width), np.uint8)
    sizes = [cv2.contourArea(outline) for outline in outlines]
    for outline, size in zip(outlines, sizes, strict=True):
        if size >= _SMALLEST_PART * max(sizes):
            cv2.drawContours(filled, [outline], -1, 1, cv2.FILLED)
    return filled.astype(np.bool_)


def save_unet(
    directory: Path, network: LungUNet, *, image_size: int, provenance: Mapping[str, Any]
) -> str:
    """Write both files into a folder.

    Args:
        directory: Existing folder that the caller publishes as a whole.
        network: The network.
        image_size: Side of the images it learnt from.
        provenance: Record of the training, JSON types.

    Returns:
        SHA-256 of the weights, hex.
    """
    weights = {name: value.cpu().contiguous() for name, value in network.state_dict().items()}
    content = save(weights)
    card = UNetCard(
        filters=network.filters,
        image_size=image_size,
        provenance=dict(provenance),
        versions={name: importlib.metadata.version(name) for name in _PACKAGES},
        weights_sha256=hashlib.sha256(content).hexdigest(),
    )
    (directory / WEIGHTS).write_bytes(content)
    text = json.dumps(card.model_dump(mode="json"), indent=2, allow_nan=False)
    (directory / CARD).write_text(text + "\n", encoding="utf-8")
    return card.weights_sha256


def load_unet(directory: Path) -> LoadedUNet:
    """Read what `save_unet` wrote.

    Raises:
        UNetError: A file is missing, damaged or changed, or its weights do not fit.
    """
    card = _read_card(directory / CARD)
    network = LungUNet(card.filters)
    network.load_state_dict(_verified_weights(directory / WEIGHTS, card, network))
    network.to(memory_format=torch.channels_last)  # as in training: faster on a CPU
    return LoadedUNet(network.eval().requires_grad_(False), card)


def _verified_weights(path: Path, card: UNetCard, network: LungUNet) -> dict[str, Tensor]:
    """Read weights and check hash, names, shapes and values.

    Raises:
        UNetError: They are not those that the card describes, or do not fit the network.
    """
    content = _read(path)
    digest = hashlib.sha256(content).hexdigest()
    if digest != card.weights_sha256:
        raise UNetError(
            f"{path} should have the hash {card.weights_sha256:.12} that {CARD} states but has "
            f"{digest:.12}; run `balancer lungs train --force`."
        )
    wanted = {name: value.shape for name, value in network.state_dict().items()}
    try:
        weights = load(content)
    except SafetensorError as error:
        raise UNetError(
            f"{path} should hold the weights of a U-Net of {card.filters} filters, but: "
            f"{error}; run `balancer lungs train --force`."
        ) from None
    if {name: value.shape for name, value in weights.items()} != wanted:
        raise UNetError(
            f"{path} should hold the weights of a U-Net of {card.filters} filters, but has others; "
            "run `balancer lungs train --force`."
        )
    if not all(bool(torch.isfinite(value).all()) for value in weights.values()):
        raise UNetError(f"{path} holds NaN or infinity; run `balancer lungs train --force`.")
    return weights


def _convolutions(before: int, after: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(before, after, 3, padding=1, bias=False),
        nn.GroupNorm(after // _GROUP, after),
        nn.ReLU(inplace=True),
        nn.Conv2d(after, after, 3, padding=1, bias=False),
        nn.GroupNorm(after // _GROUP, after),
        nn.ReLU(inplace=True),
    )


def _read_card(path: Path) -> UNetCard:
    try:
        return UNetCard.model_validate_json(_read(path))
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"]) or "content"
        raise UNetError(
            f"{path} should be the card of a lung U-Net, but its {field} is unusable: "
            f"{first['msg'].lower()}; run `balancer lungs train --force`."
        ) from None


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UNetError(
            f"A trained U-Net needs {path}, which cannot be read ({error.strerror}); run "
            "`balancer lungs train`."
        ) from None
