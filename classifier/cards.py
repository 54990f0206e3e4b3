"""Registry of networks: a card of each, readable before the network is built.

torchvision and timm are imported only for cards of their networks, so that reading the input size
of the default network needs no torch.
"""

import difflib
import functools
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

Library = Literal["own", "torchvision", "timm"]
Groups = tuple[tuple[str, ...], ...]

PIXEL_MEAN = 127.0
"""Mean of Lite networks, which take (x - PIXEL_MEAN) / PIXEL_SCALE of 8-bit values x."""
PIXEL_SCALE = 128.0
"""Scale of Lite networks."""

# Grey mean and deviation of ImageNet, for networks that do not state their own.
_IMAGENET_GREY = (0.449 * 255, 0.226 * 255)
# These were trained on colours in [-1, 1]; torchvision rescales its usual input to that.
_GOOGLE_GREY = (127.5, 127.5)
_GOOGLE = ("googlenet", "inception_v3")


class ModelError(ValueError):
    """Error of a network or a file of weights that cannot be used with these settings.

    Example:
        >>> import numpy as np
        >>> from classifier import ArrayTable, ClassifierConfig, ModelError, train
        >>> table = ArrayTable.of(np.zeros((4, 32, 32), np.uint8), labels=[0, 1, 0, 1])
        >>> try:
        ...     train(table, table, ClassifierConfig(model="resnet19"), out_dir="unknown")
        ... except ModelError as error:
        ...     print("resnet18" in str(error))
        True
    """


@dataclass(frozen=True, slots=True)
class ModelCard:
    """Facts about a network.

    Attributes:
        name: Name in `classifier.model`.
        library: Library that builds it.
        architecture: Name of the network in the library.
        input_size: Side in pixels that it was made for.
        mean: Number subtracted from grey levels in [0, 255].
        std: Number that divides them afterwards.
        last_convolution: Name, inside the backbone, of the module whose feature maps Grad-CAM uses;
            "": the last one with maps.
        groups: Names of the backbone's parts, group by group from the stem on; (): layers whose
            maps have the same side are a group.
        keeps_dense: True if hidden dense layers of the library's network are kept.
    """

    name: str
    library: Library
    architecture: str
    input_size: int
    mean: float
    std: float
    last_convolution: str = ""
    groups: Groups = ()
    keeps_dense: bool = True


def _numbered(prefix: str, *ends: int) -> Groups:
    """Group the parts of an `nn.Sequential`; each number is the end of a group, exclusive."""
    spans = zip((0, *ends[:-1]), ends, strict=True)
    return tuple(tuple(f"{prefix}{i}" for i in range(first, end)) for first, end in spans)


def _features(*ends: int) -> Groups:
    return _numbered("features.", *ends)


def _within(prefix: str, groups: Groups) -> Groups:
    return tuple(tuple(f"{prefix}{name}" for name in group) for group in groups)


_RESNET: Groups = (("conv1", "bn1"), ("layer1",), ("layer2",), ("layer3",), ("layer4",))
_DENSENET: Groups = (
    ("conv0", "norm0"),
    ("denseblock1", "transition1"),
    ("denseblock2", "transition2"),
    ("denseblock3", "transition3"),
    ("denseblock4", "norm5"),
)
_INCEPTION: Groups = (
    ("Conv2d_1a_3x3", "Conv2d_2a_3x3", "Conv2d_2b_3x3"),
    ("Conv2d_3b_1x1", "Conv2d_4a_3x3"),
    ("Mixed_5b", "Mixed_5c", "Mixed_5d"),
    ("Mixed_6a", "Mixed_6b", "Mixed_6c", "Mixed_6d", "Mixed_6e"),
    ("Mixed_7a", "Mixed_7b", "Mixed_7c"),
)
_RESNET_V2: Groups = (("stem",), *((f"stages.{i}",) for i in range(3)), ("stages.3", "norm"))
_XCEPTION: Groups = (
    ("conv1", "bn1", "conv2", "bn2"),
    ("block1", "block2", "block3"),
    tuple(f"block{i}" for i in range(4, 8)),
    tuple(f"block{i}" for i in range(8, 12)),
    ("block12", "conv3", "bn3", "conv4", "bn4"),
)
_LITE: Groups = (
    ("conv_stem", "bn1", "blocks.0"),
    ("blocks.1",),
    ("blocks.2",),
    ("blocks.3", "blocks.4"),
    ("blocks.5", "blocks.6", "conv_head", "bn2"),
)
_STAGES: Groups = (("stem",), *((f"stage{i}",) for i in range(1, 5)), ("dense",))
_BLOCKS: Groups = (*((f"block{i}",) for i in range(1, 5)), ("dense",))

BUNDLED = ("lite0", "lite2")
"""Names of networks whose ImageNet weights are installed with the package."""

