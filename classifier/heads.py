"""The last layers of a classifier: putting them on, and taking foreign ones off."""

from collections.abc import Iterator, Sequence

from torch import nn


def dense_head(
    n_features: int,
    n_classes: int,
    *,
    dropout: float,
    units: Sequence[int] = (),
    batch_norm: bool = False,
) -> nn.Sequential:
    """Dense layers from features (N, n_features) to logits (N, n_classes).

    Args:
        n_features: Width of the input.
        n_classes: Width of the output.
        dropout: Before each dense layer.
        units: Widths of hidden layers, first to last, each with ReLU.
        batch_norm: Of the features, and after each hidden layer.
    """
    layers: list[nn.Module] = [nn.BatchNorm1d(n_features)] if batch_norm else []
    for width in units:
        layers += [nn.Dropout(dropout), nn.Linear(n_features, width), nn.ReLU(inplace=True)]
        layers += [nn.BatchNorm1d(width)] if batch_norm else []
        n_features = width
    return nn.Sequential(*layers, nn.Dropout(dropout), nn.Linear(n_features, n_classes))


def remove_head(network: nn.Module) -> str:
    """Replace the last linear or convolution layer by identity, so that features come out.

    Returns:
        The name of the layer, such as `fc` or `classifier.1`.
    """
    layers: Iterator[tuple[str, nn.Module]] = network.named_modules()
    name = [name for name, layer in layers if isinstance(layer, nn.Linear | nn.Conv2d)][-1]
    network.set_submodule(name, nn.Identity())
    return name
