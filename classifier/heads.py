"""The last layer of a classifier: putting it on, and taking a foreign one off."""

from collections.abc import Iterator

from torch import nn


def linear_head(n_features: int, n_classes: int, dropout: float) -> nn.Sequential:
    """Dropout and one linear layer: (N, n_features) to logits (N, n_classes)."""
    return nn.Sequential(nn.Dropout(dropout), nn.Linear(n_features, n_classes))


def remove_head(network: nn.Module) -> str:
    """Replace the last linear or convolution layer by identity, so that features come out.

    Returns:
        The name of the layer, such as `fc` or `classifier.1`.
    """
    layers: Iterator[tuple[str, nn.Module]] = network.named_modules()
    name = [name for name, layer in layers if isinstance(layer, nn.Linear | nn.Conv2d)][-1]
    network.set_submodule(name, nn.Identity())
    return name