# Name, side, module for Grad-CAM, groups.
_OWN: tuple[tuple[str, int, str, Groups], ...] = (
    ("bam-cnn", 64, "10", _numbered("", 4, 8, 14, 21)),
    ("covid-net", 224, "stage4", _STAGES),
    ("eight-conv", 224, "block4.normal", _BLOCKS),
    ("lite0", 224, "bn2", _LITE),
    ("lite2", 260, "bn2", _LITE),
)
# The same, for short names of networks of torchvision or timm; VGGs lack their dense layers.
_SHORT: tuple[tuple[str, str, str, Groups], ...] = (
    ("squeezenet1_1", "torchvision:squeezenet1_1", "features.12", _features(1, 5, 8, 11, 13)),
    ("mobilenet_v2", "torchvision:mobilenet_v2", "features.18", _features(2, 4, 7, 14, 19)),
    ("resnet18", "torchvision:resnet18", "layer4", _RESNET),
    ("resnet50", "torchvision:resnet50", "layer4", _RESNET),
    ("vgg16", "torchvision:vgg16", "features.29", _features(5, 10, 17, 24, 31)),
    ("vgg19", "torchvision:vgg19", "features.35", _features(5, 10, 19, 28, 37)),
    ("densenet201", "torchvision:densenet201", "activation", _within("features.", _DENSENET)),
    ("inception_v3", "torchvision:inception_v3", "Mixed_7c", _INCEPTION),
    ("resnet50v2", "timm:resnetv2_50", "norm", _RESNET_V2),
    ("xception", "timm:legacy_xception", "act4", _XCEPTION),
)  # fmt: skip
_SIDES = {"squeezenet1_1": 227}  # that of the first version, which the papers use


def registered_models() -> list[str]:
    """Return the names of networks that need no library prefix, sorted.

    Example:
        >>> from classifier import registered_models
        >>> [name for name in registered_models() if name.startswith("resnet")]
        ['resnet18', 'resnet50', 'resnet50v2']
    """
    return sorted([name for name, *_ in _OWN] + [name for name, *_ in _SHORT])


def model_card(name: str) -> ModelCard:
    """Return the card of a network.

    Args:
        name: One of `registered_models()`, `torchvision:NAME` or `timm:NAME`.

    Raises:
        ModelError: There is no such network; the error gives similar names.
    """
    for own, side, target, groups in _OWN:
        if name == own:
            return ModelCard(name, "own", name, side, PIXEL_MEAN, PIXEL_SCALE, target, groups)
    for short, full, target, groups in _SHORT:
        if name == short:
            card = _library_card(full)
            return replace(
                card,
                name=name,
                input_size=_SIDES.get(name, card.input_size),
                last_convolution=target,
                groups=groups,
                keeps_dense=False,
            )
    return _library_card(name)


def _library_card(name: str) -> ModelCard:
    family, _, architecture = name.partition(":")
    if family == "torchvision" and architecture in _torchvision_names():
        return _torchvision_card(name, architecture)
    if family == "timm" and architecture in _timm_names():
        return _timm_card(name, architecture)
    near = _near_names(name)
    hint = f"similar names are {', '.join(near)}" if near else f"own ones are {', '.join(_own())}"
    known = f"one of {', '.join(registered_models())}, torchvision:NAME or timm:NAME"
    if family in ("torchvision", "timm"):
        raise ModelError(f"{family} has no model {architecture!r}; {hint}.")
    raise ModelError(f"classifier.model should be {known}, not {name!r}; {hint}.")


def _torchvision_card(name: str, architecture: str) -> ModelCard:
    import torchvision

    side, (mean, std) = 224, _IMAGENET_GREY
    weights = getattr(torchvision.models.get_model_weights(architecture), "DEFAULT", None)
    if weights is not None:
        recipe = weights.transforms()
        side = recipe.crop_size[0]
        mean, std = 255 * float(np.mean(recipe.mean)), 255 * float(np.mean(recipe.std))
    if architecture in _GOOGLE:
        mean, std = _GOOGLE_GREY
    return ModelCard(name, "torchvision", architecture, side, mean, std)


def _timm_card(name: str, architecture: str) -> ModelCard:
    import timm

    recipe = timm.get_pretrained_cfg(architecture)
    if recipe is None:
        return ModelCard(name, "timm", architecture, 224, *_IMAGENET_GREY)
    mean, std = 255 * float(np.mean(recipe.mean)), 255 * float(np.mean(recipe.std))
    return ModelCard(name, "timm", architecture, recipe.input_size[-1], mean, std)


@functools.cache
def _torchvision_names() -> frozenset[str]:
    import torchvision

    return frozenset(torchvision.models.list_models(module=torchvision.models))


@functools.cache
def _timm_names() -> frozenset[str]:
    import timm

    return frozenset(timm.list_models())


def _own() -> list[str]:
    return [name for name, *_ in _OWN]


def _near_names(name: str) -> list[str]:
    """Return similar names, own and short ones first; only those of a library it names."""
    family, colon, bare = name.partition(":")
    pools = {
        "": registered_models(),
        "torchvision:": sorted(_torchvision_names()),
        "timm:": sorted(_timm_names()),
    }
    if colon and family + colon in pools:
        pools = {family + colon: pools[family + colon]}
    wanted = bare if colon else name
    return [
        prefix + near
        for prefix, names in pools.items()
        for near in difflib.get_close_matches(wanted.lower(), names, n=3, cutoff=0.5)
    ]
