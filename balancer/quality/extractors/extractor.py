"""An extractor: a frozen network, its names, and all that its features depend on."""

import hashlib
import importlib.metadata
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from balancer.errors import ConfigurationError, EnvironmentFault
from balancer.imaging.pixels import GREY

_TRIAL_SIDE = 32
RGB = 3


@dataclass(frozen=True)
class Extractor:
    """A frozen network, its names, and all that its features depend on.

    Attributes:
        suffix: Suffix of a metric of these features, as in `fid[lite0]`; empty for Inception-v3
            with the 2015 weights.
        dimension: Number of features per image.
        recipe: Network, hash of the weights, preprocessing, dtype and versions; JSON-ready.
        network: uint8 (N, 1 or 3, H, W) -> one-tuple of float32 (N, dimension).
        registered_name: Name in torch-fidelity, where it is registered there; it holds the hash of
            the weights, since torch-fidelity's own cache uses the name alone.
    """

    suffix: str
    dimension: int
    recipe: dict[str, Any]
    network: nn.Module
    registered_name: str = ""

    @property
    def name(self) -> str:
        """Name in the configuration and in the records."""
        return str(self.recipe["extractor"])

    @property
    def weights_sha256(self) -> str:
        """SHA-256 of the weights, hex."""
        return str(self.recipe["weights_sha256"])


class Family(ABC):
    """Extractors that are built in one way.

    Attributes:
        names: Their names, or a pattern such as `timm:NAME`, for people.
    """

    names: Sequence[str]

    @abstractmethod
    def knows(self, name: str) -> bool:
        """Return whether a name is one of the family's."""

    @abstractmethod
    def load(self, name: str, weights: Path | None, channels: int) -> Extractor:
        """Build an extractor.

        Args:
            name: Its name.
            weights: Path that `quality.weights` gives; None: where its library keeps downloads.
            channels: Channels of the images, for the recipe; the network itself takes 1 or 3.

        Raises:
            ConfigurationError: The name is unknown, or the given path does not exist.
            EnvironmentFault: A library or the weights are missing, or do not fit.
        """


