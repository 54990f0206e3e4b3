"""Where a classifier's evidence lies: Grad-CAM (Selvaraju 2017, 1610.02391) and activations.

Grad-CAM is that of the `grad-cam` library, which is imported when a map is asked for. Its scaled
maps are not used: the library subtracts the least value of every map, so that even evidence becomes
none, and divides what is left, however little it may be, by its maximum.
"""

import difflib
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from classifier.checkpoint import LoadedClassifier
from classifier.data import EvaluationSet
from classifier.models import GreyClassifier
from classifier.tables import ImageTable

Floats = NDArray[np.float32]

NOT_FINITE = "the map is not finite"
NO_EVIDENCE = "no positive evidence"
"""Every channel that speaks for the class is outweighed at every place by those against it."""
_BACKBONE = "backbone."
_ROUNDING = 1e-6
"""Share of the summed channels below which a positive sum may be rounding alone."""


class MissingPackage(ImportError):
    """The optional package that draws the maps is not installed."""


class LayerError(ValueError):
    """A layer that does not exist or has no feature maps."""


@dataclass(frozen=True, slots=True)
class CamResult:
    """Grad-CAM of N images.

    Attributes:
        maps: float32 (N, S, S) in [0, 1], bilinear from `grid`; each has the maximum 1, or is all
            zero where `empty`.
        empty: bool (N,), images without a map.
        reasons: N strings, why a map is empty; "" where it is not.
        grid: Height and width of the feature maps, which is all the detail that a map has.
    """

    maps: Floats
    empty: NDArray[np.bool_]
    reasons: tuple[str, ...]
    grid: tuple[int, int]


@dataclass(frozen=True, slots=True)
class Activations:
    """The strongest channels of one layer for one image.

    Attributes:
        layer: Name of the layer.
        channels: int64 (K,), the strongest first.
        maps: float32 (K, h, w), as the layer gave them.
        strengths: float32 (K,), mean absolute activations.
        n_channels: Number of channels of the layer.
    """

    layer: str
    channels: NDArray[np.int64]
    maps: Floats
    strengths: Floats
    n_channels: int


def require_library() -> None:
    """Find out whether maps can be made at all, before anything is computed for them.

    Raises:
        MissingPackage: The `grad-cam` package is not installed.
    """
    _library()


def prepared_images(
    loaded: LoadedClassifier, table: ImageTable, rows: Sequence[int] | None = None
) -> Tensor:
    """Images of a table as the network sees them, uint8 (N, 1, S, S); `rows` None: all."""
    side = loaded.network.preprocessing.input_size
    images = EvaluationSet(table, side, loaded.config.contrast)
    return torch.stack([images[row][0] for row in (range(len(table)) if rows is None else rows)])


def grad_cam(
    network: GreyClassifier | Sequence[GreyClassifier],
    images: Tensor,
    target_class: int,
    *,
    batch_size: int = 16,
) -> CamResult:
    """Where feature maps of the last convolution raise the logit of a class.

    Each channel is weighted by the mean gradient of the logit over its places; what is positive of
    the weighted sum is the map. It works for frozen networks and within `torch.inference_mode`.
    Of several networks of one make it is the map of their mean logit: the channels of all of them
    are added.

    Args:
        network: One, or the `networks` of a loaded classifier; put into eval mode, and gradients of
            the weights are dropped.
        images: Grey levels (N, 1, S, S) in [0, 255], uint8 or float, at least one.
        target_class: Number of the class.
        batch_size: Images at a time.

    Raises:
        MissingPackage: The `grad-cam` package is not installed.
        IndexError: There is no such class.
        LayerError: The network has no feature maps of two dimensions.
    """
    make = _library()
    side = images.shape[-1]
    networks = [network] if isinstance(network, nn.Module) else list(network)
    maps, empty, reasons, grid = [], [], [], (0, 0)
    with torch.inference_mode(False), torch.enable_grad(), ExitStack() as stack:
        for member in networks:
            stack.enter_context(_frozen(member))
        for start in range(0, len(images), batch_size):
            # A copy: tensors of inference mode take no part in a graph.
            batch = images[start : start + batch_size].clone()
            members = [_signed_maps(make, member, batch, target_class) for member in networks]
            signed, scale = (sum(parts) / len(networks) for parts in zip(*members, strict=True))
            grid = (signed.shape[-2], signed.shape[-1])
            for values, size in zip(signed, scale, strict=True):
                reason = _why_empty(values, size)
                maps.append(np.zeros((side, side), np.float32) if reason else _scaled(values, side))
                reasons.append(reason)
                empty.append(bool(reason))
    return CamResult(np.stack(maps), np.array(empty), tuple(reasons), grid)


