"""Which layers of a backbone learn."""

from classifier.models import GreyClassifier


def unfreeze_last(network: GreyClassifier, share: float) -> None:
    """Let the last layers of the backbone learn, and the head; freeze the others.

    Layers are modules with parameters of their own, in the order of the network. Frozen ones keep
    their batch statistics too, and cost no backward pass.

    Args:
        network: In training mode; changed in place.
        share: Of the layers, in [0, 1]; rounded to whole layers.
    """
    layers = network.layers()
    n_frozen = len(layers) - round(share * len(layers))
    network.backbone.train(n_frozen < len(layers))
    for number, layer in enumerate(layers):
        layer.requires_grad_(number >= n_frozen)
        if number < n_frozen:
            layer.eval()
