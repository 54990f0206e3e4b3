"""Networks of our own: BAM-Net's CNN, the eight-convolution CNN, EfficientNet-Lite."""

from collections import OrderedDict
from itertools import pairwise

from torch import nn

from classifier.cards import ModelError
from classifier.config import ClassifierConfig
from classifier.covid_net import covid_net
from classifier.lite import lite_features
from classifier.pooling import GlobalPool, Pooling


def own_backbone(name: str, config: ClassifierConfig, *, pretrained: bool) -> nn.Module:
    """A network of ours: normalised grey images (N, 1, S, S) to features (N, F).

    Args:
        name: One of `bam-cnn`, `covid-net`, `eight-conv`, `lite0`, `lite2`.
        config: The recipe; of it, pooling and dropout are used.
        pretrained: Whether `lite0` or `lite2` gets its bundled weights.

    Raises:
        ModelError: The pooling is not for this network.
    """
    if name == "bam-cnn":
        if config.pooling != "average":
            raise ModelError(
                "classifier.pooling (average+max) wants a network with a global pool, but bam-cnn "
                "pools to 4 x 4; leave it out or change classifier.model."
            )
        return bam_cnn(config.dropout)
    if name == "covid-net":
        return covid_net(config.pooling, config.dropout)
    if name == "eight-conv":
        return eight_convolutions(config.pooling)
    network = lite_features(name, pretrained=pretrained)
    if config.pooling != "average":
        network.set_submodule(
            "global_pool", nn.Sequential(GlobalPool(config.pooling), nn.Flatten())
        )
    return network


def bam_cnn(dropout: float) -> nn.Module:
    """BAM-Net's CNN: three convolution blocks and, with the head, three dense layers.

    Batch norm throughout, ReLU after convolutions, leaky ReLU and dropout between dense layers.
    Pooling to 4 x 4 before the dense layers makes their size independent of the image size.
    """
    return nn.Sequential(
        *_conv_block(1, 32),
        *_conv_block(32, 64),
        *_conv_block(64, 128),
        nn.AdaptiveAvgPool2d(4),
        nn.Flatten(),  # (N, 2048)
        *_dense_block(2048, 256),
        nn.Dropout(dropout),
        *_dense_block(256, 64),
    )


def eight_convolutions(pooling: Pooling) -> nn.Module:
    """The six-network comparison's own CNN: with the head, two dense layers.

    Eight convolutions of 5 x 5 in four blocks, each with batch norm after its second ReLU and a
    max-pool. The paper's widths are not known here; these are.
    """
    parts: OrderedDict[str, nn.Module] = OrderedDict()
    widths = (1, 32, 64, 128, 256)
    for number, (n_in, n_out) in enumerate(pairwise(widths), start=1):
        parts[f"block{number}"] = nn.Sequential(
            OrderedDict(
                first=nn.Conv2d(n_in, n_out, 5, padding=2),
                first_activation=nn.ReLU(inplace=True),
                second=nn.Conv2d(n_out, n_out, 5, padding=2),
                second_activation=nn.ReLU(inplace=True),
                normal=nn.BatchNorm2d(n_out),
                shrink=nn.MaxPool2d(2),
            )
        )
    pool = GlobalPool(pooling)
    parts |= {
        "pool": pool,
        "flatten": nn.Flatten(),
        "dense": nn.Sequential(nn.Linear(256 * pool.n_numbers, 128), nn.ReLU(inplace=True)),
    }
    return nn.Sequential(parts)


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