def activations(
    network: GreyClassifier, image: Tensor, layer: str | None = None, *, n: int = 16
) -> Activations:
    """The channels of a layer that answer most strongly to an image.

    Args:
        network: Put into eval mode.
        image: Grey levels (1, 1, S, S) in [0, 255], uint8 or float.
        layer: A name of `layer_names`; None: the last convolution.
        n: Channels at most.

    Raises:
        LayerError: There is no such layer, or it gives no feature maps; near names are listed.
    """
    name = last_convolution_name(network) if layer is None else layer
    module = _named(network, name)
    outputs: list[Any] = []
    # A copy: a ReLU that works in place would change what was kept.
    handle = module.register_forward_hook(
        lambda _module, _inputs, output: outputs.append(
            output.detach().clone() if isinstance(output, Tensor) else output
        )
    )
    try:
        with torch.no_grad():
            network.eval()(image)
    finally:
        handle.remove()
    if not outputs or not isinstance(outputs[-1], Tensor) or outputs[-1].ndim != 4:
        raise LayerError(
            f"The layer {name!r} should give feature maps (N, C, h, w) but does not; choose one "
            f"such as {last_convolution_name(network)!r}."
        )
    maps = outputs[-1][0].float().cpu().numpy()  # (C, h, w)
    strengths = np.abs(maps).mean(axis=(1, 2))
    channels = np.argsort(-strengths, kind="stable")[:n].astype(np.int64)
    return Activations(name, channels, maps[channels], strengths[channels], len(maps))


def layer_names(network: GreyClassifier) -> list[str]:
    """Names of all parts of the backbone, from the input on, as `activations` takes them."""
    return [name for name, _ in network.backbone.named_modules() if name]


def last_convolution_name(network: GreyClassifier) -> str:
    """Name of the layer that Grad-CAM reads; "" if the backbone does not name it."""
    parts = network.backbone.named_modules()
    return next((name for name, part in parts if part is network.last_convolution), "")


def _named(network: GreyClassifier, name: str) -> nn.Module:
    parts: dict[str, nn.Module] = dict(network.backbone.named_modules())
    part = parts.get(name.removeprefix(_BACKBONE))
    if part is None:
        near = difflib.get_close_matches(name, parts, n=3, cutoff=0.4)
        hint = f"near names are {', '.join(near)}" if near else f"it has {len(parts) - 1} others"
        raise LayerError(
            f"The network should have the layer {name!r} but has not; {hint}, and the last "
            f"convolution is {last_convolution_name(network)!r}."
        )
    return part


def _library() -> Callable[..., Any]:
    try:
        from pytorch_grad_cam import GradCAM
    except ImportError as error:
        raise MissingPackage(
            f"Grad-CAM needs the grad-cam package, but: {error}; pip install 'balancer[explain]'."
        ) from error
    make: Callable[..., Any] = GradCAM
    return make


@contextmanager
def _frozen(network: GreyClassifier) -> Iterator[None]:
    """No gradients for weights, and a graph that begins behind the last convolution alone."""

    def begin(module: nn.Module, inputs: Any, output: Any) -> Tensor:
        if not isinstance(output, Tensor) or output.ndim != 4:
            raise LayerError(
                f"Grad-CAM needs feature maps (N, C, h, w), but {type(module).__name__}, the last "
                "convolution of this network, gives none; explain another model."
            )
        # The copy may be changed in place by a ReLU that follows; a leaf of the graph may not.
        return output.detach().requires_grad_().clone()

    trained = [weight for weight in network.parameters() if weight.requires_grad]
    for weight in trained:
        weight.requires_grad_(False)
    handle = network.last_convolution.register_forward_hook(begin)
    try:
        yield
    finally:
        handle.remove()
        for weight in trained:
            weight.requires_grad_(True)


def _signed_maps(
    make: Callable[..., Any], network: GreyClassifier, images: Tensor, target_class: int
) -> tuple[Floats, Floats]:
    """Weighted sums of the channels (N, h, w), and how large their terms are at most (N,)."""

    def logit(logits: Tensor) -> Tensor:
        # A negative number would be taken from the end.
        if not 0 <= target_class < len(logits):
            raise IndexError(
                f"The class should be one of 0 to {len(logits) - 1}, not {target_class}."
            )
        return logits[target_class]

    layer, targets = network.last_convolution, [logit] * len(images)
    # A copy of what the library keeps: on the CPU it would be the layer's own memory. Not as its
    # context manager, which swallows every IndexError.
    cam = make(model=network, target_layers=[layer], reshape_transform=torch.clone)
    try:
        with np.errstate(all="ignore"):  # NaN is looked for afterwards
            cam(images, targets)
            kept = cam.activations_and_grads
            values, slopes = kept.activations[-1].numpy(), kept.gradients[0].numpy()
            signed = cam.get_cam_image(images, layer, targets, values, slopes)
            weights = np.abs(cam.get_cam_weights(images, layer, targets, values, slopes))
            sizes = (weights[:, :, None, None] * np.abs(values)).sum(axis=1)
    finally:
        cam.activations_and_grads.release()
    return np.asarray(signed, np.float32), np.asarray(sizes.max(axis=(1, 2)), np.float32)


def _why_empty(signed: Floats, size: np.float32) -> str:
    if not np.isfinite(signed).all():
        return NOT_FINITE
    return NO_EVIDENCE if signed.max() <= _ROUNDING * size else ""


def _scaled(signed: Floats, side: int) -> Floats:
    """The positive part of a map (h, w), enlarged to (side, side), its maximum 1."""
    positive = torch.from_numpy(np.maximum(signed, 0) / signed.max())[None, None]
    enlarged = F.interpolate(positive, size=(side, side), mode="bilinear", align_corners=False)
    values: Floats = enlarged[0, 0].numpy()
    values /= values.max()
    return values
