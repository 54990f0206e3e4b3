"""Networks of our own: BAM-Net's CNN, the eight-convolution CNN, COVID-Net, EfficientNet-Lite."""

from collections import OrderedDict
from itertools import pairwise

from torch import Tensor, nn

from classifier.cards import ModelError
from classifier.config import ClassifierConfig
from classifier.heads import GlobalPool, Pooling
from classifier.lite import lite_features

_STEM = 64
# COVID-Net's stages: blocks, widths of projections, of the depthwise convolution, of the output.
_STAGES = ((3, 50, 64, 256), (4, 100, 128, 512), (6, 200, 256, 1024), (3, 400, 512, 2048))
_DENSE = (1024, 256)


def own_backbone(
    name: str, config: ClassifierConfig, channels: int, *, pretrained: bool
) -> nn.Module:
    """Build a network of ours, from normalised images (N, C, S, S) to features (N, F).

    Args:
        name: One of `bam-cnn`, `covid-net`, `eight-conv`, `lite0`, `lite2`.
        config: The recipe; its `pooling` and `dropout` are used.
        channels: C, 1 or 3.
        pretrained: True loads the bundled weights of `lite0` or `lite2`.

    Raises:
        ModelError: The network does not fit the pooling.
    """
    if name == "bam-cnn":
        if config.pooling != "average":
            raise ModelError(
                "classifier.pooling (average+max) needs a network with a global pool, but bam-cnn "
                "pools to 4 x 4; leave it out or change classifier.model."
            )
        return bam_cnn(config.dropout, channels)
    if name == "covid-net":
        return covid_net(config.pooling, config.dropout, channels)
    if name == "eight-conv":
        return eight_convolutions(config.pooling, channels)
    network = lite_features(name, channels, pretrained=pretrained)
    if config.pooling != "average":
        network.set_submodule(
            "global_pool", nn.Sequential(GlobalPool(config.pooling), nn.Flatten())
        )
    return network


def bam_cnn(dropout: float, channels: int = 1) -> nn.Module:
    """Build BAM-Net's CNN: three convolution blocks and, with the head, three dense layers.

    Batch norm throughout, ReLU after convolutions, leaky ReLU and dropout between dense layers.
    Pooling to 4 x 4 before the dense layers makes their size independent of the image size.
    """
    return nn.Sequential(
        *_conv_block(channels, 32),
        *_conv_block(32, 64),
        *_conv_block(64, 128),
        nn.AdaptiveAvgPool2d(4),
        nn.Flatten(),  # (N, 2048)
        *_dense_block(2048, 256),
        nn.Dropout(dropout),
        *_dense_block(256, 64),
    )


def eight_convolutions(pooling: Pooling, channels: int = 1) -> nn.Module:
    """Build the CNN of the six-network comparison: with the head, two dense layers.

    Eight convolutions of 5 x 5 in four blocks, each with batch norm after its second ReLU and a
    max-pool. The paper does not state the widths; these are our choice.
    """
    parts: OrderedDict[str, nn.Module] = OrderedDict()
    widths = (channels, 32, 64, 128, 256)
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


class ProjectionExpansion(nn.Module):
    """PEPX of COVID-Net: projection, expansion, depthwise 3 x 3, projection, extension.

    It is residual where input and output have the same width. All convolutions but the depthwise
    one are 1 x 1; each has batch norm, and each but the last ReLU.
    """

    def __init__(self, n_in: int, n_projected: int, n_expanded: int, n_out: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            *_convolution(n_in, n_projected),
            *_convolution(n_projected, n_expanded),
            *_convolution(n_expanded, n_expanded, side=3, groups=n_expanded),
            *_convolution(n_expanded, n_projected),
            *_convolution(n_projected, n_out)[:-1],
        )
        self.residual = n_in == n_out
        self.activation = nn.ReLU()

    def forward(self, maps: Tensor) -> Tensor:
        """Compute maps (N, n_out, h, w) of maps float (N, n_in, h, w)."""
        found: Tensor = self.body(maps)
        activated: Tensor = self.activation(found + maps if self.residual else found)
        return activated


def covid_net(pooling: Pooling, dropout: float, channels: int = 1) -> nn.Module:
    """Build COVID-Net (Wang, Lin and Wong 2020, 2003.09871) from its description.

    The paper gives the pattern of its blocks and their order, and for the released network of
    480 px 11.75 M parameters and 7.50 G multiplications, but no widths inside blocks. Those here
    are round numbers that fit both: with three classes and colours 11.74 M and 7.56 G.

    Returns:
        Network from normalised images float (N, C, S, S) to features (N, 256).
    """
    parts: OrderedDict[str, nn.Module] = OrderedDict(
        stem=nn.Sequential(*_convolution(channels, _STEM, side=7, stride=2), nn.MaxPool2d(2))
    )
    n_in = _STEM
    for number, (n_blocks, n_projected, n_expanded, n_out) in enumerate(_STAGES, start=1):
        blocks = []
        for _ in range(n_blocks):
            blocks.append(ProjectionExpansion(n_in, n_projected, n_expanded, n_out))
            n_in = n_out
        # Halved before each stage but the first, so that no block skips pixels.
        shrink = [nn.MaxPool2d(2)] if number > 1 else []
        parts[f"stage{number}"] = nn.Sequential(*shrink, *blocks)
    pool = GlobalPool(pooling)
    wide, narrow = _DENSE
    parts |= {
        "pool": pool,
        "flatten": nn.Flatten(),
        "dense": nn.Sequential(
            nn.Linear(n_in * pool.n_numbers, wide),
            nn.ReLU(inplace=True),
            nn.Dropout(dropout),
            nn.Linear(wide, narrow),
            nn.ReLU(inplace=True),
        ),
    }
    return nn.Sequential(parts)


def _convolution(
    n_in: int, n_out: int, *, side: int = 1, stride: int = 1, groups: int = 1
) -> list[nn.Module]:
    return [
        nn.Conv2d(n_in, n_out, side, stride, side // 2, groups=groups, bias=False),
        nn.BatchNorm2d(n_out),
        nn.ReLU(inplace=True),
    ]


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
