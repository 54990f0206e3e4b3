"""From feature maps to logits: global pooling, and the dense layers of a head."""

from collections.abc import Iterator, Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Pooling = Literal["average", "average+max"]


class GlobalPool(nn.Module):
    """Mean of each feature map, or its mean and its maximum, as in COVID-ResNet's head."""

    def __init__(self, kind: Pooling) -> None:
        super().__init__()
        self.kind = kind

    @property
    def n_numbers(self) -> int:
        """Number of features per feature map."""
        return 1 if self.kind == "average" else 2

    def forward(self, maps: Tensor) -> Tensor:
        """Pool float (N, C, h, w) to (N, C, 1, 1), or to (N, 2 C, 1, 1) with all means first."""
        mean = maps.mean((2, 3), keepdim=True)
        if self.kind == "average":
            return mean
        return torch.cat([mean, maps.amax((2, 3), keepdim=True)], 1)

    def extra_repr(self) -> str:
        """Return the kind, for `print`."""
        return repr(self.kind)


class PooledFeatures(nn.Module):
    """Convolutions, an activation where the maps lack it, and a global pool.

    Args:
        features: Network from images to feature maps; its parameters keep their names.
        pooling: Kind of global pooling.
        activate: True adds a ReLU before the pool.
    """

    def __init__(self, features: nn.Module, pooling: Pooling, *, activate: bool = False) -> None:
        super().__init__()
        self.features = features
        self.activation = nn.ReLU() if activate else nn.Identity()
        self.pool = GlobalPool(pooling)

    def forward(self, images: Tensor) -> Tensor:
        """Compute features (N, F) of images float (N, C, S, S)."""
        pooled: Tensor = self.pool(self.activation(self.features(images)))
        return pooled.flatten(1)


class CosineLinear(nn.Linear):
    """Cosines of features and class vectors, times a fixed scale: the last layer of LDAM.

    Source: Cao 2019 (1906.07413), after Wang 2018 (CosFace, 1801.09414).

    Args:
        n_features: Width of the input.
        n_classes: Width of the output.
        scale: Factor of the cosines.
    """

    def __init__(self, n_features: int, n_classes: int, scale: float) -> None:
        super().__init__(n_features, n_classes, bias=False)
        self.scale = scale

    def forward(self, input: Tensor) -> Tensor:
        """Compute logits float (N, n_classes) in [-scale, scale] of features (N, n_features)."""
        return self.scale * F.linear(F.normalize(input), F.normalize(self.weight))


def dense_head(
    n_features: int,
    n_classes: int,
    *,
    dropout: float,
    units: Sequence[int] = (),
    batch_norm: bool = False,
    cosine_scale: float | None = None,
) -> nn.Sequential:
    """Build dense layers from features (N, n_features) to logits (N, n_classes).

    Args:
        n_features: Width of the input.
        n_classes: Width of the output.
        dropout: Probability of dropout before each dense layer.
        units: Widths of hidden layers, first to last, each with ReLU.
        batch_norm: True adds batch norm before the first and after each hidden layer.
        cosine_scale: Scale of a last layer of cosines; None: a dense one.
    """
    layers: list[nn.Module] = [nn.BatchNorm1d(n_features)] if batch_norm else []
    for width in units:
        layers += [nn.Dropout(dropout), nn.Linear(n_features, width), nn.ReLU(inplace=True)]
        layers += [nn.BatchNorm1d(width)] if batch_norm else []
        n_features = width
    last = (
        nn.Linear(n_features, n_classes)
        if cosine_scale is None
        else CosineLinear(n_features, n_classes, cosine_scale)
    )
    return nn.Sequential(*layers, nn.Dropout(dropout), last)


def remove_head(network: nn.Module) -> str:
    """Replace the last linear or convolution layer by identity, so that features are the output.

    Returns:
        Name of the layer, such as `fc` or `classifier.1`.
    """
    layers: Iterator[tuple[str, nn.Module]] = network.named_modules()
    name = [name for name, layer in layers if isinstance(layer, nn.Linear | nn.Conv2d)][-1]
    network.set_submodule(name, nn.Identity())
    return name
