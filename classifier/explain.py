"""Maps of a classifier's evidence: Grad-CAM (Selvaraju 2017, 1610.02391) and activations.

Grad-CAM is that of the `grad-cam` library, which is imported when a map is computed. Its scaled
maps are not used: the library subtracts the smallest value of every map, so that uniform evidence
becomes none, and divides the rest by its maximum, even if that is rounding alone.
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
from classifier.models import ImageClassifier
from classifier.tables import ArrayTable

Floats = NDArray[np.float32]

NOT_FINITE = "the map is not finite"
NO_EVIDENCE = "no positive evidence"
"""Reason of a map where channels against the class outweigh those for it in every pixel."""
_BACKBONE = "backbone."
_ROUNDING = 1e-6
"""Share of the summed channels at or below which a positive sum may be rounding alone."""


class MissingPackage(ImportError):
    """Error of a package of an extra that is not installed."""


class LayerError(ValueError):
    """Error of a layer that does not exist or has no feature maps."""


@dataclass(frozen=True, slots=True)
class CamResult:
    """Grad-CAM of N images.

    Attributes:
        maps: float32 (N, S, S) in [0, 1], bilinear from `grid`; each has the maximum 1, or is all
            zero where `empty`.
        empty: bool (N,), True for images without a map.
        reasons: N strings, the reason of an empty map, or "".
        grid: Height and width of the feature maps: the resolution of the map.
    """

    maps: Floats
    empty: NDArray[np.bool_]
    reasons: tuple[str, ...]
    grid: tuple[int, int]


@dataclass(frozen=True, slots=True)
class Activations:
    """Strongest channels of one layer for one image.

    Attributes:
        layer: Name of the layer.
        channels: Channel numbers, int64 (K,), the strongest first.
        maps: Output of the channels, float32 (K, h, w).
        strengths: Mean absolute activations, float32 (K,).
        n_channels: Number of channels of the layer.
    """

    layer: str
    channels: NDArray[np.int64]
    maps: Floats
    strengths: Floats
    n_channels: int


def require_library() -> None:
    """Check that maps can be computed, before any work is done for them.

    Raises:
        MissingPackage: The `grad-cam` package is not installed.
    """
    _library()


def prepared_images(
    loaded: LoadedClassifier, table: ArrayTable, rows: Sequence[int] | None = None
) -> Tensor:
    """Return images of a table as inputs of the network, uint8 (N, C, S, S); `rows` None: all."""
    side = loaded.network.preprocessing.input_size
    images = EvaluationSet(table, side, loaded.config.contrast)
    return torch.stack([images[row][0] for row in (range(len(table)) if rows is None else rows)])


def grad_cam(
    network: ImageClassifier | Sequence[ImageClassifier],
    images: Tensor,
    target_class: int,
    *,
    batch_size: int = 16,
) -> CamResult:
    """Map the regions whose feature maps in the last convolution raise the logit of a class.

    Each channel is weighted by the mean gradient of the logit over its pixels; the map is the
    positive part of the weighted sum. It works for frozen networks and in `torch.inference_mode`.
    For several networks of one architecture it is the map of their mean logit: the channels of all
    of them are added.

    Args:
        network: One network, or the `networks` of a loaded classifier; put into eval mode, and
            gradients of the weights are dropped.
        images: Pixel values (N, C, S, S) in [0, 255], uint8 or float, at least one.
        target_class: Number of the class.
        batch_size: Number of images at a time.

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
            # A copy: tensors of inference mode cannot be part of a graph.
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
    network: ImageClassifier, image: Tensor, layer: str | None = None, *, n: int = 16
) -> Activations:
    """Return the channels of a layer with the strongest response to an image.

    Args:
        network: Network; put into eval mode.
        image: Pixel values (1, C, S, S) in [0, 255], uint8 or float.
        layer: Name of the layer, one of `layer_names`; None: the last convolution.
        n: Largest number of channels.

    Raises:
        LayerError: There is no such layer, or it has no feature maps; the error gives similar
            names.
    """
    name = last_convolution_name(network) if layer is None else layer
    module = _named(network, name)
    outputs: list[Any] = []
    # A copy: an in-place ReLU would change the tensor.
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
            f"The layer {name!r} should have feature maps (N, C, h, w) but has none; choose one "
            f"such as {last_convolution_name(network)!r}."
        )
    maps = outputs[-1][0].float().cpu().numpy()  # (C, h, w)
    strengths = np.abs(maps).mean(axis=(1, 2))
    channels = np.argsort(-strengths, kind="stable")[:n].astype(np.int64)
    return Activations(name, channels, maps[channels], strengths[channels], len(maps))


def layer_names(network: ImageClassifier) -> list[str]:
    """Return the names of all parts of the backbone, from the input on, for `activations`."""
    return [name for name, _ in network.backbone.named_modules() if name]


def last_convolution_name(network: ImageClassifier) -> str:
    """Return the name of the layer that Grad-CAM uses; "" if it has no name in the backbone."""
    parts = network.backbone.named_modules()
    return next((name for name, part in parts if part is network.last_convolution), "")


def _named(network: ImageClassifier, name: str) -> nn.Module:
    parts: dict[str, nn.Module] = dict(network.backbone.named_modules())
    part = parts.get(name.removeprefix(_BACKBONE))
    if part is None:
        near = difflib.get_close_matches(name, parts, n=3, cutoff=0.4)
        hint = f"similar names are {', '.join(near)}" if near else f"it has {len(parts) - 1} others"
        raise LayerError(
            f"The network should have the layer {name!r} but does not; {hint}, and the last "
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
def _frozen(network: ImageClassifier) -> Iterator[None]:
    """Turn off gradients of weights, and start the graph after the last convolution."""

    def begin(module: nn.Module, inputs: Any, output: Any) -> Tensor:
        if not isinstance(output, Tensor) or output.ndim != 4:
            raise LayerError(
                f"Grad-CAM needs feature maps (N, C, h, w), but {type(module).__name__}, the last "
                "convolution of this network, has none; explain another model."
            )
        # A ReLU that follows may change the copy in place, but not a leaf of the graph.
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
    make: Callable[..., Any], network: ImageClassifier, images: Tensor, target_class: int
) -> tuple[Floats, Floats]:
    """Return weighted sums of the channels (N, h, w), and the largest sum of their terms (N,)."""

    def logit(logits: Tensor) -> Tensor:
        # A negative number would count from the end.
        if not 0 <= target_class < len(logits):
            raise IndexError(
                f"The class should be one of 0 to {len(logits) - 1}, not {target_class}."
            )
        return logits[target_class]

    layer, targets = network.last_convolution, [logit] * len(images)
    # A copy of the library's tensors: on the CPU they would share the layer's memory. No use of its
    # context manager, which hides every IndexError.
    cam = make(model=network, target_layers=[layer], reshape_transform=torch.clone)
    try:
        with np.errstate(all="ignore"):  # NaN is checked afterwards
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
    """Return the positive part of a map (h, w), enlarged to (side, side), with the maximum 1."""
    positive = torch.from_numpy(np.maximum(signed, 0) / signed.max())[None, None]
    enlarged = F.interpolate(positive, size=(side, side), mode="bilinear", align_corners=False)
    values: Floats = enlarged[0, 0].numpy()
    values /= values.max()
    return values
