"""From feature maps to features: one number per map, or two."""

from typing import Literal

import torch
from torch import Tensor, nn

Pooling = Literal["average", "average+max"]


class GlobalPool(nn.Module):
    """Mean of each feature map, or its mean and its maximum, as COVID-ResNet's head takes them."""

    def __init__(self, kind: Pooling) -> None:
        super().__init__()
        self.kind = kind

    @property
    def n_numbers(self) -> int:
        """Numbers per feature map."""
        return 1 if self.kind == "average" else 2

    def forward(self, maps: Tensor) -> Tensor:
        """Pool: float (N, C, h, w) -> (N, C, 1, 1), or (N, 2 C, 1, 1) with all means first."""
        mean = maps.mean((2, 3), keepdim=True)
        if self.kind == "average":
            return mean
        return torch.cat([mean, maps.amax((2, 3), keepdim=True)], 1)

    def extra_repr(self) -> str:
        """For `print`."""
        return repr(self.kind)


class PooledFeatures(nn.Module):
    """Convolutions, an activation where the maps lack it, and a global pool.

    Args:
        features: Images to feature maps; its parameters keep the names of the library's network.
        pooling: What becomes of the maps.
        activate: Whether the maps still want their ReLU.
    """

    def __init__(self, features: nn.Module, pooling: Pooling, *, activate: bool = False) -> None:
        super().__init__()
        self.features = features
        self.activation = nn.ReLU() if activate else nn.Identity()
        self.pool = GlobalPool(pooling)

    def forward(self, images: Tensor) -> Tensor:
        """Images float (N, 1, S, S) to features (N, F)."""
        pooled: Tensor = self.pool(self.activation(self.features(images)))
        return pooled.flatten(1)