class Frozen(nn.Module):
    """A network that never trains: uint8 (N, 1 or 3, H, W) -> one-tuple of float32 (N, F).

    Args:
        network: uint8 (N, 3, H, W) to the one-tuple.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network: nn.Module = network.eval().requires_grad_(False)

    def train(self, mode: bool = True) -> "Frozen":
        """Stay in evaluation mode, regardless of a parent module."""
        super().train(False)
        return self

    def forward(self, images: Tensor) -> tuple[Tensor]:
        """Extract; grey images are repeated to RGB."""
        features: tuple[Tensor] = self.network(images.expand(-1, RGB, -1, -1))
        return features


class Prepared(Frozen):
    """A network behind its preprocessing: resize the whole image, then normalise.

    Args:
        network: float32 (N, C, side, side), normalised, to float32 (N, F).
        side: Side of its input in pixels.
        mean: Numbers subtracted from values in [0, 255], one per channel of the network.
        std: Numbers that divide them afterwards.
        resize: `bilinear` or `bicubic`, with antialias.
    """

    def __init__(
        self,
        network: nn.Module,
        *,
        side: int,
        mean: Sequence[float],
        std: Sequence[float],
        resize: str,
    ) -> None:
        super().__init__(network.to(memory_format=torch.channels_last))
        self._side = side
        self._resize = resize
        self._mean, self._std = (torch.tensor(each).view(1, -1, 1, 1) for each in (mean, std))

    def forward(self, images: Tensor) -> tuple[Tensor]:
        """Extract; a network of one channel gets the mean of the colours."""
        pixels = images.float()
        if self._mean.numel() == GREY:
            pixels = pixels.mean(1, keepdim=True)
        if pixels.shape[-2:] != (self._side, self._side):
            side = (self._side, self._side)
            pixels = F.interpolate(pixels, side, mode=self._resize, antialias=True).clamp(0, 255)
        normal = (pixels - self._mean) / self._std  # repeats a grey channel
        features: Tensor = self.network(normal.contiguous(memory_format=torch.channels_last))
        return (features.float(),)

    def words(self, channels: int) -> str:
        """Describe the preprocessing of images with a number of channels, for the recipe."""
        means, stds = (
            ", ".join(f"{value:.6g}" for value in numbers.flatten().tolist())
            for numbers in (self._mean, self._std)
        )
        given = input_words(channels) if self._mean.numel() == GREY else as_rgb(channels)
        return (
            f"{given}, {self._resize} with antialias to {self._side} px without a crop, "
            f"(x - ({means})) / ({stds})"
        )


def extractor_of(
    name: str,
    network: Frozen,
    *,
    description: str,
    weights: Path,
    preprocessing: str,
    packages: Sequence[str],
    original_sha256: str | None = None,
) -> Extractor:
    """Complete an extractor from its network.

    Args:
        name: Name in the configuration, which is part of the name of its metrics.
        network: The network.
        description: Network and layer, for the recipe.
        weights: File of its weights.
        preprocessing: Steps before the network, for the recipe.
        packages: Packages whose version decides the features.
        original_sha256: Hash of the weights that the name stands for, where it is known; of others
            the hash is part of the name of the metrics.
    """
    found = sha256_of(weights)
    is_original = original_sha256 in (None, found)
    trial = torch.zeros(1, RGB, _TRIAL_SIDE, _TRIAL_SIDE, dtype=torch.uint8)
    with torch.inference_mode():
        (features,) = network(trial)
    return Extractor(
        suffix=f"[{name}]" if is_original else f"[{name}-{found[:8]}]",
        dimension=features.shape[1],
        recipe={
            "extractor": name,
            "network": description,
            "weights": weights.name,
            "weights_sha256": found,
            "input": preprocessing,
            **common_recipe(*packages),
        },
        network=network,
    )


def find_weights(
    name: str, given: Path | None, url: str, places: Sequence[Path], *, folder: bool = False
) -> Path:
    """Return the file or folder with the weights of an extractor; nothing is downloaded.

    Args:
        name: Name of the extractor.
        given: Path that `quality.weights` gives for it.
        url: Address of the weights, for the message.
        places: Paths where its library keeps downloads, the preferred one first; none if the
            library has no weights.
        folder: True where the weights are a folder.

    Raises:
        ConfigurationError: The given path does not exist.
        EnvironmentFault: None is given, and there is none at these places.
    """
    kind, exists = ("folder", Path.is_dir) if folder else ("file", Path.is_file)
    if given is not None:
        if not exists(given):
            raise ConfigurationError(
                f"quality.weights names {given} for {name}, but there is no such {kind}; give the "
                "path of an existing one or leave it out."
            )
        return given
    found = next((place for place in places if exists(place)), None)
    if found is None:
        absent = (
            f"there is no {kind} {places[0]}; put {url} there, or" if places
            else "its library has none;"
        )  # fmt: skip
        raise EnvironmentFault(
            f"The extractor {name} needs its weights, but {absent} name the {kind} with "
            f"--set 'quality.weights={{{name}: {kind.upper()}}}', or leave {name} out of "
            "quality.extractors."
        )
    return found


def unfit(name: str, path: Path, error: Exception) -> EnvironmentFault:
    """Return the error of weights that are not those of an extractor."""
    reason = " ".join(str(error).split()) or type(error).__name__
    return EnvironmentFault(
        f"{path} should hold the weights of {name}, but they do not fit: {reason:.200}; replace "
        "the file, or name another one in quality.weights."
    )


def input_words(channels: int) -> str:
    """Name the kind of the images that a network is given."""
    return "8-bit grey" if channels == GREY else "8-bit sRGB"


def as_rgb(channels: int) -> str:
    """Name the kind of the images, and that a network of colours sees grey ones as RGB."""
    repeated = " repeated to RGB" if channels == GREY else ""
    return input_words(channels) + repeated


def common_recipe(*packages: str) -> dict[str, Any]:
    """Return the part common to all recipes: dtypes, and versions that decide the features."""
    names = ("torch", "torch-fidelity", *packages)
    versions = {name: importlib.metadata.version(name) for name in names}
    return {"dtype": "float32 features, float64 distances", "versions": versions}


def sha256_of(path: Path) -> str:
    """Hash a file: SHA-256, hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
