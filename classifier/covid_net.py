"""COVID-Net (Wang, Lin and Wong 2020, 2003.09871), written from its description.

The paper gives the pattern of its blocks and their order, and for the released network of 480 px
11.75 M parameters and 7.50 G multiplications; it gives no widths inside blocks. Those here are
round numbers that meet both: with three classes and colours 11.74 M and 7.56 G.
"""

from collections import OrderedDict

from torch import Tensor, nn

from classifier.pooling import GlobalPool, Pooling

_STEM = 64
# Of each stage: blocks, width of the projections, of the depthwise convolution, of the output.
_STAGES = ((3, 50, 64, 256), (4, 100, 128, 512), (6, 200, 256, 1024), (3, 400, 512, 2048))
_DENSE = (1024, 256)


class ProjectionExpansion(nn.Module):
    """PEPX: projection, expansion, depthwise 3 x 3, projection, extension; residual where it fits.

    All but the depthwise convolution are 1 x 1, each has batch norm, and each but the last ReLU.
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
        """Float (N, n_in, h, w) -> (N, n_out, h, w)."""
        found: Tensor = self.body(maps)
        activated: Tensor = self.activation(found + maps if self.residual else found)
        return activated


def covid_net(pooling: Pooling, dropout: float) -> nn.Module:
    """Normalised grey images float (N, 1, S, S) to features (N, 256)."""
    parts: OrderedDict[str, nn.Module] = OrderedDict(
        stem=nn.Sequential(*_convolution(1, _STEM, side=7, stride=2), nn.MaxPool2d(2))
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
