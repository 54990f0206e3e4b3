"""Networks of torchxrayvision (Cohen 2022), trained on chest radiographs to name findings."""

import importlib
import pickle
import warnings
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn
from torchvision.models import resnet50

from balancer.errors import ConfigurationError, EnvironmentFault
from balancer.quality.extractors.extractor import (
    Extractor,
    Family,
    Prepared,
    extractor_of,
    find_weights,
    unfit,
)

_PREFIX = "torchxrayvision:"
_MEAN, _STD = 127.5, 127.5 / 1024
"""8-bit values to the library's range, -1024 to 1024."""
_CACHE = Path("~/.torchxrayvision/models_data")


class XrayFamily(Family):
    """DenseNet-121 and ResNet-50 by the library's names of weights; their pooled features.

    Values are scaled to -1024 to 1024 and images resized as the library does: bilinear with
    antialias, to 224 or 512 px. The networks have one channel; of a colour image they see the mean
    of its channels.
    """

    names = ("torchxrayvision:NAME",)

    def knows(self, name: str) -> bool:
        """Look at the prefix."""
        return name.startswith(_PREFIX)

    def load(self, name: str, weights: Path | None, channels: int) -> Extractor:
        """Build the network."""
        models = _library()
        bare = name.removeprefix(_PREFIX)
        known = [one for one in models.model_urls if one.startswith(("densenet", "resnet50"))]
        if bare not in known:
            raise ConfigurationError(
                f"quality.extractors should name one of {', '.join(known)} after {_PREFIX}, not "
                f"{bare!r}."
            )
        facts = models.model_urls[bare]
        url = facts["weights_url"]
        path = find_weights(name, weights, url, [_CACHE.expanduser() / url.rpartition("/")[2]])
        build = _DenseFeatures if bare.startswith("densenet") else _residual_features
        try:
            network = build(models, len(facts["labels"]), _read(path, models))
        except (
            *(RuntimeError, AttributeError, KeyError, TypeError, OSError, EOFError, ValueError),
            *(pickle.UnpicklingError, ModuleNotFoundError),
        ) as error:
            raise unfit(name, path, error) from None
        prepared = Prepared(
            network, side=facts["input_resolution"], mean=[_MEAN], std=[_STD], resize="bilinear"
        )
        return extractor_of(
            name,
            prepared,
            description=f"torchxrayvision {bare}, pooled features",
            weights=path,
            preprocessing=prepared.words(channels),
            packages=["torchxrayvision"],
        )


class _DenseFeatures(nn.Module):
    """The library's DenseNet up to its pooled features."""

    def __init__(self, models: ModuleType, n_labels: int, state: dict[str, Tensor]) -> None:
        super().__init__()
        self.network = models.DenseNet(num_classes=n_labels)
        self.network.load_state_dict(state)

    def forward(self, images: Tensor) -> Tensor:
        features: Tensor = self.network.features2(images)
        return features


def _residual_features(models: ModuleType, n_labels: int, state: dict[str, Tensor]) -> nn.Module:
    """Build the library's ResNet-50, whose own class would fetch and unpickle its weights."""
    network: nn.Module = resnet50(num_classes=n_labels)
    network.set_submodule("conv1", nn.Conv2d(1, 64, 7, stride=2, padding=3, bias=False))
    network.load_state_dict(state)
    network.set_submodule("fc", nn.Identity())
    return network


def _library() -> ModuleType:
    try:
        with warnings.catch_warnings():  # it silences those of everybody
            return importlib.import_module("torchxrayvision.models")
    except ImportError:
        raise EnvironmentFault(
            f"Extractors {_PREFIX}NAME need torchxrayvision, which is not installed; run "
            "`pip install 'balancer[xray]'`."
        ) from None


def _read(path: Path, models: ModuleType) -> dict[str, Tensor]:
    """Read a state dict, or the whole DenseNet that the library publishes as a pickle.

    The pickle may build these classes of layers, and nothing else.
    """
    with torch.serialization.safe_globals([*_layers(models)]):
        stored: Any = torch.load(path, map_location="cpu", weights_only=True)
    if isinstance(stored, nn.Module):
        # Pickles of old versions of PyTorch lack an attribute that `state_dict` reads.
        for module in stored.modules():
            module.__dict__.setdefault("_non_persistent_buffers_set", set())
        stored = stored.state_dict()
    return dict(stored)


def _layers(models: ModuleType) -> Iterator[Any]:
    yield from (models.DenseNet, models._DenseBlock, models._DenseLayer, models._Transition)
    yield from (nn.Sequential, nn.Conv2d, nn.BatchNorm2d, nn.ReLU, nn.MaxPool2d, nn.AvgPool2d)
    yield from (nn.Linear, set)
